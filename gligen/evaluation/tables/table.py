"""What a table of the evaluation consists of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gligen.evaluation.options import WorldOptions
from gligen.evaluation.report import Section
from gligen.evaluation.series import Series
from gligen.evaluation.sprites import SpriteFigures, sprite_figures
from gligen.evaluation.state import Measured
from gligen.evaluation.subject import Subject

MeasuredSeries = Mapping[str, Measured]  # by the name of the series


@dataclass(frozen=True)
class Table:
    """One table: why it may be impossible, which pictures it needs, and what it says of them."""

    name: str  # as the command line calls it
    # A sentence that says why the table cannot be measured; None: it can.
    lacking: Callable[[Subject, WorldOptions], str | None]
    plan: Callable[[Subject, WorldOptions], list[Series]]
    section: Callable[[Subject, WorldOptions, MeasuredSeries], Section]


def needs_kind(kind: str) -> Callable[[Subject, WorldOptions], str | None]:
    """Return the `lacking` of a table that needs one kind of pipeline."""

    def lacking(subject: Subject, options: WorldOptions) -> str | None:
        del options
        if kind in subject.pipelines:
            return None
        return f"the model has no pipeline of the kind {kind}."

    return lacking


def needs_sets(kind: str) -> Callable[[Subject, WorldOptions], str | None]:
    """Return the `lacking` of a table that compares sets of pictures of one kind."""
    missing = needs_kind(kind)

    def lacking(subject: Subject, options: WorldOptions) -> str | None:
        if options.num_layouts < 2:
            return "picture quality is a distance between sets, and there is one layout."
        return missing(subject, options)

    return lacking


def figures_of(titles: Iterable[str], measured: MeasuredSeries) -> dict[str, SpriteFigures]:
    """Return what was found of the world's sprites in each of some series."""
    return {name: sprite_figures(measured[name].items, measured[name].records) for name in titles}
