"""The layouts that are asked for, chosen from annotation files in COCO's form.

Boxes are xyxy in [0, 1] of the square picture that is painted. The choice depends on the files, the
filters and the seed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gligen.data.cocofiles import BOXES, CAPTIONS, Annotation, CocoFiles, file_name
from gligen.data.drafts import box_of_corner_and_size, checked_size
from gligen.data.phrases import phrase_of_category
from gligen.data.report import Report
from gligen.evaluation.fullsize.options import CROP, HOLE_SIZES, Choice, Painting
from gligen.evaluation.layouts import mirrored
from gligen.layout import Box, Layout, Region

MIN_VISIBLE = 0.25  # share of a box that a crop must leave, as in training


@dataclass(frozen=True)
class Category:
    """What a box may be said to hold."""

    id: int
    name: str  # as regions are called, without underscores
    frequency: str | None = None  # of LVIS: "r", "c" or "f", by the number of training pictures


@dataclass(frozen=True)
class Asked:
    """One picture that is asked for."""

    id: int  # of the image in the files; also the seed of its noise
    caption: str
    categories: tuple[int, ...]  # one for each region
    layout: Layout
    file_name: str  # of the real picture


@dataclass(frozen=True)
class _Image:
    """One picture of the files with all its usable objects, before any filter."""

    id: int
    caption: str  # empty where there is none
    objects: tuple[tuple[Category, Box], ...]
    file_name: str


@dataclass(frozen=True)
class Series:
    """Pictures that are painted in one way and scored together."""

    name: str  # also of folders
    title: str
    items: tuple[Asked, ...]


@dataclass(frozen=True)
class Selection:
    """All that is asked for."""

    categories: tuple[Category, ...]
    series: tuple[Series, ...]

    @property
    def is_lvis(self) -> bool:
        """Whether the categories say how frequent they are, which LVIS's do."""
        return any(category.frequency for category in self.categories)

    @property
    def named(self) -> tuple[Category, ...]:
        """The categories that occur in a layout."""
        used = {number for s in self.series for item in s.items for number in item.categories}
        return tuple(category for category in self.categories if category.id in used)


def choose_layouts(choice: Choice, painting: Painting) -> Selection:
    """Read the files and return what is to be painted.

    Raises:
        ValueError: a file is missing or not of COCO's form, or no layout qualifies.
    """
    report = Report()
    content = CocoFiles.read((_existing(choice.instances),), report)
    if BOXES not in content.annotations:
        raise ValueError(
            f"{str(choice.instances)!r} holds {' and '.join(content.annotations)}, not boxes; give "
            "an instances_*.json of COCO or lvis_v1_*.json."
        )
    captions = _captions(choice.captions, report)
    categories = _categories(content)
    known = {category.id: category for category in categories}
    found = []
    for identity, image in content.images.items():
        annotations = content.of(BOXES, identity)
        if annotations:
            texts = captions.get(identity, ())
            found.append(_read(identity, image, annotations, texts, known, choice))
    if painting.is_inpainting:
        series = tuple(_holes(found, choice, low, high) for low, high in HOLE_SIZES)
    else:
        drawn = _draw(_filtered(found, choice), choice)
        series = tuple(_mode(drawn, mode) for mode in painting.modes)
    if not any(s.items for s in series):
        raise ValueError(_nothing_left(choice, painting, len(found)))
    return Selection(categories, tuple(s for s in series if s.items))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}; check the path.")
    return path


def _captions(paths: Sequence[Path], report: Report) -> dict[Any, list[str]]:
    """Return the captions of every image; LVIS mixes COCO's splits, so files may be several."""
    captions: dict[Any, list[str]] = {}
    for path in paths:
        content = CocoFiles.read((_existing(path),), report)
        if CAPTIONS not in content.annotations:
            raise ValueError(f"{str(path)!r} holds no captions; give a captions_*.json of COCO.")
        for identity, annotations in content.annotations[CAPTIONS].items():
            texts = [annotation.entry.get("caption") for annotation in annotations]
            cleaned = [" ".join(text.split()) for text in texts if isinstance(text, str)]
            captions.setdefault(identity, []).extend(text for text in cleaned if text)
    return captions


def _categories(content: CocoFiles) -> tuple[Category, ...]:
    categories = []
    for number, entry in content.categories[BOXES].items():
        name = phrase_of_category(entry.get("name"))
        if isinstance(number, int) and isinstance(name, str) and name.strip():
            frequency = entry.get("frequency")
            is_known = frequency in ("r", "c", "f")
            categories.append(Category(number, name, frequency if is_known else None))
    return tuple(categories)


