"""Boxes: are things where the boxes say, with grounding on, off, and with mirrored boxes?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gligen.evaluation.layouts import held_out_layouts, mirrored_item
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Series, drawn, generated
from gligen.evaluation.sprites import SpriteFigures, sprite_examiner
from gligen.evaluation.subject import BOXES, Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, figures_of, needs_kind

ON, OFF, MIRRORED, DRAWN = "boxes-on", "boxes-off", "boxes-mirrored", "boxes-drawn"
TITLES = {
    ON: "grounding on",
    OFF: "grounding off",
    MIRRORED: "boxes mirrored",
    DRAWN: "drawn scenes",
}


@dataclass(frozen=True)
class BoxesResult:
    """What was found, by series."""

    by_series: Mapping[str, SpriteFigures]


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    items = held_out_layouts(options.num_layouts, subject.grounded_names)
    turned = [mirrored_item(item) for item in items]
    pipeline, examine = subject.pipelines[BOXES], sprite_examiner(subject.names)
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        generated(MIRRORED, turned, pipeline, options, examine),
        drawn(DRAWN, items, examine),
    ]


def summarise(measured: MeasuredSeries) -> BoxesResult:
    """Return the figures of the series."""
    return BoxesResult(figures_of(TITLES, measured))


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del options
    result = summarise(measured)
    on, truth = result.by_series[ON], result.by_series[DRAWN]
    names = list(on.ap50_by_name)
    by_name = [[name, share(on.ap50_by_name[name]), share(on.top1_by_name[name])] for name in names]
    text = "\n\n".join(
        [
            f"Is each thing in its box? {on.num_objects} objects on {len(measured[ON].items)} "
            "layouts of 1-4 regions. *Mirrored* reflects every box through the middle of the "
            "picture, and the object must follow. AP is COCO's, by pycocotools: every picture is "
            f"searched for all {len(names)} names, each at its best place, so that a thing nobody "
            "asked for counts against the model; the column *asked names only* leaves those out. "
            f"*Top-1*: of all {len(subject.names)} sprites, the one asked for explains its box "
            "best. Mean IoU counts 0 for what is not recognised.",
            sprite_table({title: result.by_series[name] for name, title in TITLES.items()}),
            "By name, grounding on:",
            markdown_table(["name", "AP50", "top-1"], by_name),
        ]
    )
    bars = {"grounding on": [on.ap50_by_name[name] for name in names]}
    bars["drawn scenes"] = [truth.ap50_by_name[name] for name in names]
    pictures = {TITLES[name]: measured[name].pictures for name in (ON, OFF)}
    illustrations = (
        Illustration("boxes.png", "AP50 of each name", bar_chart(names, bars, "AP50")),
        Illustration(
            "boxes-sheet.png",
            "The first layouts, with grounding and without",
            sheet(measured[ON].items, pictures),
        ),
        Illustration(
            "boxes-mirrored-sheet.png",
            "The same with mirrored boxes",
            sheet(measured[MIRRORED].items, {TITLES[MIRRORED]: measured[MIRRORED].pictures}),
        ),
    )
    return Section("boxes", "Boxes", text, illustrations, asdict(result))


def sprite_table(rows: Mapping[str, SpriteFigures]) -> str:
    """Return the Markdown table of figures, a row each."""
    head = ["", "AP", "AP50", "AP75", "AP50, asked names only", "top-1 in the box", "mean IoU"]
    return markdown_table(
        head,
        [
            [
                title,
                *(share(v) for v in (f.ap, f.ap50, f.ap75, f.ap50_asked, f.top1, f.mean_iou)),
            ]
            for title, f in rows.items()
        ],
    )


TABLE = Table("boxes", needs_kind(BOXES), plan, section)
