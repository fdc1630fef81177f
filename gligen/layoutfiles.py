"""Layout files: what goes where as JSON, ours and those of other editors.

Ours is an object with a version, and coordinates are fractions of the picture:

    {"gligen": 1, "width": 512, "height": 512,
     "regions": [{"phrase": "a dog", "box": [0.1, 0.2, 0.5, 0.9]}], "persons": []}

Further fields belong to whoever wrote them (the web page keeps prompt and settings there) and are
left alone. Pictures are not part of a layout file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gligen.layout import MAX_REGIONS, Layout, Region, check_box
from gligen.person import MAX_PERSONS, Person

FORMAT_VERSION = 1
VERSION_KEY = "gligen"
MAX_FILE_CHARACTERS = 1_000_000
MAX_SIDE = 100_000  # pixels; only the ratio matters

_FORMS = (
    '{"gligen": 1, "regions": [{"phrase": "a dog", "box": [x0, y0, x1, y1]}, ...]}, a list of such '
    'entries (also with "label" or "caption", and with "bbox" or x, y, width and height), or an '
    'object with "phrases" and "boxes"'
)
_PHRASE_KEYS = ("phrase", "label", "caption", "name", "text", "desc")
_BOX_KEYS = ("box", "bbox", "location")
_LIST_KEYS = ("regions", "boxes", "objects", "annotations")
# Of parallel lists: the original's and diffusers' names.
_PAIRED_KEYS = (("phrases", "locations"), ("phrases", "boxes"), ("gligen_phrases", "gligen_boxes"))


@dataclass(frozen=True)
class LayoutFile:
    """What a layout file holds.

    Raises:
        ValueError: a number in `hidden` is none of a region, or there are too many regions.
    """

    regions: tuple[Region, ...] = ()  # all of them, in the order of the file
    persons: tuple[Person, ...] = ()
    hidden: tuple[int, ...] = ()  # numbers, from 1, of regions that are kept but not used
    width: int | None = None  # pixels of the picture that the layout is for; None: not said
    height: int | None = None

    def __post_init__(self):
        Layout(self.regions, self.persons)  # refuses too many
        for number in self.hidden:
            if not 1 <= number <= len(self.regions):
                raise ValueError(
                    f"Region {number} is said to be hidden, and there are {len(self.regions)}."
                )

    @property
    def layout(self) -> Layout:
        """The layout of the regions that are not hidden."""
        shown = (r for number, r in enumerate(self.regions, 1) if number not in self.hidden)
        return Layout(tuple(shown), self.persons)


def read_layout_file(text: str) -> LayoutFile:
    """Return what the text of a layout file says.

    Raises:
        ValueError: it is not JSON, of no form that is known, or a region or person breaks a rule.
        TypeError: a part has the wrong type.
    """
    return layout_from(decode(text))


def decode(text: str) -> Any:
    """Return the value of a JSON text that a stranger wrote.

    Raises:
        ValueError: it is too long, not JSON, or nested too deeply.
    """
    if len(text) > MAX_FILE_CHARACTERS:
        raise ValueError(
            f"The layout has {len(text)} characters; the limit is {MAX_FILE_CHARACTERS}."
        )
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"The layout is nested too deeply; it must be {_FORMS}.") from None
    except ValueError as error:
        raise ValueError(f"The layout is not JSON ({error}); it must be {_FORMS}.") from None


def layout_from(value: Any) -> LayoutFile:
    """Return what a decoded JSON value says; raises as `read_layout_file`."""
    document = {"regions": value} if isinstance(value, list) else value
    if not isinstance(document, Mapping):
        raise ValueError(f"The layout cannot be read; it must be {_FORMS}.")  # noqa: TRY004
    check_version(document)
    width, height = _read_side(document, "width"), _read_side(document, "height")
    entries = _find_entries(document)
    if len(entries) > MAX_REGIONS:
        raise ValueError(
            f"The layout has {len(entries)} regions; the model has slots for {MAX_REGIONS}. Remove "
            f"{len(entries) - MAX_REGIONS} of them."
        )
    # Ours are always fractions; others may be in pixels, of a picture whose size they tell.
    frame = None if VERSION_KEY in document else (width, height)
    regions = [_read_region(entry, number, frame) for number, entry in enumerate(entries, 1)]
    hidden = [
        number for number, entry in enumerate(entries, 1) if entry.get("visible", True) is False
    ]
    persons = _read_persons(document.get("persons"))
    return LayoutFile(tuple(regions), persons, tuple(hidden), width, height)


def layout_document(file: LayoutFile) -> dict[str, Any]:
    """Return plain JSON values of which `layout_from` makes an equal layout, but for pictures."""
    document: dict[str, Any] = {VERSION_KEY: FORMAT_VERSION}
    for name in ("width", "height"):
        if getattr(file, name) is not None:
            document[name] = getattr(file, name)
    document["regions"] = [
        _described(region) | ({"visible": False} if number in file.hidden else {})
        for number, region in enumerate(file.regions, 1)
    ]
    if file.persons:
        document["persons"] = [
            [None if point is None else list(point) for point in person.keypoints]
            for person in file.persons
        ]
    return document


def check_version(document: Mapping[str, Any]) -> None:
    """Refuse what a later version wrote; what has no version is not ours and is accepted.

    Raises:
        ValueError: the version is unknown.
    """
    version = document.get(VERSION_KEY, FORMAT_VERSION)
    if type(version) is not int or version != FORMAT_VERSION:
        raise ValueError(
            f'The file is of version {_shown(version)} ("{VERSION_KEY}"); this program reads '
            f"version {FORMAT_VERSION}. Update the program, or save the file again with this one."
        )


def check_text(value: Any, what: str) -> str:
    """Return a text that can be shown and stored anywhere.

    Raises:
        TypeError: it is not text.
        ValueError: it holds a NUL or half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} is {_shown(value)}; it must be text.")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(
            f"{what} holds a character that is none (NUL or half of a pair); remove it."
        )
    return value


