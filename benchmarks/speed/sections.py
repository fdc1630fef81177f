"""The parts of the benchmark, by name; each returns what is written down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.speed.bench import COMPILED, OURS, STOCK, UNCOMPILED, Bench
from benchmarks.speed.contenders import SCHEDULERS, ours
from benchmarks.speed.evaluations import (
    GATES,
    LADDER,
    Pair,
    count,
    product_rate,
    seconds_by_part,
)
from benchmarks.speed.models import TEXT_BOXES, TEXT_IMAGES, without_savings
from benchmarks.speed.timing import Times, alternate, measure, summary
from gligen.exact.options import NO_SAVINGS, PHASES, PLAIN, TRANSPOSED
from gligen.exact.upsampling import convolution, rule, time_forms
from gligen.layout import Layout
from gligen.loading import load_pipeline
from gligen.request import Request

Section = Callable[[Bench], dict[str, Any]]

EMBEDDED_REGIONS = [
    "a sun: 0.05,0.05,0.40,0.40",
    "a rocket: 0.60,0.05,0.95,0.42",
    "a dog: 0.05,0.55,0.45,0.95",
    "an apple: 0.55,0.58,0.92,0.95",
]


def compare_text_boxes(bench: Bench) -> dict[str, Any]:
    """Phrases in boxes, against diffusers and the structure of the authors' loop."""
    return bench.compare(bench.contenders(TEXT_BOXES), bench.call)


def compare_text_images(bench: Bench) -> dict[str, Any]:
    """Phrases and reference pictures in boxes, grounded in all steps, as diffusers does."""
    return bench.compare(bench.contenders(TEXT_IMAGES), replace(bench.call, tau=1.0))


def compare_compiled(kind: str) -> Section:
    """Return the section in which diffusers' UNet is compiled, and this library's too."""

    def run(bench: Bench) -> dict[str, Any]:
        call = bench.call if kind == TEXT_BOXES else replace(bench.call, tau=1.0)
        compiled = bench.compiled(kind)
        if compiled is None:
            return {"left_out": bench.notes[-1]}
        others = bench.contenders(kind, (STOCK, OURS))
        contenders = {STOCK: others[STOCK], COMPILED: compiled, UNCOMPILED: others[OURS]}
        return bench.compare({**contenders, OURS: bench.ours_compiled(kind)}, call)

    return run


def time_embedded(bench: Bench) -> dict[str, Any]:
    """The model of this repository with default settings, against itself without savings.

    diffusers' pipelines refuse its latents, which have twelve channels.
    """
    saving = load_pipeline(device=bench.device)
    plain = without_savings(saving, NO_SAVINGS)
    layout = Layout.from_text(EMBEDDED_REGIONS)

    def paint(pipeline: Any) -> Callable[[int], Any]:
        return lambda turn: pipeline.generate(
            Request(f"things in a field, {turn}", layout, gate_schedule=0.3, seed=turn)
        )

    contenders = {"without savings": paint(plain), OURS: paint(saving)}
    times = alternate(contenders, bench.rounds, 1, bench.device, bench.show)
    return summary(times, bench.device)


def vary(name: str, values: tuple, contenders: tuple[str, ...] = (STOCK, OURS)) -> Section:
    """Return a section that changes one field of the call."""

    def run(bench: Bench) -> dict[str, Any]:
        runs = bench.contenders(TEXT_BOXES, contenders)
        points = {}
        for value in values:
            bench.show(f"{name} {value}")
            call = replace(bench.call, **{name: value})
            points[str(value)] = bench.compare(runs, call, bench.curve_rounds)
        return {"points": points}

    return run


def vary_batch(bench: Bench) -> dict[str, Any]:
    """Pictures at once, with the time that products alone would take at the device's best."""
    sizes = (1, 2, 4, 8, 16) if bench.is_cuda else (1, 2, 4)
    found = vary("num_images", sizes)(bench)
    rate = product_rate(bench.device, bench.dtype)
    pair = Pair(bench.models())
    gflop = {name: count(pair.saving(gate))["gflop"] for name, gate in GATES.items()}
    grounded, call = bench.call.num_grounded, bench.call
    total = grounded * gflop["grounded"] + (call.num_evaluations - grounded) * gflop["plain"]
    return {**found, "gflop_per_picture": total, "gflop_per_second": rate / 1e9}


def vary_steps(bench: Bench) -> dict[str, Any]:
    """Numbers of steps, with each scheduler."""
    points = {}
    for scheduler in SCHEDULERS:
        for steps in (10, 20, 30, 50) if bench.is_cuda else (5, 10, 20):
            bench.show(f"{scheduler}, {steps} steps")
            call = replace(bench.call, num_steps=steps, scheduler=scheduler)
            runs = bench.contenders(TEXT_BOXES, (STOCK, OURS))
            points[f"{scheduler}, {steps}"] = bench.compare(runs, call, bench.curve_rounds)
    return {"points": points}


