"""Inpainting: is the thing in its hole, for small and large holes, and the rest untouched?"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image

from gligen.evaluation.detector import look
from gligen.evaluation.layouts import HeldOut
from gligen.evaluation.metrics import Precision, Thing, box_precision
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Examiner, Picture, Record, Series, draw_item, drawn, repainted
from gligen.evaluation.sprites import best_name
from gligen.evaluation.subject import INPAINTING, Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_kind
from gligen.inpainting import hole_from_boxes
from gligen.layout import Box, Layout, Region
from gligen.request import Request
from gligen.training.bank import HELD_OUT_SEED
from gligen.world import IMAGE_SIZE, Scene, SceneObject, compose_caption, load_sprite, sample_scene
from gligen.world.captions import with_article
from gligen.world.scenes import ASPECT_JITTER

# Shares of the picture that the hole covers (paper, table of inpainting).
HOLE_AREAS = {"1-3 %": (0.01, 0.03), "5-10 %": (0.05, 0.10), "30-50 %": (0.30, 0.50)}
USUAL_ZOOM = Request.hole_zoom  # as web page and command line paint


@dataclass(frozen=True)
class Way:
    """How holes are repainted: in pictures of which size, and how much finer than these."""

    size: int  # side of the picture, in sizes of the world
    zoom: float  # see `gligen.inpainting.plan_work_area`


# In larger pictures, and with zoom, the model works on the surroundings of a small hole alone.
WAYS = (Way(1, 1.0), Way(1, USUAL_ZOOM), Way(3, USUAL_ZOOM))
OWN_SIZE = WAYS[1]  # whose figures are the model's own
# The detector looks at a square this many times as large as the hole, enlarged to its own size.
SURROUNDINGS = 1.8
MAX_OVERLAP = 0.12  # of a thing that stays, with the hole


@dataclass(frozen=True)
class HoleFigures:
    """What a set of holes comes to; shares from 0 to 1."""

    num_pictures: int
    ap: float
    ap50: float
    top1: float  # holes in which, of all names, the one asked for explains the picture best
    outside_equal: float  # pictures whose every pixel outside the hole is as it was


@dataclass(frozen=True)
class InpaintingResult:
    """What was found, by series."""

    by_series: Mapping[str, HoleFigures]
    ap50_mean: float  # over the hole areas, in pictures of the model's own size, zoomed


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table: painted and drawn, by size of picture and hole."""
    pipeline, series = subject.pipelines[INPAINTING], []
    count = math.ceil(options.num_layouts / len(HOLE_AREAS))
    examine = hole_examiner(subject.names)
    for way in WAYS:
        for number, areas in enumerate(HOLE_AREAS.values()):
            items = [
                hole_item(index, subject.grounded_names, areas, way.size) for index in range(count)
            ]
            painted = repainted(_name(way, number), items, pipeline, options, examine, way.zoom)
            truth = drawn(_drawn_name(way, number), items, examine, way.size * IMAGE_SIZE)
            series += [painted, truth]
    return series


def hole_item(
    index: int, names: tuple[str, ...], areas: tuple[float, float], size: int = 1
) -> HeldOut:
    """Return a scene that lacks one thing, and the hole where it belongs.

    Args:
        index: number of the layout.
        names: sprites to choose from.
        areas: share of the picture that the hole covers, from and to.
        size: side of the picture, in sizes of the world.
    """
    rng = np.random.default_rng([HELD_OUT_SEED + index, round(1000 * areas[0])])
    name = names[rng.integers(len(names))]
    hole = _hole(rng, name, areas)
    others = sample_scene(rng, int(rng.integers(1, 4)), [n for n in names if n != name])
    kept = tuple(o for o in others.objects if _overlap(o.box, hole) <= MAX_OVERLAP)
    # What is asked for comes last: it is drawn over the rest, and the hole is its box.
    whole = Scene(others.background, (*kept, SceneObject(name, hole)))
    item = HeldOut(
        index,
        whole,
        compose_caption(whole, rng),
        Layout((Region(with_article(name), hole),)),
        seed=index,
    )
    before = replace(item, scene=replace(whole, objects=kept))
    return replace(item, picture=Image.fromarray(draw_item(before, size * IMAGE_SIZE)))


def hole_examiner(names: tuple[str, ...]) -> Examiner:
    """Return what looks for all `names` in the hole of a picture."""

    def examine(item: HeldOut, picture: Picture) -> Record:
        hole = item.boxes[-1]
        near, place = surroundings(picture, hole)
        seen = look(near, names, (place,))
        found = {d.name: [*d.box, round(d.score, 4)] for d in seen.best if _touches(d.box, place)}
        return {
            "hole": list(place),
            "found": found,
            "in_box": dict(zip(names, seen.in_boxes[0], strict=True)),
            "outside_equal": _is_outside_equal(item, picture),
        }

    return examine


def surroundings(picture: Picture, hole: Box) -> tuple[Picture, Box]:
    """Return the square around a hole at the world's size, and the hole's box in it."""
    side = picture.shape[0]
    x0, y0, x1, y1 = (value * side for value in hole)
    length = min(side, math.ceil(SURROUNDINGS * max(x1 - x0, y1 - y0)))
    left = round(min(max((x0 + x1 - length) / 2, 0), side - length))
    top = round(min(max((y0 + y1 - length) / 2, 0), side - length))
    window = Image.fromarray(picture).crop((left, top, left + length, top + length))
    near = window.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    place = (x0 - left, y0 - top, x1 - left, y1 - top)
    a, b, c, d = (min(max(value / length, 0.0), 1.0) for value in place)
    return np.asarray(near), (a, b, c, d)


