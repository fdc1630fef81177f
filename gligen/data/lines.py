"""Reads `.jsonl`: one JSON object a line, the plainest way to describe one's own pictures.

    {"image": "a.jpg", "caption": "a dog on grass",
     "regions": [{"phrase": "a dog", "box": [0.1, 0.2, 0.6, 0.9]}]}

(on one line). Fields: "image" (a path, from the folder of the file or `images`), "caption" or
"captions", "regions", "persons" (lists of 17 joints [x, y] or null), "map" (a path) and "id".
Coordinates are fractions of the upright picture; in pixels of it only where the line says
"box_format": "pixels", for boxes and joints alike. Other fields are reported, since they are
mostly misspelt ones.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gligen.data.drafts import Draft, box_of_pixels
from gligen.data.pictures import size_of
from gligen.data.report import Report
from gligen.data.samples import MapFile, PictureFile, Sample

FIELDS = ("image", "caption", "captions", "regions", "persons", "map", "id", "box_format")
REGION_FIELDS = ("phrase", "box")
BOX_FORMATS = ("fractions", "pixels")


@dataclass(frozen=True)
class LinesSource:
    """One or several `.jsonl` files."""

    files: tuple[Path, ...]
    images: Path | None = None  # folder of the pictures; None: the folder of each file
    maps: Path | None = None  # folder of the maps; None: the folder of each file
    ignored: int | None = None  # value in the maps that means "unlabelled"

    name = "lines"

    def read(self, report: Report) -> Iterator[Sample]:
        """Yield the samples, and report what is wrong with them."""
        for path in self.files:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        sample = self._sample(line, path, number, report)
                        if sample is not None:
                            yield sample

    def _sample(self, line: bytes, path: Path, number: int, report: Report) -> Sample | None:
        where = f"{path.name}:{number}"
        try:
            entry = _entry(line)
        except ValueError as error:
            report.add("entry_unreadable", where, str(error))
            return None
        picture = (self.images or path.parent) / entry["image"]
        try:
            # The size is needed for pixels, and to say by how many of them a box overshoots.
            size = size_of(picture)
        except FileNotFoundError:
            report.add_absent("picture_missing", where, picture)
            return None
        except ValueError as error:
            report.add_absent("picture_unreadable", where, picture, str(error))
            return None
        _report_unknown(entry, FIELDS, where, report)
        identity = str(entry.get("id", where))
        draft = Draft(report, identity, PictureFile(picture), size, where)
        for caption in [entry.get("caption"), *entry.get("captions", [])]:
            draft.add_caption(caption)
        in_pixels = entry.get("box_format") == "pixels"
        for region in entry.get("regions", []):
            _report_unknown(region, REGION_FIELDS, where, report)
            box = box_of_pixels(region.get("box"), size) if in_pixels else region.get("box")
            draft.add_region(region.get("phrase"), box, where)
        for joints in entry.get("persons", []):
            draft.add_person(_fractions(joints, size) if in_pixels else joints, where)
        if entry.get("map"):
            chart = (self.maps or path.parent) / entry["map"]
            draft.add_map(MapFile(chart, ignored=self.ignored), where)
        return draft.finish(keep_size=in_pixels)


def _entry(line: bytes) -> dict[str, Any]:
    """Decode a line and check the types of its fields; those of boxes and joints come later."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The line is not JSON ({error}).") from None
    complaint = _complaint(entry)
    if complaint is not None:
        raise ValueError(complaint)
    return entry


def _complaint(entry: Any) -> str | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        return 'The line must be an object with "image", the path of the picture.'
    for field, kind, name in (
        ("captions", str, "texts"),
        ("regions", dict, "objects"),
        ("persons", list, "lists of joints"),
    ):
        items = entry.get(field, [])
        if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
            return f'"{field}" must be a list of {name}.'
    if not isinstance(entry.get("map") or "", str):
        return f'"map" is {entry["map"]!r}; it must be the path of a picture.'
    if entry.get("box_format", "fractions") not in BOX_FORMATS:
        formats = ", ".join(BOX_FORMATS)
        return f'"box_format" is {entry["box_format"]!r}; it must be one of {formats}.'
    return None


def _report_unknown(
    entry: dict[str, Any], fields: tuple[str, ...], where: str, report: Report
) -> None:
    for field in entry.keys() - set(fields):
        message = f"There is no field {field!r}; the fields are {', '.join(fields)}."
        report.add("field_unknown", where, message)


def _fractions(joints: list[Any], size: tuple[int, int]) -> list[Any]:
    """Divide joints in pixels by the size; what is no pair of numbers stays, and is reported."""
    divided = []
    for joint in joints:
        is_pair = isinstance(joint, list) and len(joint) == 2
        if is_pair and all(isinstance(number, (int, float)) for number in joint):
            joint = [joint[0] / size[0], joint[1] / size[1]]
        divided.append(joint)
    return divided