def _read(
    identity: Any,
    image: Annotation,
    annotations: Sequence[Annotation],
    captions: Sequence[str],
    known: dict[int, Category],
    choice: Choice,
) -> _Image:
    if isinstance(identity, str) or identity < 0:
        raise ValueError(
            f"{image.where} has the id {identity!r}; the ids of COCO and LVIS are whole numbers, "
            "of which the seeds are made."
        )
    size = checked_size(image.entry.get("width"), image.entry.get("height"))
    if size is None:
        raise ValueError(f'{image.where} has no "width" and "height", in which boxes are measured.')
    objects = []
    for annotation in annotations:
        number = annotation.entry.get("category_id")
        category = known.get(number) if isinstance(number, int) else None
        box = _box(annotation.entry.get("bbox"), size, choice.frame)
        if category is not None and box is not None and not annotation.entry.get("iscrowd"):
            objects.append((category, box))
    rng = np.random.default_rng((choice.seed, identity))
    caption = captions[int(rng.integers(len(captions)))] if captions else ""
    return _Image(identity, caption, tuple(objects), str(file_name(image.entry)))


def _box(corner_and_size: Any, size: tuple[int, int], frame: str) -> Box | None:
    """Turn pixels of the picture into fractions of the square; None where nothing is left."""
    whole = box_of_corner_and_size(corner_and_size, size)
    if not isinstance(whole, tuple):
        return None
    x0, y0, x1, y1 = whole
    if frame == CROP:
        wx0, wy0, wx1, wy1 = crop_window(size)
        x0, x1 = ((x - wx0) / (wx1 - wx0) for x in (x0, x1))
        y0, y1 = ((y - wy0) / (wy1 - wy0) for y in (y0, y1))
    box = max(x0, 0.0), max(y0, 0.0), min(x1, 1.0), min(y1, 1.0)
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    return box if area_of(box) >= MIN_VISIBLE * area_of((x0, y0, x1, y1)) else None


def crop_window(size: tuple[int, int]) -> Box:
    """Return the largest square in the centre of a picture, xyxy in [0, 1] of it."""
    width, height = size
    dx, dy = max(0, width - height) / (2 * width), max(0, height - width) / (2 * height)
    return dx, dy, 1 - dx, 1 - dy


def area_of(box: Box) -> float:
    """Return the area of a box as a share of the picture."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _filtered(found: Sequence[_Image], choice: Choice) -> list[Asked]:
    qualified = []
    for image in found:
        large = tuple(o for o in image.objects if area_of(o[1]) >= choice.min_area)
        if choice.min_objects <= len(large) <= choice.max_objects:
            qualified.append(_asked(image, large))
    return qualified


def _holes(found: Sequence[_Image], choice: Choice, low: float, high: float) -> Series:
    """Ask for one object of each picture that has one whose area is in [low, high)."""
    qualified = []
    for image in found:
        fitting = [o for o in image.objects if low <= area_of(o[1]) < high]
        if fitting:
            rng = np.random.default_rng((choice.seed, image.id, int(low * 100)))
            qualified.append(_asked(image, (fitting[rng.integers(len(fitting))],)))
    name = f"holes_{low:.0%}_to_{high:.0%}".replace("%", "")
    return Series(name, f"hole of {low:.0%} to {high:.0%}", _draw(qualified, choice))


def _asked(image: _Image, objects: Sequence[tuple[Category, Box]]) -> Asked:
    layout = Layout(tuple(Region(category.name, box) for category, box in objects))
    caption = image.caption or ", ".join(layout.phrases)
    numbers = tuple(category.id for category, _ in objects)
    return Asked(image.id, caption, numbers, layout, image.file_name)


def _draw(qualified: Sequence[Asked], choice: Choice) -> tuple[Asked, ...]:
    """Draw `limit` of them, in the order of their ids."""
    order = np.random.default_rng(choice.seed).permutation(len(qualified))[: choice.limit]
    return tuple(sorted((qualified[i] for i in order), key=lambda item: item.id))


def _mode(items: tuple[Asked, ...], mode: str) -> Series:
    titles = {
        "on": "grounding on",
        "off": "grounding off",
        "mirrored": "boxes mirrored",
        "real": "real pictures",
    }
    if mode == "mirrored":
        items = tuple(replace(item, layout=mirrored(item.layout)) for item in items)
    return Series(mode, titles[mode], items)


def _nothing_left(choice: Choice, painting: Painting, num_images: int) -> str:
    if painting.is_inpainting:
        return (
            f"None of the {num_images} pictures with boxes in {str(choice.instances)!r} has an "
            "object whose area is 1-3, 5-10 or 30-50 % of the picture; give other annotations."
        )
    return (
        f"None of the {num_images} pictures with boxes in {str(choice.instances)!r} has "
        f"{choice.min_objects} to {choice.max_objects} objects of at least {choice.min_area:.1%} "
        "of the picture; change --min-objects, --max-objects or --min-area."
    )
