"""The paper's tables in kind on the synthetic world: plan, paint, look, report.

What is painted is kept in the folder of the evaluation, so that a run that was cut short goes on,
and tables that are asked for later use the pictures of the earlier ones.
"""

import inspect
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gligen.evaluation.options import TABLES, WorldOptions
from gligen.evaluation.report import Report
from gligen.evaluation.series import Series
from gligen.evaluation.state import Batch, StateFolder
from gligen.evaluation.subject import Subject
from gligen.evaluation.tables import (
    ablations,
    boxes,
    canny,
    images,
    inpainting,
    keypoints,
    open_set,
    presets,
    semantic,
    tau,
)
from gligen.evaluation.tables.table import MeasuredSeries, Table
from gligen.kinds import kind_named
from gligen.pipeline import GligenPipeline
from gligen.presets import Preset
from gligen.training.bank import HELD_OUT_SEED

_MODULES = (
    *(boxes, open_set, tau, presets),
    *(inpainting, images, keypoints, semantic, canny, ablations),
)
_BY_NAME: dict[str, Table] = {module.TABLE.name: module.TABLE for module in _MODULES}
_SOFTWARE = ("torch", "diffusers", "transformers", "numpy", "pycocotools", "pillow")

OnPictures = Callable[[str, int, int], None]  # series, pictures now done, pictures in all


def evaluate_world(
    subject: Subject,
    folder: Path,
    options: WorldOptions | None = None,
    on_pictures: OnPictures | None = None,
) -> Report:
    """Measure the tables and write the report into `folder`.

    Args:
        subject: the model, as `load_subject` returns it.
        folder: gets report.md, report.json, plots and, below pictures/, all that was painted;
            what is there already is not painted again.
        options: what to measure; default: everything that the model has kinds for.
        on_pictures: told about progress: the series, its pictures that were just done or found, and
            the number of pictures of all series.

    Raises:
        ValueError: the folder holds pictures of another model or other settings, no table can be
            measured, or a library is missing.
    """
    options = options or WorldOptions()
    tables, lacking = choose_tables(subject, options)
    series = plan_series(tables, subject, options)
    state = StateFolder(folder / "pictures")
    measured = paint_series(series, state, options.batch_size, on_pictures)
    report = Report(
        model=subject.name,
        facts=_facts(subject, options, measured),
        sections=tuple(table.section(subject, options, measured) for table in tables),
        lacking=lacking,
    )
    report.write(folder)
    return report


def choose_tables(
    subject: Subject, options: WorldOptions
) -> tuple[tuple[Table, ...], dict[str, str]]:
    """Return the tables that can be measured, and for the others why not.

    Raises:
        ValueError: there is none.
    """
    asked = [_BY_NAME[name] for name in TABLES if options.tables is None or name in options.tables]
    reasons = {table.name: table.lacking(subject, options) for table in asked}
    lacking = {name: reason for name, reason in reasons.items() if reason is not None}
    if len(lacking) == len(asked):
        told = "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
        raise ValueError(f"None of the tables can be measured. {told}")
    return tuple(table for table in asked if table.name not in lacking), lacking


def plan_series(
    tables: Sequence[Table], subject: Subject, options: WorldOptions
) -> tuple[Series, ...]:
    """Return the series of all tables; one that several need is there once."""
    planned: dict[str, Series] = {}
    for table in tables:
        for series in table.plan(subject, options):
            planned.setdefault(series.name, series)
    return tuple(planned.values())


def paint_series(
    series: Sequence[Series],
    state: StateFolder,
    batch_size: int,
    on_pictures: OnPictures | None = None,
) -> MeasuredSeries:
    """Paint and look at what `state` does not hold yet, and return everything.

    Raises:
        ValueError: the state is of another model or other settings.
    """
    total = sum(len(own.items) for own in series)
    # All are checked first: a run must not fail at its last table for what was wrong before.
    counts = {own.name: state.count(own) for own in series}
    for own in series:
        start = counts[own.name]
        if on_pictures:
            on_pictures(own.name, min(start, len(own.items)), total)
        while start < len(own.items):
            batch = _paint_batch(own, start, batch_size)
            state.append(own, start, batch)
            start += len(batch.records)
            if on_pictures:
                on_pictures(own.name, len(batch.records), total)
    return {own.name: state.read(own) for own in series}


def _paint_batch(series: Series, start: int, batch_size: int) -> Batch:
    items = series.items[start : start + batch_size]
    began = time.perf_counter()
    pictures = series.paint(items)
    painted = time.perf_counter()
    records = [series.examine(item, p) for item, p in zip(items, pictures, strict=True)]
    examined = time.perf_counter()
    return Batch(tuple(pictures), tuple(records), painted - began, examined - painted)


def _facts(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> dict[str, Any]:
    """Return how the figures came about, as plain JSON values."""
    any_pipeline = next(iter(subject.pipelines.values()))
    usual = {
        name: parameter.default
        for name, parameter in inspect.signature(GligenPipeline.__call__).parameters.items()
    }
    preset = Preset.from_text(options.preset or "exact")
    scheduler = type(getattr(any_pipeline, "scheduler", None)).__name__
    return {
        "num_layouts": options.num_layouts,
        "first_seed": HELD_OUT_SEED,
        "names": list(subject.names),
        "knows_persons": subject.knows_persons,
        "settings": {
            "preset": preset.name,
            "steps": preset.num_steps(options.steps),
            "sampler": options.sampler
            or preset.sampler
            or f"the model's own scheduler ({scheduler})",
            "guidance": options.guidance_scale or usual["guidance_scale"],
            "tau": {kind: options.tau or kind_named(kind).usual_tau for kind in subject.pipelines},
        },
        "series": {
            name: {
                "pictures": len(own.records),
                "painting": round(own.painting, 1),
                "examining": round(own.examining, 1),
            }
            for name, own in measured.items()
        },
        "device": f"{any_pipeline.unet.device} on {platform.machine()}, {os.cpu_count()} cores, "
        f"{str(next(any_pipeline.unet.parameters()).dtype).removeprefix('torch.')}",
        "threads": torch.get_num_threads(),
        "software": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            **{name: metadata.version(name) for name in _SOFTWARE},
        },
    }
