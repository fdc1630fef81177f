"""Presets: what do the faster ways to paint cost in boxes and pictures, and what do they save?"""

import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from gligen.evaluation.layouts import HeldOut, held_out_layouts, held_out_scenes
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.plots import sheet, speed_against_quality
from gligen.evaluation.quality import (
    frechet_distance,
    peak_signal_to_noise,
    picture_features,
    structural_similarity,
)
from gligen.evaluation.report import Illustration, Section, markdown_table, share
from gligen.evaluation.series import Series, draw_item, generated
from gligen.evaluation.sprites import SpriteFigures, sprite_examiner, sprite_figures
from gligen.evaluation.subject import BOXES, Subject
from gligen.evaluation.tables.table import MeasuredSeries, Table, needs_sets
from gligen.exact.counting import count_rows
from gligen.presets import PRESETS, Preset

EXACT = PRESETS[0]
SHOWN = ("exact", "fast", "faster", "deepcache=3")  # on the contact sheet
NUM_ROUNDS = 9  # of timing, each with one picture of every preset


@dataclass(frozen=True)
class Speed:
    """What one picture costs, made alone."""

    evaluations: int  # of the UNet for one half of guidance
    whole_evaluations: int  # of these, with the deep levels
    seconds: float  # median
    speed_up: float  # median of the rounds' ratios to the exact picture
    lowest: float  # of those ratios
    highest: float


@dataclass(frozen=True)
class PresetFigures:
    """What one preset comes to."""

    boxes: SpriteFigures
    # Like the exact picture of the same noise: medians over the pictures, None for itself
    psnr: float | None  # dB
    similarity: float | None  # 1 = the same
    distance: float  # Fréchet distance from drawn scenes
    speed: Speed


@dataclass(frozen=True)
class PresetsResult:
    """The figures by preset, and how they came about."""

    by_preset: Mapping[str, PresetFigures]
    num_rounds: int


def plan(subject: Subject, options: WorldOptions) -> list[Series]:
    """Return the series of the table."""
    items = held_out_layouts(options.num_layouts, subject.grounded_names)
    pipeline, examine = subject.pipelines[BOXES], sprite_examiner(subject.names)
    return [
        generated(series_name(preset), items, pipeline, options_of(preset, options), examine)
        for preset in PRESETS
    ]


def series_name(preset: str) -> str:
    """Return the name of the series of a preset."""
    return f"presets-{preset.replace('=', '-')}"


def options_of(preset: str, options: WorldOptions) -> WorldOptions:
    """Return the options of a preset: as command line and page paint, with PLMS by default."""
    sampler = options.sampler
    if sampler is None and Preset.from_text(preset).sampler is None:
        sampler = "plms"
    return replace(options, preset=preset, sampler=sampler)


