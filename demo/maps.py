"""The maps of the tab Maps, as plain functions: reading them, and showing what the model reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from demo.components.painter import PaintedMap
from demo.texts import maps as texts
from gligen.kinds import KINDS, MAP, kind_named
from gligen.pictures.ade import NAMES
from gligen.pictures.images import open_map, open_picture
from gligen.pictures.maps import canny_map, prepare_map, read_labels

MAP_KINDS = tuple(kind for kind in KINDS if kind_named(kind).modality == MAP)


def title_of(kind: str, names: Sequence[str]) -> str:
    """Return what a kind is called on the page, by the classes that a model's maps name."""
    if kind == "semantic" and tuple(names) != NAMES:
        return texts.OWN_CLASSES.format(count=len(names))
    return kind_named(kind).title


@dataclass(frozen=True)
class MapView:
    """What the page shows of a map."""

    image: Image.Image | None = None  # as the model reads it
    message: str = ""
    is_bad: bool = False  # the message is a fault


def look_at(path: Path | None, kind: str, size: tuple[int, int]) -> MapView:
    """Return what the model reads of a map file, or the sentence that says why it cannot be read.

    Args:
        path: of the uploaded file; None: there is none yet.
        kind: of the map; semantic ones are shown by the painter, see `load_painting`.
        size: width and height in pixels of the picture that is made.
    """
    if path is None:
        return MapView(message=texts.HINTS[kind])
    try:
        picture = open_map(path)
        values = prepare_map(picture, kind, size).transpose(1, 2, 0)
    except ValueError as error:
        return MapView(message=str(error), is_bad=True)
    pixels = ((values + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    return MapView(Image.fromarray(pixels), message=_describe_size(picture, size))


def load_painting(path: Path, size: tuple[int, int], names: Sequence[str] = NAMES) -> PaintedMap:
    """Return a file with a semantic map for the painter, or the sentence that refuses it.

    Args:
        path: of the uploaded file.
        size: width and height in pixels of the painted map.
        names: of the labels that the model knows.
    """
    try:
        picture = open_map(path)
        labels = read_labels(picture)
    except ValueError as error:
        return PaintedMap(message=str(error), is_bad=True)
    fitted = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    unknown = [str(label) for label in np.unique(fitted) if label >= len(names)]
    message = _describe_size(picture, size)
    if unknown:
        message = f"{message} {texts.UNKNOWN_LABELS.format(labels=', '.join(unknown))}".strip()
    return PaintedMap(fitted, str(path), message)


def semantic_map(path: Path | None, painted: PaintedMap) -> Image.Image:
    """Return the semantic map of a run: the painted one, unless the file is newer.

    Raises:
        ValueError: there is neither, or the file cannot be read.
    """
    is_newer = path is not None and not painted.began_with(path)
    if painted.labels is None or is_newer:
        return open_map_file(path, "semantic")
    return Image.fromarray(painted.labels)


def hint(kind: str, names: Sequence[str] = NAMES) -> str:
    """Say what a map of a kind looks like."""
    if kind == "semantic" and names != NAMES:
        return texts.OWN_LABELS.format(last=len(names) - 1)
    return texts.HINTS[kind]


def _describe_size(picture: Image.Image, size: tuple[int, int]) -> str:
    width, height = size
    if abs(picture.width / picture.height - width / height) < 0.01:
        return ""
    return texts.SQUEEZED.format(
        map_width=picture.width, map_height=picture.height, width=width, height=height
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
        raise ValueError(texts.NO_MAP.format(kind=kind, way=texts.WAYS.get(kind, texts.USUAL_WAY)))
    return open_map(path)
