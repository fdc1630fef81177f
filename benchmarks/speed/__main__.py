"""Measure how fast pictures are made here and in diffusers, on the same weights.

    python -m benchmarks.speed [--quick] [--section NAME ...] [--out runs/speed]

On a GPU the models have the size of Stable Diffusion 1.4, on a CPU a fifth of its widths; weights
are random, gates open. First the results are compared; what gives other latents is not timed. Each
part is written to OUT/speed.json as soon as it is done, and the same command goes on after a cut;
a table (speed.md) and plots (*.png) are drawn from it.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from benchmarks.speed.bench import Bench
from benchmarks.speed.contenders import Call
from benchmarks.speed.correctness import WrongResultError, check_half, check_models
from benchmarks.speed.models import SIZES, TEXT_BOXES, TEXT_IMAGES
from benchmarks.speed.record import Record, describe_machine
from benchmarks.speed.report import write_report
from benchmarks.speed.sections import QUICK, SECTIONS

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def build_parser() -> argparse.ArgumentParser:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer parts")
    parser.add_argument("--section", nargs="+", choices=SECTIONS, help="these parts alone")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/speed"), help="folder of the results"
    )
    parser.add_argument("--fresh", action="store_true", help="forget earlier results in OUT")
    parser.add_argument("--device", help='"cuda" or "cpu"; default: a GPU if there is one')
    parser.add_argument("--dtype", choices=DTYPES, help="default: bfloat16 on CUDA, else float32")
    parser.add_argument("--size", choices=SIZES, help="of the models; default: as above")
    parser.add_argument("--steps", type=int, help="default: 50 on CUDA, else 20")
    parser.add_argument("--rounds", type=int, help="of the comparisons; default: 7, quick: 3")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (default: 1)")
    parser.add_argument("--quality", type=Path, help="JSON of presets, for the plot of quality")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and return the exit code: 0, or 2 where nothing could be timed."""
    args = build_parser().parse_args(arguments)
    warnings.filterwarnings("ignore", category=FutureWarning)  # diffusers', of its own pipelines
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    bench = build_bench(args)
    path = args.out / "speed.json"
    if args.fresh:
        path.unlink(missing_ok=True)
    try:
        record = Record(path, setting_of(bench))
        print("Comparing results before anything is timed ...", flush=True)
        record.add("correctness", check_results(bench))
    except (ValueError, WrongResultError) as error:
        print(f"benchmarks.speed: {error}", file=sys.stderr)
        return 2
    for name in args.section or (QUICK if args.quick else SECTIONS):
        if name in record:
            print(f"{name}: done before", flush=True)
            continue
        print(f"{name}: {SECTIONS[name].__doc__ or 'one thing is changed'}", flush=True)
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        record.add(name, {"load": load, **SECTIONS[name](bench)})
        record.add("notes", sorted({*record.data["sections"].get("notes", []), *bench.notes}))
        write_report(record.data, args.out, args.quality)
    write_report(record.data, args.out, args.quality)
    print((args.out / "speed.md").read_text(encoding="utf-8"))
    return 0


def build_bench(args: argparse.Namespace) -> Bench:
    """Decide what is left open on the command line."""
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    is_cuda = device.startswith("cuda")
    steps = args.steps or (50 if is_cuda else 10 if args.quick else 20)
    return Bench(
        size=SIZES[args.size or ("full" if is_cuda else "small")],
        device=device,
        dtype=DTYPES[args.dtype or ("bfloat16" if is_cuda else "float32")],
        call=Call(num_steps=steps, decodes=is_cuda),
        rounds=args.rounds or (3 if args.quick else 7),
        warm_ups=3 if is_cuda else 1,
        curve_rounds=min(3, args.rounds or 3),
        show=lambda line: print(f"  {line}", flush=True),
    )


def setting_of(bench: Bench) -> dict:
    """Return what the figures depend on."""
    return {
        **describe_machine(bench.device),
        "size": bench.size.name,
        "device": bench.device,
        "dtype": str(bench.dtype).removeprefix("torch."),
        "steps": bench.call.num_steps,
        "rounds": bench.rounds,
        "decodes": bench.call.decodes,
        "clock": "wall" if bench.is_cuda else "processor time",
    }


def check_results(bench: Bench) -> dict:
    """Compare the contenders' results with diffusers'.

    Raises:
        WrongResultError: one of them is another.
    """
    found = {}
    few = Call(num_steps=min(4, bench.call.num_steps), tau=0.5)
    for kind in (TEXT_BOXES, TEXT_IMAGES):
        exact = bench.exact_models(kind)
        found.update(check_models(exact, Call(num_steps=min(20, bench.call.num_steps))))
        found[f"bfloat16 ({kind})"] = check_half(exact, exact.to(torch.bfloat16), few)
    return found


if __name__ == "__main__":
    sys.exit(main())
