"""The maps of the tab Maps, as plain functions: reading them, and showing what the model reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gligen.kinds import KINDS, MAP, kind_named
from gligen.pictures.ade import COLOURS, NAMES, coloured
from gligen.pictures.images import open_map, open_picture
from gligen.pictures.maps import canny_map, prepare_map, read_labels

MAP_KINDS = tuple(kind for kind in KINDS if kind_named(kind).modality == MAP)

# What a map of each kind looks like, for the person who has to find one.
HINTS = {
    "hed": "Soft edges, as a HED detector finds them: white on black.",
    "canny": "Thin edges, white on black; or take the edges of a photo.",
    "depth": "Grey: near is white, far is black.",
    "normal": "Directions of surfaces as red (x), green (y) and blue (z).",
    "semantic": "Labels of ADE20K's classes (grey or palette, 0 to 151), or the classes' colours.",
}
MAX_LEGEND = 16  # classes that are named; a longer list would push the canvas away


@dataclass(frozen=True)
class LegendEntry:
    """One class of a semantic map."""

    colour: str  # "#rrggbb", as in the picture beside it
    name: str
    share: float  # of the pixels, in [0, 1]


@dataclass(frozen=True)
class MapView:
    """What the page shows of a map."""

    image: Image.Image | None = None  # as the model reads it
    legend: tuple[LegendEntry, ...] = ()
    message: str = ""
    is_bad: bool = False  # the message is a fault


def look_at(
    path: Path | None, kind: str, size: tuple[int, int], names: Sequence[str] = NAMES
) -> MapView:
    """Return what the model reads of a map file, or the sentence that says why it cannot be read.

    Args:
        path: of the uploaded file; None: there is none yet.
        kind: of the map.
        size: width and height in pixels of the picture that is made.
        names: of the labels of semantic maps.
    """
    if path is None:
        return MapView(message=hint(kind, names))
    try:
        picture = open_map(path)
        if kind == "semantic":
            return _look_at_labels(picture, size, names)
        values = prepare_map(picture, kind, size)[0].permute(1, 2, 0).numpy()
    except ValueError as error:
        return MapView(message=str(error), is_bad=True)
    pixels = ((values + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    return MapView(Image.fromarray(pixels), message=_describe_size(picture, size))


def hint(kind: str, names: Sequence[str] = NAMES) -> str:
    """Say what a map of a kind looks like."""
    if kind == "semantic" and names != NAMES:
        return f"Labels of this model's own classes (grey or palette, 0 to {len(names) - 1})."
    return HINTS[kind]


def _look_at_labels(picture: Image.Image, size: tuple[int, int], names: Sequence[str]) -> MapView:
    labels = read_labels(picture)
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    legend = tuple(
        LegendEntry(
            "#{:02x}{:02x}{:02x}".format(*COLOURS[label]), _name(names, label), count / labels.size
        )
        for label, count in zip(found[order].tolist(), counts[order].tolist(), strict=True)
    )
    more = len(legend) - MAX_LEGEND
    message = _describe_size(picture, size)
    if more > 0:
        message += f" And {more} more {'class' if more == 1 else 'classes'}."
    shown = coloured(labels).resize(size, Image.Resampling.NEAREST)
    return MapView(shown, legend[:MAX_LEGEND], message)


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else f"label {label}, unknown to this model"


def _describe_size(picture: Image.Image, size: tuple[int, int]) -> str:
    width, height = size
    if abs(picture.width / picture.height - width / height) < 0.01:
        return ""
    return (
        f"The map is {picture.width} x {picture.height} and is squeezed to the picture's "
        f"{width} x {height}; cut it to that shape if things should keep theirs."
    )


def edges_of(photo: Path | str, low: float, high: float, size: tuple[int, int]) -> Image.Image:
    """Return the Canny edges of a photo file, as a map for a picture of that size in pixels.

    Raises:
        ValueError: the photo cannot be read, or the thresholds are in the wrong order.
    """
    return canny_map(open_picture(photo), size, low, high)


def open_map_file(path: Path | str | None, kind: str) -> Image.Image:
    """Return the map of a run.

    Raises:
        ValueError: there is none, or it cannot be read.
    """
    if path is None:
        source = "choose one, or a photo to take the edges of" if kind == "canny" else "choose one"
        raise ValueError(f"There is no {kind} map yet; {source}.")
    return open_map(path)
