"""Ablations: how well other designs of the new layers follow the same boxes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gligen.evaluation.layouts import held_out_layouts
from gligen.evaluation.options import Ablation, WorldOptions
from gligen.evaluation.plots import bar_chart
from gligen.evaluation.report import Illustration, Section
from gligen.evaluation.series import Series, generated
from gligen.evaluation.sprites import SpriteFigures, sprite_examiner, sprite_figures
from gligen.evaluation.subject import BOXES, Subject, load_subject
from gligen.evaluation.tables.boxes import ON, sprite_table
from gligen.evaluation.tables.table import MeasuredSeries, Table

THIS_MODEL = "the model under test"


@dataclass(frozen=True)
class AblationsResult:
    """What was found, by label."""

    by_label: Mapping[str, SpriteFigures]


def lacking(subject: Subject, options: WorldOptions) -> str | None:
    """Say why the table cannot be measured."""
    del subject
    return None if options.ablations else "no other model was named (--ablation LABEL=ADAPTER)."


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table; the models are loaded here.

    Raises:
        ValueError: a model cannot be loaded, or does not read boxes.
    """
    items = held_out_layouts(options.num_layouts, subject.grounded_names)
    examine = sprite_examiner(subject.names)
    pipelines = {a.series: _pipeline(a, subject) for a in options.ablations}
    if BOXES in subject.pipelines:
        pipelines = {ON: subject.pipelines[BOXES], **pipelines}
    return [
        generated(name, items, pipeline, options, examine) for name, pipeline in pipelines.items()
    ]


def summarise(options: WorldOptions, measured: MeasuredSeries) -> AblationsResult:
    """Return the figures of the series."""
    names = {a.label: a.series for a in options.ablations}
    if ON in measured:
        names = {THIS_MODEL: ON, **names}
    return AblationsResult(
        {
            label: sprite_figures(measured[name].items, measured[name].records)
            for label, name in names.items()
        }
    )


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    del subject
    result = summarise(options, measured)
    text = "\n\n".join(
        [
            "The layouts of the first table, grounding on, painted by models whose new layers are "
            "built otherwise and trained alike. Columns as there.",
            sprite_table(result.by_label),
        ]
    )
    labels = list(result.by_label)
    bars = {
        "AP": [result.by_label[label].ap for label in labels],
        "AP50": [result.by_label[label].ap50 for label in labels],
        "top-1": [result.by_label[label].top1 for label in labels],
    }
    chart = Illustration("ablations.png", "Boxes by design", bar_chart(labels, bars, "share"))
    return Section("ablations", "Ablations", text, (chart,), asdict(result))


def _pipeline(ablation: Ablation, subject: Subject) -> object:
    place = ablation.source, ablation.base
    pipelines = load_subject(*place, subject.device, subject.dtype).pipelines
    if BOXES not in pipelines:
        raise ValueError(
            f"The ablation {ablation.label!r} ({ablation.source}) is of the kind "
            f"{', '.join(pipelines)}; boxes are compared with the kind {BOXES}."
        )
    return pipelines[BOXES]


TABLE = Table("ablations", lacking, plan, section)
