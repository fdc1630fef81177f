"""Semantic maps: does every pixel show the thing that its label names?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image

from gligen.evaluation.detector import THRESHOLD, Detection, detect_all
from gligen.evaluation.layouts import HeldOut, held_out_scenes
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.poses import find_persons
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Examiner, Picture, Record, Series, drawn, generated
from gligen.evaluation.subject import Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_kind
from gligen.layout import Layout
from gligen.training.bank import WORLDS
from gligen.world import ALL_SPRITE_NAMES, Scene, SceneObject
from gligen.world.labels import draw_labels, label_of

KIND = "semantic"
ON, OFF, DRAWN = "semantic-on", "semantic-off", "semantic-drawn"
TITLES = {ON: "grounding on", OFF: "grounding off", DRAWN: "drawn scenes"}

# A figure counts as seen from this score on; without any, the best of 100 pictures reaches 0.31.
PERSON_THRESHOLD = 0.45
NAMES = ("background", *ALL_SPRITE_NAMES, "person")  # by label


@dataclass(frozen=True)
class SemanticResult:
    """Intersection over union of the asked and the shown pixels of a class, by series."""

    mean_iou: Mapping[str, float]  # mean over the classes that were asked for, but the background
    background_iou: Mapping[str, float]
    by_name: Mapping[str, float]  # with grounding


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    persons = WORLDS["grounded"].person_share if subject.knows_persons else 0.0
    scenes = held_out_scenes(options.num_layouts, subject.grounded_names, persons)
    items = [with_map(item) for item in scenes]
    pipeline, examine = subject.pipelines[KIND], map_examiner(subject.names, subject.knows_persons)
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        drawn(DRAWN, items, examine),
    ]


def with_map(item: HeldOut) -> HeldOut:
    """Give the labels of an item's scene as its layout."""
    return replace(item, layout=Layout(map=Image.fromarray(draw_labels(item.scene))))


def map_examiner(names: Sequence[str], knows_persons: bool) -> Examiner:
    """Return what counts, by label, the pixels asked for, shown, and both."""

    def examine(item: HeldOut, picture: Picture) -> Record:
        asked, shown = draw_labels(item.scene), shown_labels(picture, names, knows_persons)
        labels = range(len(NAMES))
        return {
            "both": [int(((asked == k) & (shown == k)).sum()) for k in labels],
            "either": [int(((asked == k) | (shown == k)).sum()) for k in labels],
        }

    return examine


def shown_labels(picture: Picture, names: Sequence[str], knows_persons: bool) -> np.ndarray:
    """Return the label of what each pixel shows, uint8 (64, 64).

    Every name that is found counts with the shape of its sprite at its best place; where two of
    them meet, the one that explains its place better lies above.
    """
    found = detect_all(picture, names)
    persons = find_persons(picture, 2) if knows_persons else []
    seen = tuple(f.person for f in persons if f.score >= PERSON_THRESHOLD)
    objects = tuple(SceneObject(d.name, _inside(d)) for d in reversed(found))
    return draw_labels(Scene("plain gray", objects, seen))


def summarise(measured: MeasuredSeries) -> SemanticResult:
    """Return the figures of the series."""
    by_name = {series: _class_iou(measured, series) for series in TITLES}
    means = {
        series: float(np.mean([v for name, v in own.items() if name != NAMES[0]]))
        for series, own in by_name.items()
    }
    backgrounds = {series: own[NAMES[0]] for series, own in by_name.items()}
    return SemanticResult(means, backgrounds, by_name[ON])


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del subject, options
    result = summarise(measured)
    rows = [
        [title, share(result.mean_iou[name]), share(result.background_iou[name])]
        for name, title in TITLES.items()
    ]
    text = "\n\n".join(
        [
            "What a picture shows is read off it by fitting every sprite and figure; each counts "
            f"with its own shape if it is found (explained variance of {THRESHOLD} or more). The "
            "intersection over union with the asked map is taken for each class over all "
            f"{len(measured[ON].items)} pictures, then averaged over the classes.",
            markdown_table(["", "class IoU", "IoU of the background"], rows),
        ]
    )
    names = list(result.by_name)
    chart = bar_chart(names, {"IoU": [result.by_name[name] for name in names]}, "IoU")
    columns = {
        "map": [colour_labels(draw_labels(item.scene)) for item in measured[ON].items],
        **{TITLES[name]: measured[name].pictures for name in (ON, OFF)},
    }
    illustrations = (
        Illustration("semantic.png", "IoU of each class", chart),
        Illustration(
            "semantic-sheet.png",
            "The first maps, and what was made of them",
            sheet(measured[ON].items, columns),
        ),
    )
    return Section("semantic", "Semantic maps", text, illustrations, asdict(result))


def colour_labels(labels: np.ndarray) -> Picture:
    """Paint a map for people, each label in its own colour: uint8 (H, W, 3)."""
    palette = np.random.default_rng(3).integers(60, 256, (len(NAMES), 3), np.uint8)
    palette[0] = 40
    return palette[labels]


def _class_iou(measured: MeasuredSeries, series: str) -> dict[str, float]:
    """Return the IoU of every class that the maps ask for."""
    asked = {NAMES[0]}
    for item in measured[series].items:
        asked |= {thing.name for thing in item.scene.things}
    both = np.sum([record["both"] for record in measured[series].records], axis=0)
    either = np.sum([record["either"] for record in measured[series].records], axis=0)
    labels = {name: label_of(name) if name != NAMES[0] else 0 for name in NAMES if name in asked}
    return {name: float(both[label] / either[label]) for name, label in labels.items()}


def _inside(found: Detection) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in found.box)
    return x0, y0, x1, y1


TABLE = Table("semantic", needs_kind(KIND), plan, section)