def summarise(measured: MeasuredSeries) -> InpaintingResult:
    """Return the figures of the series."""
    figures = {}
    for way in WAYS:
        for number in range(len(HOLE_AREAS)):
            for name in (_name(way, number), _drawn_name(way, number)):
                figures[name] = _figures(measured[name].items, measured[name].records)
    own = [figures[_name(OWN_SIZE, number)].ap50 for number in range(len(HOLE_AREAS))]
    return InpaintingResult(figures, sum(own) / len(own))


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del subject, options
    result = summarise(measured)
    rows, bars = [], {}
    for way in WAYS:
        side = way.size * IMAGE_SIZE
        for number, area in enumerate(HOLE_AREAS):
            row = result.by_series[_name(way, number)]
            truth = result.by_series[_drawn_name(way, number)]
            rows.append(
                [
                    f"{side} x {side}, hole {area}",
                    f"{way.zoom:g}",
                    *(share(v) for v in (row.ap, row.ap50, truth.ap50, row.top1)),
                    f"{row.outside_equal:.1%}",
                ]
            )
        names = [_name(way, number) for number in range(len(HOLE_AREAS))]
        bars[f"{side} px, zoom {way.zoom:g}"] = [result.by_series[name].ap50 for name in names]
    head = ["picture", "zoom", "AP", "AP50", "AP50 drawn", "top-1", "outside bitwise equal"]
    count = result.by_series[_name(OWN_SIZE, 0)].num_pictures
    text = "\n\n".join(
        [
            f"One thing is repainted into its hole, its box, {count} pictures a row. The square "
            "around the hole is searched for all names; a place counts if its middle lies in the "
            "hole. In the larger pictures the model works on the surroundings of the hole; with a "
            "zoom, which web page and command line use, it paints a small hole up to so many times "
            "finer than the picture. Mean AP50 over the hole areas, at the model's own size and "
            f"with zoom {OWN_SIZE.zoom:g}: {share(result.ap50_mean)}.",
            markdown_table(head, rows),
        ]
    )
    first = [_name(OWN_SIZE, number) for number in range(len(HOLE_AREAS))]
    sheets = [
        Illustration(
            f"inpainting-{number}-sheet.png",
            f"Holes of {area}",
            sheet(measured[name].items, {f"hole {area}": measured[name].pictures}),
        )
        for number, (name, area) in enumerate(zip(first, HOLE_AREAS, strict=True))
    ]
    chart = bar_chart(list(HOLE_AREAS), bars, "AP50")
    illustrations = (Illustration("inpainting.png", "AP50 by hole area", chart), *sheets)
    return Section("inpainting", "Inpainting", text, illustrations, asdict(result))


def _figures(items: tuple[HeldOut, ...], records: tuple[Record, ...]) -> HoleFigures:
    asked, found, is_best = [], [], []
    for item, record in zip(items, records, strict=True):
        name = item.names[-1]
        asked.append(Thing(item.index, name, tuple(record["hole"])))
        found += [
            Thing(item.index, other, (x0, y0, x1, y1), score)
            for other, (x0, y0, x1, y1, score) in record["found"].items()
        ]
        is_best.append(best_name(record["in_box"]) == name)
    precision: Precision = box_precision(asked, found)
    return HoleFigures(
        num_pictures=len(items),
        ap=precision.ap,
        ap50=precision.ap50,
        top1=float(np.mean(is_best)),
        outside_equal=float(np.mean([record["outside_equal"] for record in records])),
    )


def _name(way: Way, number: int) -> str:
    return f"inpainting-{way.size}x-zoom{way.zoom:g}-{_percents(number)}"


def _drawn_name(way: Way, number: int) -> str:
    return f"inpainting-{way.size}x-{_percents(number)}-drawn"


def _percents(number: int) -> str:
    low, high = (round(100 * area) for area in list(HOLE_AREAS.values())[number])
    return f"{low}-{high}"


def _hole(rng: np.random.Generator, name: str, areas: tuple[float, float]) -> Box:
    """Draw the box of a sprite, in shape much as in the scenes, that covers a share of them."""
    sprite = load_sprite(name)
    aspect = sprite.width / sprite.height * math.exp(rng.uniform(-ASPECT_JITTER, ASPECT_JITTER))
    area = rng.uniform(*areas)
    width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
    if max(width, height) > 1:  # a long thing in a large hole: as long as the picture
        width, height = min(width, 1.0), min(height, 1.0)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return x, y, x + width, y + height


def _overlap(box: Box, hole: Box) -> float:
    """Return the share of `box` that lies in the hole."""
    width = min(box[2], hole[2]) - max(box[0], hole[0])
    height = min(box[3], hole[3]) - max(box[1], hole[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))


def _touches(box: Box, hole: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return hole[0] <= x <= hole[2] and hole[1] <= y <= hole[3]


def _is_outside_equal(item: HeldOut, picture: Picture) -> bool:
    assert item.picture is not None, "an item of inpainting has a picture"
    outside = np.asarray(hole_from_boxes(item.boxes[-1:], item.picture.size)) == 0
    return bool(np.array_equal(picture[outside], np.asarray(item.picture)[outside]))


TABLE = Table("inpainting", needs_kind(INPAINTING), plan, section)