def vary_side(bench: Bench) -> dict[str, Any]:
    """Sides of the picture in pixels."""
    usual = 8 * bench.size.side
    factors = (0.5, 1, 1.5, 2) if bench.is_cuda else (0.5, 1, 1.5)
    return vary("side", tuple(int(usual * factor) for factor in factors))(bench)


def split_evaluations(bench: Bench) -> dict[str, Any]:
    """Seconds by part of a grounded and of a plain evaluation, here and in diffusers."""
    pair = Pair(bench.models())
    found = {}
    for name, gate in GATES.items():
        for who, evaluation in ((STOCK, pair.stock(gate)), (OURS, pair.saving(gate))):
            bench.show(f"{who}, {name}")
            found[f"{who}, {name}"] = seconds_by_part(evaluation, bench.device)
    return {"parts": found}


def climb_savings(bench: Bench) -> dict[str, Any]:
    """One evaluation with one saving after another: time and work."""
    pair, found = Pair(bench.models()), {}
    for name, gate in GATES.items():
        steps = {step: pair.saving(gate, options) for step, options in LADDER.items()}
        runs = {step: (lambda _, run=run: run()) for step, run in steps.items()}
        times = alternate(runs, 2 * bench.rounds + 1, 2, bench.device)
        work = {step: count(run) for step, run in steps.items()}
        found[name] = {**summary(times, bench.device), "work": work}
    return {"evaluations": found}


def compare_precisions(bench: Bench) -> dict[str, Any]:
    """This library in other dtypes and layouts of memory, from the same models."""
    models = bench.exact_models(TEXT_BOXES)
    dtypes = [torch.float32, torch.bfloat16, *([torch.float16] if bench.is_cuda else [])]
    runs = {}
    for dtype in dtypes:
        for layout in (torch.contiguous_format, torch.channels_last):
            pipeline = models.to(dtype).ours
            pipeline.unet.to(memory_format=layout)
            pipeline.vae.to(memory_format=layout)
            name = str(dtype).removeprefix("torch.")
            last = ", channels last" if layout == torch.channels_last else ""
            runs[name + last] = ours(pipeline)
    return bench.compare(runs, bench.call, bench.curve_rounds)


def time_upsampling(bench: Bench) -> dict[str, Any]:
    """Each upsampling of the UNet in each form, and which of them the rule takes."""
    unet: Any = bench.models().ours.unet
    found, side = {}, bench.size.side // 2 ** (len(bench.size.widths) - 1)
    for block in unet.up_blocks:
        for layer in block.upsamplers or []:
            conv = convolution(layer)
            shape = torch.Size((2, conv.in_channels, side, side))
            seconds = time_forms(layer, shape, 4 * bench.rounds)
            forms = {form: seconds[form] for form in (PLAIN, TRANSPOSED, PHASES)}
            found[f"{conv.in_channels} channels, {side} x {side}"] = {
                "seconds": forms,
                "rule": rule(conv.weight),
            }
            side *= 2
    return {"layers": found}


def time_decoding(bench: Bench) -> dict[str, Any]:
    """The decoder alone, with its upsamplings folded and as it is."""
    from gligen.finishing import decode

    models = bench.models()
    pipelines = {STOCK: without_savings(models.ours, NO_SAVINGS), OURS: models.ours}
    latents = torch.randn(1, 4, bench.size.side, bench.size.side).to(bench.device, bench.dtype)
    times = {name: Times() for name in pipelines}
    for turn in range(bench.rounds + 1):
        for name, pipeline in pipelines.items():
            taken = measure(lambda p=pipeline: decode(p._components, latents), bench.device)
            if turn:
                times[name].add(taken)
    return summary(times, bench.device)


SECTIONS: dict[str, Section] = {
    "text-box": compare_text_boxes,
    "text-image": compare_text_images,
    "embedded": time_embedded,
    "parts": split_evaluations,
    "savings": climb_savings,
    "tau": vary("tau", (0.0, 0.1, 0.3, 0.5, 1.0)),
    "boxes": vary("num_boxes", (1, 4, 8, 16, 30)),
    "steps": vary_steps,
    "batch": vary_batch,
    "side": vary_side,
    "precision": compare_precisions,
    "upsampling": time_upsampling,
    "decoding": time_decoding,
    "compiled text-box": compare_compiled(TEXT_BOXES),
    "compiled text-image": compare_compiled(TEXT_IMAGES),
}
QUICK = ("text-box", "text-image", "embedded", "parts")
