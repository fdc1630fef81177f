"""`python -m gligen.evaluation`: measure how well a model follows its boxes."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from gligen.evaluation.options import MODES, Options


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gligen.evaluation",
        description="Generate held-out layouts of the synthetic world with grounding on, off and "
        "with mirrored boxes, and report how many objects are found in their boxes. A run that was "
        "cut short continues when started again with the same options.",
    )
    add_arguments(parser)
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the evaluation to `parser`."""
    defaults = Options()
    add = parser.add_argument
    add("--model", default="embedded", help="embedded, a path or a hub id (default: embedded)")
    add("--base", help="base model for an adapter-only file: a path or a hub id")
    add("--device", help="cpu, cuda, ... (default: cuda if there is one)")
    add("--num-layouts", type=int, default=defaults.num_layouts, help="default: %(default)s")
    add("--steps", type=int, default=defaults.steps, help="denoising steps (default: %(default)s)")
    add("--sampler", default=defaults.sampler, help="default: %(default)s")
    add("--guidance", type=float, default=defaults.guidance_scale, help="default: %(default)s")
    add(
        "--tau",
        type=float,
        default=defaults.tau,
        help="share of the steps with grounding (default: %(default)s)",
    )
    add("--batch", type=int, default=defaults.batch_size, help="pictures at once (%(default)s)")
    add("--modes", nargs="+", default=list(MODES), choices=MODES, help="default: all three")
    add("--out", type=Path, default=Path("outputs/evaluation.json"), help="default: %(default)s")
    add("--grid", type=Path, help="contact sheet with the boxes (default: beside --out, .png)")


def run(args: argparse.Namespace) -> int:
    """Evaluate as the parsed options say; return the exit code."""
    try:
        evaluate_world(args)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def evaluate_world(args: argparse.Namespace) -> None:
    """Evaluate as the parsed options say, and write report and contact sheet.

    Raises:
        ValueError: an option or the model cannot be used.
    """
    options = Options(
        args.num_layouts,
        args.steps,
        args.sampler,
        args.guidance,
        args.tau,
        args.batch,
        tuple(mode for mode in MODES if mode in args.modes),
    )
    # Here, so that --help does not load diffusers.
    from gligen.evaluation.run import draw_grid, evaluate, make_report
    from gligen.loading import load_pipeline

    pipeline = load_pipeline(args.model, base=args.base, device=args.device)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    state_path = args.out.with_suffix(".state.npz")
    total = options.num_layouts * len(options.modes)
    with tqdm(total=total, unit="picture", file=sys.stderr) as bar:

        def show(mode: str, count: int) -> None:
            bar.set_description(mode)
            bar.update(count)

        progress = evaluate(pipeline, options, state_path, show)
    report = make_report(progress, options, pipeline.model_name or args.model)
    _write(args.out, (json.dumps(report, indent=1) + "\n").encode())
    _save_grid(args.grid or args.out.with_suffix(".png"), draw_grid(progress, options))
    state_path.unlink()
    print(f"{format_report(report)}\nWritten to {args.out}")


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)  # noqa: PTH105 (atomic on every system)


def _save_grid(path: Path, grid: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    grid.save(partial, "PNG")
    os.replace(partial, path)  # noqa: PTH105 (atomic on every system)


def format_report(report: dict[str, Any]) -> str:
    """Return the figures of a report as a table for people: all objects, then each class."""
    modes = list(report["modes"])
    options = report["options"]
    first = report["modes"][modes[0]]
    lines = [
        f"{report['model']}: {options['num_layouts']} layouts, {first['num_objects']} objects, "
        f"{options['steps']} steps of {options['sampler']}, "
        f"guidance {options['guidance_scale']:g}, tau {options['tau']:g}",
        "",
        "grounding    in its box (IoU >= 0.5)   anywhere   mean IoU     AP50",
    ]
    for mode in modes:
        row = report["modes"][mode]
        lines.append(
            f"{mode:<12}{row['placed']:>25.1%}{row['recognised']:>11.1%}"
            f"{row['mean_iou']:>11.3f}{row['ap50']:>9.3f}"
        )
    lines += ["", "in its box  " + "".join(f"{mode:>10}" for mode in modes)]
    for name in first["classes"]:
        shares = [report["modes"][mode]["classes"][name]["placed"] for mode in modes]
        lines.append(f"{name:<12}" + "".join(f"{share:>10.1%}" for share in shares))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(build_parser().parse_args()))
