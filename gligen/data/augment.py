"""Flips and crops of a picture that carry its layout along, to the size of training.

A view is cut from the picture in one step: the largest window of the wanted shape, in the centre or
at random, is resized. What happens to the layout:

- A box is clipped to the view. It is dropped where less than `min_visible` of its area is left, or
  where it covers less than `min_area` of the view (also uncropped, as the original did).
- A joint outside the view is not seen any more; a person without a seen joint is dropped.
- A flip swaps left and right joints, and in a normal map the sign of x. Where the caption or a
  phrase says "left" or "right", the picture is not flipped.
- The map gets the size of the view: labels by the nearest pixel, the rest smoothly.

All randomness comes from the generator that is given; `generator_of` makes one for each sample, so
that a run does not depend on the number of workers or on what was drawn before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageOps

from gligen.kinds import KINDS, MAP, kind_named
from gligen.layout import Box, Layout, Region
from gligen.person import JOINTS, Person, Point
from gligen.pictures.images import flattened
from gligen.pictures.maps import read_labels

CENTRE, RANDOM = "centre", "random"

_SIDES = re.compile(r"\b(left|right)(most|wards?|y|ie|s)?\b", re.IGNORECASE)

# Joint -> the joint of the other side.
_MIRRORED = tuple(
    JOINTS.index(name.replace("left", "*").replace("right", "left").replace("*", "right"))
    for name in JOINTS
)


@dataclass(frozen=True)
class Augmentation:
    """How views are cut.

    Raises:
        ValueError: a number lies outside its range.
    """

    size: tuple[int, int]  # width and height of the view, in pixels
    flip: float = 0.5  # probability of mirroring
    crop: str = CENTRE  # or RANDOM: a window of random size and place
    min_scale: float = 0.8  # smallest side of a random window, as a share of the largest one
    min_visible: float = 0.25  # share of a box that must be left
    min_area: float = 0.01  # share of the view that a box must cover
    map_kind: str | None = None  # name of the map kind, where layouts have maps

    def __post_init__(self):
        if min(self.size) < 1:
            raise ValueError(f"The size of views is {self.size}; both sides must be 1 or more.")
        if self.crop not in (CENTRE, RANDOM):
            raise ValueError(f"The crop is {self.crop!r}; it must be {CENTRE!r} or {RANDOM!r}.")
        for name in ("flip", "min_visible", "min_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be from 0 to 1.")
        if not 0 < self.min_scale <= 1:
            raise ValueError(f"min_scale is {self.min_scale!r}; it must be above 0, up to 1.")
        if self.map_kind is not None and kind_named(self.map_kind).modality != MAP:
            names = ", ".join(name for name in KINDS if kind_named(name).modality == MAP)
            raise ValueError(f"map_kind is {self.map_kind!r}; kinds that read maps are {names}.")


@dataclass(frozen=True)
class View:
    """What a model is trained on: a piece of a picture, and the layout of that piece."""

    picture: Image.Image  # RGB, of the wanted size
    layout: Layout  # in [0, 1] of the view; the map has the view's size
    window: Box  # where the view lies in the whole picture, xyxy in [0, 1] of it
    is_flipped: bool
    num_dropped: int  # regions and persons that the view has lost


def generator_of(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the generator for one sample in one epoch; all three count from 0."""
    return np.random.default_rng((seed, epoch, index))


def augment(
    picture: Image.Image,
    layout: Layout,
    options: Augmentation,
    rng: np.random.Generator,
    captions: Sequence[str] = (),
) -> View:
    """Cut a view; the same number of draws whatever the options.

    Args:
        picture: RGB, upright.
        layout: of the whole picture, its map of any size.
        options: how to cut.
        rng: all randomness.
        captions: what will be said of the view; "left" or "right" in it forbids a flip.

    Raises:
        ValueError: the layout has a map and `options.map_kind` does not say of which kind, or it is
            no map of that kind.
    """
    flip_draw, scale_draw, x_draw, y_draw = rng.random(4)
    scale = 1 - (1 - options.min_scale) * scale_draw
    if options.crop == CENTRE:
        scale, x_draw, y_draw = 1.0, 0.5, 0.5
    window = _window(picture.size, options.size, scale, (x_draw, y_draw))
    view = _resized(picture, window, options.size, Image.Resampling.BICUBIC)
    kept = _cut(layout, window, options)
    is_flipped = flip_draw < options.flip and not _says_side([*captions, *layout.phrases])
    if is_flipped:
        view, kept = ImageOps.mirror(view), flip(kept, options.map_kind)
    num_dropped = len(layout.regions) + len(layout.persons) - len(kept.regions) - len(kept.persons)
    return View(view, kept, window, bool(is_flipped), num_dropped)