def summarise(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> PresetsResult:
    """Return the figures of the series; speed is measured here."""
    pipeline, count = subject.pipelines[BOXES], options.num_layouts
    others = held_out_scenes(2 * count, subject.grounded_names)[count:]
    reference = picture_features(pipeline, [draw_item(item) for item in others])
    exact = measured[series_name(EXACT)]
    speeds = measure_speeds(pipeline, exact.items[0], options)
    by_preset = {}
    for preset in PRESETS:
        own = measured[series_name(preset)]
        pairs = list(zip(own.pictures, exact.pictures, strict=True))
        is_exact = preset == EXACT
        features = picture_features(pipeline, own.pictures)
        by_preset[preset] = PresetFigures(
            boxes=sprite_figures(own.items, own.records),
            psnr=None if is_exact else _median(peak_signal_to_noise(a, b) for a, b in pairs),
            similarity=None if is_exact else _median(structural_similarity(a, b) for a, b in pairs),
            distance=frechet_distance(features, reference),
            speed=speeds[preset],
        )
    return PresetsResult(by_preset, NUM_ROUNDS)


def measure_speeds(
    pipeline: Any, item: HeldOut, options: WorldOptions, num_rounds: int = NUM_ROUNDS
) -> dict[str, Speed]:
    """Time one picture of every preset in each round, one after the other, and count the work."""
    works: dict[str, tuple[int, int]] = {}
    seconds: dict[str, list[float]] = {preset: [] for preset in PRESETS}
    for preset in PRESETS:  # also the warm-up
        works[preset] = _count_work(pipeline, item, options_of(preset, options))
    for _ in range(num_rounds):
        for preset in PRESETS:
            seconds[preset].append(_time(pipeline, item, options_of(preset, options)))
    speeds = {}
    for preset, own in seconds.items():
        ratios = [exact / mine for exact, mine in zip(seconds[EXACT], own, strict=True)]
        speeds[preset] = Speed(
            *works[preset],
            statistics.median(own),
            statistics.median(ratios),
            min(ratios),
            max(ratios),
        )
    return speeds


def _count_work(pipeline: Any, item: HeldOut, options: WorldOptions) -> tuple[int, int]:
    """Return the evaluations of one half of guidance, and those of them with deep levels."""
    unet = pipeline.unet
    last, deepest = unet.conv_out, unet.mid_block.resnets[0].conv2
    rows = count_rows(lambda: _paint(pipeline, item, options), (last, deepest))
    return rows[0], rows[1]


def _time(pipeline: Any, item: HeldOut, options: WorldOptions) -> float:
    """Return the seconds of one picture; on a CPU those of its own work, which others do not slow.

    Elsewhere a picture is only there once the device is done, so the clock on the wall will do.
    """
    clock = time.process_time if pipeline.unet.device.type == "cpu" else time.perf_counter
    began = clock()
    _paint(pipeline, item, options)
    return clock() - began


def _paint(pipeline: Any, item: HeldOut, options: WorldOptions) -> None:
    pipeline(
        [item.caption],
        layout=[item.layout],
        generator=[torch.Generator("cpu").manual_seed(item.seed)],
        **options.call_arguments(None),
    )


def section(subject: Subject, options: WorldOptions, measured: MeasuredSeries) -> Section:
    """Describe the figures."""
    result = summarise(subject, options, measured)
    exact = measured[series_name(EXACT)]
    text = "\n\n".join(
        [
            f"The first table's layouts ({len(exact.items)}, {_objects(result)} objects), painted "
            "by every preset from the same noise. AP50, top-1 and IoU as there. PSNR and SSIM "
            "compare with the exact picture of the same noise (medians); the Fréchet distance is "
            f"that from {options.num_layouts} other drawn scenes. *Evaluations* are those of the "
            "UNet for one half of guidance, in brackets those of them with the deep levels. "
            f"*Speed-up* is the median, over {result.num_rounds} rounds in which every preset "
            "paints one picture in turn, of the ratio to the exact one, in brackets the extremes; "
            f"{torch.get_num_threads()} thread(s), texts and decoding included.",
            preset_table(result),
        ]
    )
    chart = speed_against_quality(
        {
            preset: (figures.speed.speed_up, figures.boxes.ap50, figures.psnr)
            for preset, figures in result.by_preset.items()
        }
    )
    columns = {preset: measured[series_name(preset)].pictures for preset in SHOWN}
    illustrations = (
        Illustration("presets.png", "Boxes and likeness by speed", chart),
        Illustration("presets-sheet.png", "The first layouts", sheet(exact.items, columns)),
    )
    return Section("presets", "Presets", text, illustrations, asdict(result))


def preset_table(result: PresetsResult) -> str:
    """Return the Markdown table of the figures, a row each."""
    head = ["preset", "AP50", "top-1 in the box", "mean IoU", "PSNR, dB", "SSIM"]
    head += ["Fréchet distance", "evaluations", "s", "speed-up"]
    return markdown_table(head, [_row(*entry) for entry in result.by_preset.items()])


def _row(preset: str, figures: PresetFigures) -> list[str]:
    boxes, speed = figures.boxes, figures.speed
    return [
        preset,
        *(share(value) for value in (boxes.ap50, boxes.top1, boxes.mean_iou)),
        "" if figures.psnr is None else f"{figures.psnr:.1f}",
        "" if figures.similarity is None else share(figures.similarity),
        share(figures.distance),
        f"{speed.evaluations} ({speed.whole_evaluations})",
        f"{speed.seconds:.2f}",
        f"{speed.speed_up:.2f} ({speed.lowest:.2f}-{speed.highest:.2f})",
    ]


def _objects(result: PresetsResult) -> int:
    return result.by_preset[EXACT].boxes.num_objects


def _median(values: Iterable[float]) -> float:
    return float(np.median(list(values)))


TABLE = Table("presets", needs_sets(BOXES), plan, section)