def _find_entries(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return one object for each region, whatever the form."""
    for phrases_key, boxes_key in _PAIRED_KEYS:
        if phrases_key in document:
            phrases = _list(document[phrases_key], phrases_key)
            boxes = _list(document.get(boxes_key, document.get("boxes")), boxes_key)
            if len(phrases) != len(boxes):
                raise ValueError(
                    f"The layout has {len(phrases)} phrases and {len(boxes)} boxes; there must be "
                    "one phrase for each box."
                )
            pairs = zip(phrases, boxes, strict=True)
            return [{"phrase": phrase, "box": box} for phrase, box in pairs]
    known = [key for key in _LIST_KEYS if key in document]
    if not known and VERSION_KEY not in document and "persons" not in document:
        raise ValueError(f"The layout has no regions; it must be {_FORMS}.")
    entries = _list(document[known[0]], known[0]) if known else []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, Mapping):
            raise TypeError(f"Region {number} is {_shown(entry)}; the layout must be {_FORMS}.")
    return entries


def _read_region(
    entry: Mapping[str, Any], number: int, frame: tuple[int | None, int | None] | None
) -> Region:
    phrase = next((entry[key] for key in _PHRASE_KEYS if key in entry), "")
    phrase = check_text(phrase, f"The phrase of region {number}")
    shown = phrase if len(phrase) <= 60 else f"{phrase[:60]}..."
    owner = f"Region {number} ({shown!r})"
    box = check_box(_read_box(entry, owner, frame), owner)
    weights = {}
    for name in ("phrase_weight", "image_weight"):
        weights[name] = entry.get(name, 1.0)
        if type(weights[name]) not in (int, float):
            raise TypeError(f"{owner} has {name} {_shown(weights[name])}; it must be a number.")
    return Region(phrase, box, **weights)


def _read_box(
    entry: Mapping[str, Any], owner: str, frame: tuple[int | None, int | None] | None
) -> Sequence[Any]:
    box = next((entry[key] for key in _BOX_KEYS if key in entry), None)
    if box is None and {"x", "y"} <= entry.keys():
        x, y = entry["x"], entry["y"]
        wide, high = entry.get("width", entry.get("w")), entry.get("height", entry.get("h"))
        if not all(_is_number(value) for value in (x, y, wide, high)):
            raise TypeError(f"{owner} must have numbers as x, y, width and height.")
        box = [x, y, x + wide, y + high]
    if (
        not isinstance(box, (list, tuple))
        or len(box) != 4
        or not all(_is_number(value) for value in box)
    ):
        raise TypeError(f"{owner} has box {_shown(box)}: it must be four numbers x0, y0, x1, y1.")
    if frame is not None and None not in frame and max(box) > 1:
        width, height = frame
        return [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
    return box


def _read_persons(value: Any) -> tuple[Person, ...]:
    entries = _list(value, "persons")
    if len(entries) > MAX_PERSONS:
        raise ValueError(
            f"The layout has {len(entries)} persons; the model has slots for {MAX_PERSONS}. Remove "
            f"{len(entries) - MAX_PERSONS} of them."
        )
    persons = []
    for number, points in enumerate(entries, 1):
        if not isinstance(points, list):
            raise TypeError(f"Person {number} is {_shown(points)}; it must be a list of joints.")
        try:
            persons.append(Person(tuple(_read_joint(point) for point in points)))
        except (ValueError, TypeError) as error:
            raise type(error)(f"Person {number}: {error}") from None
    return tuple(persons)


def _read_joint(point: Any) -> tuple[float, float] | None:
    if point is None:
        return None
    if not isinstance(point, list) or len(point) != 2 or not all(_is_number(v) for v in point):
        raise TypeError(f"A joint is {_shown(point)}; it must be two numbers x, y, or null.")
    return float(point[0]), float(point[1])


def _read_side(document: Mapping[str, Any], name: str) -> int | None:
    side = document.get(name)
    if side is None:
        return None
    if type(side) not in (int, float) or not 1 <= side <= MAX_SIDE or side != int(side):
        raise ValueError(
            f"The {name} of the layout is {_shown(side)}; it must be a whole number of pixels from "
            f"1 to {MAX_SIDE}."
        )
    return int(side)


def _described(region: Region) -> dict[str, Any]:
    entry: dict[str, Any] = {"phrase": region.phrase, "box": list(region.box)}
    for name in ("phrase_weight", "image_weight"):
        if getattr(region, name) != 1:
            entry[name] = getattr(region, name)
    return entry


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f'The "{name}" of the layout are {_shown(value)}; they must be a list.')
    return value


def _is_number(value: Any) -> bool:
    """Whether it is a number; for Python, true is one too, and JSON may hold giants."""
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _shown(value: Any) -> str:
    """Return a value of a stranger for a sentence, cut to a length that can be read."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