def flip(layout: Layout, map_kind: str | None = None) -> Layout:
    """Mirror a layout: boxes, persons with left and right swapped, and the map.

    Args:
        layout: the pictures in it that show references and style stay as they are.
        map_kind: needed where there is a map: in one of normals, x changes its sign.
    """
    regions = tuple(
        replace(region, box=(1 - x1, y0, 1 - x0, y1))
        for region, (x0, y0, x1, y1) in zip(layout, layout.boxes, strict=True)
    )
    persons = tuple(
        flipped for person in layout.persons if (flipped := _flip_person(person)) is not None
    )
    chart = layout.map
    if chart is not None:
        chart = ImageOps.mirror(chart)
        if map_kind == "normal":
            chart = _with_x_negated(chart)
    return replace(layout, regions=regions, persons=persons, map=chart)


def _says_side(texts: Sequence[str]) -> bool:
    return any(_SIDES.search(text) for text in texts)


def _window(
    whole: tuple[int, int], size: tuple[int, int], scale: float, place: tuple[float, float]
) -> Box:
    """Return the window, xyxy in [0, 1] of the picture, that becomes the view.

    Args:
        whole: width and height of the picture in pixels.
        size: of the view; gives the shape.
        scale: side of the window, as a share of the largest of that shape.
        place: of the free room to the left and above, the share that is left free.
    """
    width = min(whole[0], whole[1] * size[0] / size[1]) * scale / whole[0]
    height = min(whole[1], whole[0] * size[1] / size[0]) * scale / whole[1]
    x0, y0 = (1 - width) * place[0], (1 - height) * place[1]
    return x0, y0, min(1.0, x0 + width), min(1.0, y0 + height)


def _resized(
    picture: Image.Image, window: Box, size: tuple[int, int], resampling: Image.Resampling
) -> Image.Image:
    x0, y0, x1, y1 = window
    width, height = picture.size
    pixels = (x0 * width, y0 * height, min(x1 * width, width), min(y1 * height, height))
    # Large pictures are first made smaller by whole pixels, which is several times as fast.
    gap = None if resampling == Image.Resampling.NEAREST else 3.0
    return picture.resize(size, resampling, box=pixels, reducing_gap=gap)


def _cut(layout: Layout, window: Box, options: Augmentation) -> Layout:
    regions = tuple(
        cut for region in layout if (cut := _cut_region(region, window, options)) is not None
    )
    persons = tuple(
        cut for person in layout.persons if (cut := _cut_person(person, window)) is not None
    )
    chart = None if layout.map is None else _cut_map(layout.map, window, options)
    return replace(layout, regions=regions, persons=persons, map=chart)


def _cut_region(region: Region, window: Box, options: Augmentation) -> Region | None:
    x0, y0 = _moved((region.box[0], region.box[1]), window)
    x1, y1 = _moved((region.box[2], region.box[3]), window)
    left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)
    if left >= right or top >= bottom:
        return None
    area = (right - left) * (bottom - top)
    if area < options.min_area or area < options.min_visible * (x1 - x0) * (y1 - y0):
        return None
    return replace(region, box=(left, top, right, bottom))


def _cut_person(person: Person, window: Box) -> Person | None:
    points: list[Point | None] = []
    for point in person.keypoints:
        moved = None if point is None else _moved(point, window)
        is_inside = moved is not None and min(moved) >= 0 and max(moved) <= 1
        points.append(moved if is_inside else None)
    return _person(points)


def _moved(point: Point, window: Box) -> Point:
    """Return where a point of the picture lies in the view, both in fractions."""
    x0, y0, x1, y1 = window
    return (point[0] - x0) / (x1 - x0), (point[1] - y0) / (y1 - y0)


def _cut_map(chart: Image.Image, window: Box, options: Augmentation) -> Image.Image:
    if options.map_kind is None:
        raise ValueError(
            "The layout has a map, and map_kind does not say what it shows; labels and edges are "
            "resized in different ways."
        )
    if options.map_kind == "semantic":
        labels = Image.fromarray(read_labels(chart))
        return _resized(labels, window, options.size, Image.Resampling.NEAREST)
    rgb = flattened(chart, f"The {options.map_kind} map", background="black")
    return _resized(rgb, window, options.size, Image.Resampling.BICUBIC)


def _flip_person(person: Person) -> Person | None:
    swapped = (person.keypoints[index] for index in _MIRRORED)
    return _person([None if point is None else (1 - point[0], point[1]) for point in swapped])


def _person(points: Sequence[Point | None]) -> Person | None:
    """Return the person, None if no joint is seen; one at the very corner (0, 0) is not."""
    is_seen = any(point is not None and point != (0, 0) for point in points)
    return Person(tuple(points)) if is_seen else None


def _with_x_negated(chart: Image.Image) -> Image.Image:
    """Mirror the directions of a normal map (red is x); black, where nothing is, stays black."""
    pixels = np.array(chart.convert("RGB"))
    is_there = pixels.any(-1)
    pixels[is_there, 0] = 255 - pixels[is_there, 0]
    return Image.fromarray(pixels)
