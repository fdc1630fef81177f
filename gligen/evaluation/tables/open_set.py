"""Open set: are things placed that the base knows and grounded training has never shown?"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gligen.evaluation.layouts import held_out_layouts
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import bar_chart, sheet
from gligen.evaluation.report import Illustration, Section
from gligen.evaluation.series import Series, drawn, generated
from gligen.evaluation.sprites import SpriteFigures, sprite_examiner
from gligen.evaluation.subject import BOXES, Subject
from gligen.evaluation.tables.boxes import sprite_table
from gligen.evaluation.tables.table import MeasuredSeries, Table, figures_of, needs_kind

ON, OFF, DRAWN = "open_set-on", "open_set-off", "open_set-drawn"
TITLES = {ON: "grounding on", OFF: "grounding off", DRAWN: "drawn scenes"}


@dataclass(frozen=True)
class OpenSetResult:
    """What was found, by series."""

    by_series: Mapping[str, SpriteFigures]


def lacking(subject: Subject, options: WorldOptions) -> str | None:
    """Say why the table cannot be measured."""
    if not subject.open_names:
        return "the base knows no thing beside those that grounded training shows."
    return needs_kind(BOXES)(subject, options)


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    items = held_out_layouts(options.num_layouts, subject.open_names)
    pipeline, examine = subject.pipelines[BOXES], sprite_examiner(subject.names)
    return [
        generated(ON, items, pipeline, options, examine),
        generated(OFF, items, pipeline, options, examine, tau=0.0),
        drawn(DRAWN, items, examine),
    ]


def summarise(measured: MeasuredSeries) -> OpenSetResult:
    """Return the figures of the series."""
    return OpenSetResult(figures_of(TITLES, measured))


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del options
    result = summarise(measured)
    names = list(result.by_series[ON].ap50_by_name)
    text = "\n\n".join(
        [
            f"The {len(names)} names here ({', '.join(subject.open_names)}) were in the captions "
            "of the base and in no box of grounded training. That they are placed all the same is "
            "the open-set claim. Columns as above.",
            sprite_table({title: result.by_series[name] for name, title in TITLES.items()}),
        ]
    )
    bars = {
        TITLES[s]: [result.by_series[s].ap50_by_name[name] for name in names] for s in (ON, DRAWN)
    }
    pictures = {TITLES[name]: measured[name].pictures for name in (ON, OFF)}
    illustrations = (
        Illustration("open_set.png", "AP50 of each unseen name", bar_chart(names, bars, "AP50")),
        Illustration(
            "open_set-sheet.png",
            "The first layouts of unseen names",
            sheet(measured[ON].items, pictures),
        ),
    )
    return Section("open_set", "Open set", text, illustrations, asdict(result))


TABLE = Table("open_set", lacking, plan, section)
