"""Canny edges: does the picture have the edges that it was given?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from gligen.evaluation.layouts import HeldOut, held_out_scenes
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.quality import through_autoencoder
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Picture, Record, Series, draw_item, generated
from gligen.evaluation.subject import Subject, fingerprint
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_kind
from gligen.layout import Layout
from gligen.pictures.maps import canny_map
from gligen.training.bank import WORLDS

KIND = "canny"
ON, OFF, BOUND = "canny-on", "canny-off", "canny-autoencoder"
TITLES = {ON: "grounding on", OFF: "grounding off", BOUND: "drawn, through the autoencoder"}

TOLERANCES = (1, 2)  # pixels by which an edge may be beside the one asked for


@dataclass(frozen=True)
class EdgeFigures:
    """How two sets of edges agree, 0 to 1."""

    precision: float  # edges of the picture that were asked for
    recall: float  # edges asked for that the picture has
    f1: float  # harmonic mean of the two


@dataclass(frozen=True)
class CannyResult:
    """Agreement by series, then by tolerance in pixels."""

    by_series: Mapping[str, Mapping[str, EdgeFigures]]


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    persons = WORLDS["grounded"].person_share if subject.knows_persons else 0.0
    scenes = held_out_scenes(options.num_layouts, subject.grounded_names, persons)
    items = tuple(with_edges(item) for item in scenes)
    pipeline = subject.pipelines[KIND]
    # The edges of a drawn scene agree with themselves; what the latents can hold is the bound.
    bound = Series(
        BOUND,
        items,
        lambda batch: through_autoencoder(pipeline, [draw_item(item) for item in batch]),
        examine,
        {"weights": fingerprint(pipeline.vae)},
    )
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        bound,
    ]


def with_edges(item: HeldOut) -> HeldOut:
    """Give the edges of an item's drawn scene as its layout."""
    picture = Image.fromarray(draw_item(item))
    return replace(item, layout=Layout(map=canny_map(picture, picture.size)))


def examine(item: HeldOut, picture: Picture) -> Record:
    """Count the edges of a picture, those asked for, and those that have one of the others near."""
    asked = np.asarray(_edges(item).convert("L")) > 127
    image = Image.fromarray(picture)
    shown = np.asarray(canny_map(image, image.size).convert("L")) > 127
    return {
        "asked": int(asked.sum()),
        "shown": int(shown.sum()),
        "asked_met": [int((asked & widened(shown, by)).sum()) for by in TOLERANCES],
        "shown_met": [int((shown & widened(asked, by)).sum()) for by in TOLERANCES],
    }


def widened(edges: np.ndarray, by: int) -> np.ndarray:
    """Return where an edge is at most `by` pixels away, along either side: bool (H, W)."""
    pixels = torch.from_numpy(edges.astype(np.float32))[None]
    return functional.max_pool2d(pixels, 2 * by + 1, stride=1, padding=by)[0].numpy() > 0


def edge_figures(records: tuple[Record, ...], index: int) -> EdgeFigures:
    """Return how edges agree over all pictures, at the tolerance of that index."""
    asked, shown = (max(1, sum(record[key] for record in records)) for key in ("asked", "shown"))
    recall = sum(record["asked_met"][index] for record in records) / asked
    precision = sum(record["shown_met"][index] for record in records) / shown
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return EdgeFigures(precision, recall, f1)


def summarise(measured: MeasuredSeries) -> CannyResult:
    """Return the figures of the series."""
    return CannyResult(
        {
            series: {
                str(by): edge_figures(measured[series].records, index)
                for index, by in enumerate(TOLERANCES)
            }
            for series in TITLES
        }
    )


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del subject, options
    result = summarise(measured)
    head, rows = [""], [[title] for title in TITLES.values()]
    for by in TOLERANCES:
        head += [f"{what}, {by} px" for what in ("precision", "recall", "F1")]
        for row, series in zip(rows, TITLES, strict=True):
            own = result.by_series[series][str(by)]
            row += [share(own.precision), share(own.recall), share(own.f1)]
    text = "\n\n".join(
        [
            f"The Canny edges of {len(measured[ON].items)} drawn scenes are given, and compared "
            "with the Canny edges of the pictures. An edge is met if the other has one at most "
            "so many pixels away. The bound is what is left of the edges of a drawn scene once "
            "the autoencoder has packed and unpacked it.",
            markdown_table(head, rows),
        ]
    )
    bars = {f"F1, {by} px": [result.by_series[s][str(by)].f1 for s in TITLES] for by in TOLERANCES}
    columns = {
        "edges": [np.asarray(_edges(item).convert("RGB")) for item in measured[ON].items],
        **{TITLES[name]: measured[name].pictures for name in (ON, OFF)},
    }
    illustrations = (
        Illustration("canny.png", "F1 of the edges", bar_chart(list(TITLES.values()), bars, "F1")),
        Illustration(
            "canny-sheet.png",
            "The first edges, and what was made of them",
            sheet(measured[ON].items, columns),
        ),
    )
    return Section("canny", "Canny edges", text, illustrations, asdict(result))


def _edges(item: HeldOut) -> Image.Image:
    assert item.layout.map is not None, "an item of this table has a map"
    return item.layout.map


TABLE = Table("canny", needs_kind(KIND), plan, section)
