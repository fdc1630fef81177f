"""Reference pictures: is the thing of the picture painted, where nothing else says what it is?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image

from gligen.evaluation.layouts import HeldOut, held_out_layouts
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Series, drawn, generated
from gligen.evaluation.sprites import sprite_examiner
from gligen.evaluation.subject import Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_kind
from gligen.layout import Layout, Region
from gligen.training.bank import HELD_OUT_SEED
from gligen.world import IMAGE_SIZE, load_sprite
from gligen.world.scenes import BACKGROUNDS, draw_background

KIND = "generation_text_image_box"
ON, OFF, DRAWN = "images-on", "images-off", "images-drawn"
TITLES = {ON: "reference pictures", OFF: "grounding off", DRAWN: "drawn scenes"}

NUM_CANDIDATES = 5  # names of which the right one must explain the box best
TURN = (6.0, 20.0)  # degrees by which the thing in a reference picture is turned, either way
SIZES = (0.6, 0.95)  # longer side of the thing in its reference picture, as a share


@dataclass(frozen=True)
class ImagesResult:
    """Share of the boxes that show the thing of their reference picture, by series."""

    num_objects: int
    accuracy: Mapping[str, float]
    by_name: Mapping[str, float]  # with grounding


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    held_out = held_out_layouts(options.num_layouts, subject.grounded_names)
    items = [with_references(item) for item in held_out]
    pipeline, examine = subject.pipelines[KIND], sprite_examiner(subject.grounded_names)
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        drawn(DRAWN, items, examine),
    ]


def with_references(item: HeldOut) -> HeldOut:
    """Say what the regions show by pictures alone: no phrase, and no caption."""
    rng = np.random.default_rng([HELD_OUT_SEED + item.index, 5])
    regions = tuple(
        Region("", thing.box, image=reference_picture(thing.name, rng))
        for thing in item.scene.objects
    )
    return replace(item, layout=Layout(regions), caption="")


def reference_picture(name: str, rng: np.random.Generator) -> Image.Image:
    """Draw a sprite turned, as no scene shows it, at a random size and place: 64 x 64 pixels."""
    background = draw_background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], rng, IMAGE_SIZE)
    picture = Image.fromarray(np.clip(background, 0, 255).astype(np.uint8))
    angle = rng.uniform(*TURN) * (1 if rng.random() < 0.5 else -1)
    # Premultiplied, so that transparent pixels do not darken the edge when they are mixed in.
    sprite = load_sprite(name).convert("RGBa")
    turned = sprite.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    scale = rng.uniform(*SIZES) * IMAGE_SIZE / max(turned.size)
    size = (max(1, round(turned.width * scale)), max(1, round(turned.height * scale)))
    turned = turned.resize(size, Image.Resampling.BOX).convert("RGBA")
    corner = [int(rng.integers(0, IMAGE_SIZE - side + 1)) for side in turned.size]
    picture.paste(turned, (corner[0], corner[1]), turned)
    return picture


def candidates(name: str, names: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    """Return the right name and others, from which it is to be told."""
    others = [other for other in names if other != name]
    chosen = rng.choice(len(others), min(NUM_CANDIDATES - 1, len(others)), replace=False)
    return (name, *(others[int(index)] for index in chosen))


def summarise(subject: Subject, measured: MeasuredSeries) -> ImagesResult:
    """Return the figures of the series."""
    hits = {name: _hits(subject, measured, name) for name in TITLES}
    names = sorted({name for name, _ in hits[ON]})
    return ImagesResult(
        num_objects=len(hits[ON]),
        accuracy={series: float(np.mean([hit for _, hit in own])) for series, own in hits.items()},
        by_name={n: float(np.mean([hit for name, hit in hits[ON] if name == n])) for n in names},
    )


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del options
    result = summarise(subject, measured)
    text = "\n\n".join(
        [
            f"{result.num_objects} regions have a reference picture and no phrase, and the picture "
            "has no caption; in the reference the thing is turned by "
            f"{TURN[0]:g}-{TURN[1]:g} degrees, on another background and at another size. Counted: "
            f"boxes that the right one of {NUM_CANDIDATES} sprites explains best (chance: "
            f"{share(1 / NUM_CANDIDATES)}).",
            markdown_table(
                ["", f"right one of {NUM_CANDIDATES}"],
                [[title, share(result.accuracy[name])] for name, title in TITLES.items()],
            ),
        ]
    )
    names = list(result.by_name)
    bars = {"accuracy": [result.by_name[name] for name in names]}
    illustrations = (
        Illustration("images.png", "By name", bar_chart(names, bars, "right one of 5")),
        Illustration(
            "images-sheet.png",
            "The first layouts; the reference stands small in its box",
            sheet(measured[ON].items, {TITLES[ON]: measured[ON].pictures}),
        ),
    )
    return Section("images", "Reference pictures", text, illustrations, asdict(result))


def _hits(subject: Subject, measured: MeasuredSeries, series: str) -> list[tuple[str, bool]]:
    """Return for each region the right name, and whether it was the best of the candidates."""
    hits = []
    own = measured[series]
    for item, record in zip(own.items, own.records, strict=True):
        rng = np.random.default_rng([HELD_OUT_SEED + item.index, 6])
        for name, scores in zip(item.names, record["in_boxes"], strict=True):
            best = max(candidates(name, subject.grounded_names, rng), key=lambda n: scores[n])
            hits.append((name, best == name and scores[name] > -1))
    return hits


TABLE = Table("images", needs_kind(KIND), plan, section)
