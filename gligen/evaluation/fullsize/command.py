"""The command `python -m gligen evaluate coco`: its arguments, and what it does with them."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gligen.evaluation.fullsize.options import (
    ALL,
    ASKED,
    CROP,
    MODES,
    SQUASH,
    Choice,
    Judging,
    Painting,
)

EXAMPLES = """examples:
  python -m gligen evaluate coco --instances annotations/instances_val2017.json \\
      --captions annotations/captions_val2017.json --limit 500 --modes on mirrored off \\
      --detector PekingU/rtdetr_r50vd --clip openai/clip-vit-large-patch14 --out runs/coco
  accelerate launch --num_processes 4 -m gligen evaluate coco \\
      --instances lvis_v1_val.json --captions captions_train2017.json captions_val2017.json \\
      --detector google/owlv2-base-patch16-ensemble --queries all --out runs/lvis
  python -m gligen evaluate coco --kind inpainting_text_box --images val2017 \\
      --instances instances_val2017.json --detector PekingU/rtdetr_r50vd --out runs/holes

A run that was cut goes on when the same command is given again: what has a file is done. The number
of processes does not change the pictures. docs/evaluation_fullsize.md says what is measured.
"""


def add_coco(subparsers: Any) -> None:
    """Add the subject `coco` to what `ArgumentParser.add_subparsers` returned."""
    parser = subparsers.add_parser(
        "coco",
        help="layouts of COCO or LVIS, for full-size models",
        description="Paint layouts of COCO or LVIS, look for the objects with a detector of\n"
        "transformers, and report AP, CLIP score and FID beside published figures.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FOLDER", help="of pictures and report")
    _add_choice(parser)
    _add_painting(parser)
    _add_judging(parser)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("layouts")
    add = group.add_argument
    add("--instances", type=Path, required=True, metavar="FILE", help="boxes of COCO or LVIS")
    add(
        "--captions",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="captions of COCO (default: the names of the objects)",
    )
    add("--images", type=Path, metavar="FOLDER", help="for inpainting and --modes real")
    add("--min-objects", type=int, default=3, metavar="N", help="in a layout (%(default)s)")
    add("--max-objects", type=int, default=8, metavar="N", help="in a layout (%(default)s)")
    add(
        "--min-area",
        type=float,
        default=0.02,
        metavar="SHARE",
        help="of the picture; smaller objects are left out (%(default)s)",
    )
    add("--limit", type=int, metavar="N", help="layouts, drawn by the seed (default: all)")
    add("--seed", type=int, default=0, help="of that draw (%(default)s)")
    add(
        "--frame",
        choices=(SQUASH, CROP),
        default=SQUASH,
        help="how the picture becomes a square (%(default)s)",
    )


def _add_painting(parser: argparse.ArgumentParser) -> None:
    defaults = Painting()
    group = parser.add_argument_group("pictures")
    add = group.add_argument
    add("--model", default=defaults.model, help="as for generate (%(default)s)")
    add("--base", metavar="MODEL", help="for adapters: what to put them on")
    add("--kind", default=defaults.kind, help="or inpainting_text_box (%(default)s)")
    add(
        "--modes",
        nargs="+",
        choices=MODES,
        default=list(defaults.modes),
        help="grounding on, off, with mirrored boxes; the real pictures (on)",
    )
    add("--steps", type=int, default=defaults.steps, metavar="N", help="%(default)s")
    add("--sampler", default=defaults.sampler, help="%(default)s")
    add("--guidance", type=float, default=defaults.guidance_scale, metavar="G", help="%(default)s")
    add("--tau", type=float, help="share of the steps with grounding (as usual for the kind)")
    add("--batch", type=int, default=defaults.batch_size, metavar="N", help="%(default)s at once")
    add("--device", help="cpu, cuda, ... (default: the fastest there is)")
    add("--dtype", help="float32, float16, bfloat16 (default: float16 on CUDA)")


def _add_judging(parser: argparse.ArgumentParser) -> None:
    defaults = Judging()
    group = parser.add_argument_group("figures (each where its model or folder is named)")
    add = group.add_argument
    add("--detector", metavar="MODEL", help="for AP: DETR, RT-DETR, OWLv2, Grounding DINO, ...")
    add("--clip", metavar="MODEL", help="for the CLIP score")
    add("--real", type=Path, metavar="FOLDER", help="of real pictures, for FID")
    add(
        "--queries",
        choices=(ASKED, ALL),
        default=defaults.queries,
        help="of open vocabularies: each layout's own categories, or all (%(default)s)",
    )
    add(
        "--queries-at-once",
        type=int,
        default=defaults.queries_at_once,
        metavar="N",
        help="%(default)s",
    )
    add(
        "--threshold",
        type=float,
        default=defaults.threshold,
        metavar="SCORE",
        help="weaker detections are not kept (%(default)s)",
    )


def run_coco(options: argparse.Namespace) -> None:
    """Evaluate as the parsed options say, and print the report.

    Raises:
        ValueError: an option, a file or a model cannot be used; one sentence says why.
    """
    choice = Choice(
        instances=options.instances,
        captions=tuple(options.captions),
        images=options.images,
        min_objects=options.min_objects,
        max_objects=options.max_objects,
        min_area=options.min_area,
        limit=options.limit,
        seed=options.seed,
        frame=options.frame,
    )
    painting = Painting(
        model=options.model,
        base=options.base,
        kind=options.kind,
        modes=tuple(mode for mode in MODES if mode in options.modes),
        steps=options.steps,
        sampler=options.sampler,
        guidance_scale=options.guidance,
        tau=options.tau,
        batch_size=options.batch,
        dtype=options.dtype,
    )
    judging = Judging(
        detector=options.detector,
        clip=options.clip,
        real=options.real,
        queries=options.queries,
        queries_at_once=options.queries_at_once,
        threshold=options.threshold,
    )
    from gligen.evaluation.fullsize.processes import join_processes, leave_processes
    from gligen.evaluation.fullsize.report import format_report
    from gligen.evaluation.fullsize.run import Evaluation, evaluate

    processes = join_processes(options.device)
    try:
        report = evaluate(Evaluation(choice, painting, judging, options.out, processes))
    finally:
        leave_processes()
    if report is not None:
        print(format_report(report))
        print(f"Written to {options.out}.", file=sys.stderr)
