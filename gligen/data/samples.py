"""One training example: a picture that is opened when it is needed, captions, and a layout.

Boxes are xyxy in [0, 1] of the upright picture, joints (x, y) likewise, as in `gligen.layout`.
"""

import base64
import binascii
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gligen.layout import Layout, Region
from gligen.person import Person
from gligen.pictures.images import open_map, open_picture


@dataclass(frozen=True)
class PictureFile:
    """Where a picture lies: a file of its own, or in a row of the original's TSV."""

    path: Path
    row: int | None = None  # byte at which the row begins; None: the file is the picture

    def open(self) -> Image.Image:
        """Read it as RGB, upright.

        Raises:
            ValueError: it is missing, damaged, too large, or no picture.
        """
        return open_picture(self.path if self.row is None else io.BytesIO(self.read_bytes()))

    def read_bytes(self) -> bytes:
        """Return the encoded picture, as it is stored.

        Raises:
            ValueError: it is missing, or its row holds no picture.
        """
        try:
            if self.row is None:
                return self.path.read_bytes()
            with self.path.open("rb") as file:
                file.seek(self.row)
                entry = json.loads(file.readline().partition(b"\t")[2])
            return base64.b64decode(entry["image"], validate=True)
        except OSError as error:
            raise ValueError(
                f"{str(self.path)!r} cannot be read ({error.strerror}); check the path."
            ) from None
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise ValueError(
                f"The row at byte {self.row} of {str(self.path)!r} holds no picture "
                f"({type(error).__name__}: {error}); write the file again."
            ) from None


@dataclass(frozen=True)
class MapFile:
    """Where the map of a picture lies (edges, depth, normals or labels), and how to read it."""

    path: Path
    # Of COCO's panoptic files: (number of a segment, its label), the rest is 0, unlabelled.
    segments: tuple[tuple[int, int], ...] | None = None
    ignored: int | None = None  # value of the pixels nobody labelled, read as 0

    def open(self) -> Image.Image:
        """Read it upright, its pixels as they are stored; panoptic segments become labels.

        Raises:
            ValueError: it is missing, damaged or too large; or not of the form that is needed.
        """
        picture = open_map(self.path)
        if self.segments is not None:
            return Image.fromarray(_labels_of_segments(picture, self.segments, self.path))
        if self.ignored is None:
            return picture
        if picture.mode not in ("L", "P", "I") and not picture.mode.startswith("I;16"):
            raise ValueError(
                f"{str(self.path)!r} has the mode {picture.mode}, so it holds no labels of which "
                f"{self.ignored} could be ignored; give labels in grey or with a palette."
            )
        values = np.asarray(picture)
        return Image.fromarray(np.where(values == self.ignored, 0, values).astype(values.dtype))


def _labels_of_segments(
    picture: Image.Image, segments: tuple[tuple[int, int], ...], path: Path
) -> np.ndarray:
    """Turn COCO's panoptic colours, R + 256 G + 65536 B = number of a segment, into labels."""
    if picture.mode != "RGB":
        raise ValueError(
            f"{str(path)!r} has the mode {picture.mode}; panoptic maps are RGB pictures whose "
            "colour is the number of the segment."
        )
    numbers = np.asarray(picture).astype(np.int64) @ (1, 256, 65536)
    labels = np.zeros(numbers.shape, np.uint8)
    for number, label in segments:
        labels[numbers == number] = label
    return labels


@dataclass(frozen=True)
class Sample:
    """One picture and what is known about it."""

    id: str  # as the annotations say, or file and line
    picture: PictureFile
    captions: tuple[str, ...]  # any of them describes the picture; may be empty
    layout: Layout  # regions and persons; the map is a file, see `open_layout`
    map: MapFile | None = None
    size: tuple[int, int] | None = None  # width and height that boxes in pixels were measured on
    where: str = ""  # file and line, or file and entry, for messages

    def open_picture(self) -> Image.Image:
        """Read the picture: RGB, upright.

        Raises:
            ValueError: it cannot be read, or is not of the size that its boxes were measured on.
        """
        try:
            picture = self.picture.open()
        except ValueError as error:
            raise ValueError(f"{self.where}: {error}") from None
        if self.size is not None and picture.size != self.size:
            width, height = self.size
            raise ValueError(
                f"{self.where}: the picture '{self.picture.path}' is {picture.width} x "
                f"{picture.height} pixels when upright, and its boxes were measured on {width} x "
                f"{height}; give the picture of that size, saved upright (without an EXIF "
                "orientation)."
            )
        return picture

    def open_layout(self) -> Layout:
        """Return the layout with the map read into it.

        Raises:
            ValueError: the map cannot be read.
        """
        if self.map is None:
            return self.layout
        try:
            return replace(self.layout, map=self.map.open())
        except ValueError as error:
            raise ValueError(f"{self.where}: {error}") from None

    def caption(self, rng: np.random.Generator) -> str:
        """Draw one of the captions; without any, the phrases in order, as the original trained."""
        if not self.captions:
            return ", ".join(phrase for phrase in self.layout.phrases if phrase)
        return self.captions[rng.integers(len(self.captions))]


def sample_to_json(sample: Sample) -> dict[str, Any]:
    """Return plain JSON values, from which `sample_from_json` makes an equal sample."""
    value: dict[str, Any] = {
        "id": sample.id,
        "picture": str(sample.picture.path),
        "captions": sample.captions,
        "regions": [[region.phrase, *region.box] for region in sample.layout],
        "where": sample.where,
    }
    if sample.picture.row is not None:
        value["row"] = sample.picture.row
    if sample.layout.persons:
        value["persons"] = [person.keypoints for person in sample.layout.persons]
    if sample.map is not None:
        value["map"] = [str(sample.map.path), sample.map.segments, sample.map.ignored]
    if sample.size is not None:
        value["size"] = sample.size
    return value


def sample_from_json(value: dict[str, Any]) -> Sample:
    """Return the sample that `sample_to_json` described."""
    regions = tuple(Region(phrase, tuple(box)) for phrase, *box in value["regions"])
    persons = tuple(
        Person(tuple(point if point is None else tuple(point) for point in points))
        for points in value.get("persons", ())
    )
    chart = None
    if "map" in value:
        path, segments, ignored = value["map"]
        pairs = None if segments is None else tuple((number, label) for number, label in segments)
        chart = MapFile(Path(path), pairs, ignored)
    return Sample(
        id=value["id"],
        picture=PictureFile(Path(value["picture"]), value.get("row")),
        captions=tuple(value["captions"]),
        layout=Layout(regions, persons),
        map=chart,
        size=tuple(value["size"]) if "size" in value else None,
        where=value["where"],
    )
