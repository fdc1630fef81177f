"""What goes where: regions of a picture, validated in one place.

Every front end (pipeline call, command line, web page) builds a `Layout`; nothing else checks
boxes. Boxes are xyxy in [0, 1] of the picture, x to the right, y down.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from gligen.person import MAX_PERSONS, Person

# Grounding slots of the released models: a layout is padded with null tokens to this many.
MAX_REGIONS = 30

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """One place in the picture and what belongs there.

    Raises:
        ValueError: the box has not four finite numbers in [0, 1] with x0 < x1 and y0 < y1.
        TypeError: the phrase is not a string, or a coordinate not a number.
    """

    phrase: str  # what to draw; empty: see the picture, or leave it to the model
    box: Box  # xyxy in [0, 1]
    image: Image.Image | None = None  # reference picture, for the text-image kinds
    # How much of each counts, in [0, 1]; the rest is the null feature. Text-image kinds only.
    phrase_weight: float = 1.0
    image_weight: float = 1.0

    def __post_init__(self):
        if not isinstance(self.phrase, str):
            raise TypeError(
                f"A region's phrase must be a string, not {self.phrase!r} "
                f"({type(self.phrase).__name__})."
            )
        object.__setattr__(self, "phrase", " ".join(self.phrase.split()))
        object.__setattr__(self, "box", check_box(self.box, f"Region {self.phrase!r}"))
        for name in ("phrase_weight", "image_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"Region {self.phrase!r} has {name.replace('_', ' ')} {getattr(self, name)!r}; "
                    "it must be a number from 0 to 1."
                )

    @property
    def is_grounded(self) -> bool:
        """Whether the region says what to draw, by a phrase or a reference picture."""
        return bool(self.phrase) or self.image is not None


@dataclass(frozen=True)
class Layout:
    """What one picture is grounded on; no kind of model reads all of it.

    Regions are at most `MAX_REGIONS`, persons at most `MAX_PERSONS`; the same phrase may occur in
    several regions. `gligen.kinds.check_layout` says what a kind can follow.

    Raises:
        ValueError: there are too many regions or persons.
    """

    regions: tuple[Region, ...] = field(default=())
    persons: tuple[Person, ...] = field(default=())  # for the keypoint kind
    map: Image.Image | None = None  # edges, depth, normals or class indices of the whole picture
    style: Image.Image | None = None  # picture whose look to take, for the text-image kinds

    def __post_init__(self):
        object.__setattr__(self, "persons", tuple(self.persons))
        object.__setattr__(self, "regions", tuple(self.regions))
        for region in self.regions:
            if not isinstance(region, Region):
                raise TypeError(f"A layout is made of Region objects, not {region!r}.")
        if len(self.regions) > MAX_REGIONS:
            raise ValueError(
                f"The layout has {len(self.regions)} regions; the model has slots for "
                f"{MAX_REGIONS}. "
                f"Remove {len(self.regions) - MAX_REGIONS} of them."
            )

        for person in self.persons:
            if not isinstance(person, Person):
                raise TypeError(f"The persons of a layout are Person objects, not {person!r}.")
        if len(self.persons) > MAX_PERSONS:
            raise ValueError(
                f"The layout has {len(self.persons)} persons; the model has slots for "
                f"{MAX_PERSONS}. Remove {len(self.persons) - MAX_PERSONS} of them."
            )

    def __len__(self) -> int:
        return len(self.regions)

    def __bool__(self) -> bool:
        """Whether there is anything in the layout."""
        has_picture = self.map is not None or self.style is not None
        return bool(self.regions or self.persons or has_picture)

    def __iter__(self):
        return iter(self.regions)

    @property
    def grounded(self) -> tuple[Region, ...]:
        """The regions that say what to draw, in order."""
        return tuple(region for region in self.regions if region.is_grounded)

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases of all regions, in order, empty ones included."""
        return tuple(region.phrase for region in self.regions)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes of all regions, in order."""
        return tuple(region.box for region in self.regions)

    @classmethod
    def from_lists(cls, phrases: Sequence[str], boxes: Sequence[Sequence[float]]) -> "Layout":
        """Pair phrases with boxes by position.

        Raises:
            ValueError: the two differ in length, or a box is invalid; the message names the region.
        """
        if isinstance(phrases, str):
            phrases = [phrases]
        if len(phrases) != len(boxes):
            raise ValueError(
                f"There are {_count(len(phrases), 'phrase')} and "
                f"{_count(len(boxes), 'box', 'boxes')}; give exactly one phrase for each box."
            )
        regions = []
        for number, (phrase, box) in enumerate(zip(phrases, boxes, strict=True), start=1):
            if not isinstance(phrase, str):
                raise TypeError(f"Phrase {number} must be a string, not {phrase!r}.")
            regions.append(Region(phrase, check_box(box, f"Region {number} ({phrase!r})")))
        return cls(tuple(regions))

    @classmethod
    def from_text(cls, texts: Iterable[str]) -> "Layout":
        """Read regions written as "a dog: 0.10,0.20,0.55,0.90" (the command line's form).

        The last colon separates the phrase from the box, so a phrase may contain colons.
        """
        phrases, boxes = [], []
        for text in texts:
            phrase, colon, numbers = text.rpartition(":")
            try:
                box = [float(number) for number in numbers.split(",")]
            except ValueError:
                box = []
            if not colon or len(box) != 4:
                raise ValueError(
                    f"The region {text!r} cannot be read. Write it as phrase: x0,y0,x1,y1 with "
                    'coordinates in [0, 1], for example "a dog: 0.10,0.20,0.55,0.90".'
                )
            phrases.append(phrase.strip())
            boxes.append(box)
        return cls.from_lists(phrases, boxes)

    @classmethod
    def from_json(cls, text: str) -> "Layout":
        """Read a layout file, ours or another editor's; see `gligen.layoutfiles`.

        Raises:
            ValueError: it is not JSON, of no form that is known, or breaks a rule.
            TypeError: a part has the wrong type.
        """
        from gligen.layoutfiles import read_layout_file  # here, because it builds layouts

        return read_layout_file(text).layout

    def to_json(self, width: int | None = None, height: int | None = None) -> str:
        """Write regions and persons as a layout file; pictures are not included.

        Args:
            width: pixels of the picture that the layout is for; None: not said.
            height: as `width`.
        """
        from gligen.layoutfiles import LayoutFile, layout_document

        file = LayoutFile(self.regions, self.persons, width=width, height=height)
        return json.dumps(layout_document(file), ensure_ascii=False)


def check_box(box: Any, owner: str) -> Box:
    """Return `box` as four floats, or raise with a sentence that names `owner`.

    Raises:
        ValueError: not four finite numbers in [0, 1] with x0 < x1 and y0 < y1.
        TypeError: not a sequence of numbers.
    """
    try:
        numbers = tuple(float(value) for value in box)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"{owner} has box {box!r}: it must be four numbers x0, y0, x1, y1."
        ) from None
    shown = f"({', '.join(f'{value:g}' for value in numbers)})"
    if len(numbers) != 4:
        raise ValueError(f"{owner} has box {shown}: it must be four numbers x0, y0, x1, y1.")
    if not all(math.isfinite(value) for value in numbers):
        raise ValueError(f"{owner} has box {shown}: every coordinate must be a finite number.")
    if not all(0 <= value <= 1 for value in numbers):
        raise ValueError(
            f"{owner} has box {shown}: coordinates are fractions of the picture and must lie in "
            "[0, 1]; divide pixels by the width and height."
        )
    x0, y0, x1, y1 = numbers
    if x0 >= x1:
        raise ValueError(f"{owner} has box {shown}: x0 must be smaller than x1.")
    if y0 >= y1:
        raise ValueError(f"{owner} has box {shown}: y0 must be smaller than y1.")
    return numbers


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number} {singular if number == 1 else plural or singular + 's'}"
