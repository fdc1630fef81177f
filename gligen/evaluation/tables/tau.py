"""Scheduled sampling: what the share of grounded steps (tau) does to boxes and to pictures."""

from dataclasses import asdict, dataclass

from gligen.evaluation.layouts import held_out_layouts, held_out_scenes
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import sheet, trade_off
from gligen.evaluation.quality import frechet_distance, picture_features
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Series, draw_item, drawn, generated
from gligen.evaluation.sprites import sprite_examiner, sprite_figures
from gligen.evaluation.subject import BOXES, Subject
from gligen.evaluation.tables.boxes import DRAWN, OFF, ON
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_sets
from gligen.kinds import kind_named

TAUS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
SHOWN = (0.0, 0.3, 1.0)  # on the contact sheet


@dataclass(frozen=True)
class TauFigures:
    """What one tau comes to."""

    tau: float
    ap50: float
    top1: float
    distance: float  # Fréchet distance from drawn scenes


@dataclass(frozen=True)
class TauResult:
    """The trade-off of scheduled sampling."""

    rows: tuple[TauFigures, ...]
    distance_of_drawn: float  # of other drawn scenes from the same; what is not reached, but for it


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table; those that the table of boxes has are the same."""
    items = held_out_layouts(options.num_layouts, subject.grounded_names)
    pipeline, examine = subject.pipelines[BOXES], sprite_examiner(subject.names)
    series = []
    for tau in TAUS:
        name = series_name(tau, options)
        # As the table of boxes has it, the default is not named: it is one and the same series.
        given = None if name == ON else tau
        series.append(generated(name, items, pipeline, options, examine, given))
    return [*series, drawn(DRAWN, items, examine)]


def series_name(tau: float, options: WorldOptions) -> str:
    """Return the name of the series of a tau."""
    usual = kind_named(BOXES).usual_tau if options.tau is None else options.tau
    if tau == 0:
        return OFF
    return ON if tau == usual else f"tau-{tau:g}"


def summarise(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> TauResult:
    """Return the figures of the series."""
    pipeline, count = subject.pipelines[BOXES], options.num_layouts
    # Scenes that no picture was asked to show.
    others = held_out_scenes(2 * count, subject.grounded_names)[count:]
    reference = picture_features(pipeline, [draw_item(item) for item in others])

    def distance(series: str) -> float:
        features = picture_features(pipeline, measured[series].pictures)
        return frechet_distance(features, reference)

    rows = []
    for tau in TAUS:
        name = series_name(tau, options)
        figures = sprite_figures(measured[name].items, measured[name].records)
        rows.append(TauFigures(tau, figures.ap50, figures.top1, distance(name)))
    return TauResult(tuple(rows), distance(DRAWN))


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    result = summarise(subject, options, measured)
    head = ["tau", "AP50", "top-1 in the box", "Fréchet distance"]
    rows = [
        [f"{row.tau:g}", share(row.ap50), share(row.top1), f"{row.distance:.4g}"]
        for row in result.rows
    ]
    rows.append(["drawn scenes", "", "", f"{result.distance_of_drawn:.4g}"])
    best = min(result.rows, key=lambda row: row.distance)
    highest = max(result.rows, key=lambda row: row.ap50)
    text = "\n\n".join(
        [
            "Grounding acts in the first share tau of the steps, then the base goes on alone. "
            f"AP50 is highest at tau {highest.tau:g}, and the pictures are nearest to drawn scenes "
            f"at tau {best.tau:g}. Quality is the Fréchet distance between the pictures and "
            f"{options.num_layouts} other drawn scenes, on features of the model's own "
            "autoencoder; it depends on the number of pictures, so compare only equal numbers.",
            markdown_table(head, rows),
        ]
    )
    chart = trade_off(
        [row.tau for row in result.rows],
        [row.ap50 for row in result.rows],
        [row.distance for row in result.rows],
        result.distance_of_drawn,
    )
    columns = {f"tau {tau:g}": measured[series_name(tau, options)].pictures for tau in SHOWN}
    illustrations = (
        Illustration("tau.png", "Boxes and picture quality by tau", chart),
        Illustration(
            "tau-sheet.png",
            "The first layouts by tau",
            sheet(measured[ON if ON in measured else OFF].items, columns),
        ),
    )
    return Section("tau", "Scheduled sampling", text, illustrations, asdict(result))


TABLE = Table("tau", needs_sets(BOXES), plan, section)
