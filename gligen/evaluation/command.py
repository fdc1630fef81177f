"""The command `python -m gligen evaluate`: the synthetic world, and COCO at full size."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gligen.evaluation.fullsize.command import add_coco, run_coco
from gligen.evaluation.options import TABLES, Ablation, WorldOptions

EXAMPLES = """examples:
  python -m gligen evaluate world
  python -m gligen evaluate world --tables boxes tau --num-layouts 100 --out outputs/quick
  python -m gligen evaluate world --model runs/text_box/adapter.safetensors --base runs/model
  python -m gligen evaluate world --tables ablations \\
      --ablation "cross-attention=runs/cross/adapter.safetensors" \\
      --ablation "MLP boxes=runs/mlp/adapter.safetensors"

The folder gets report.md, report.json and plots. Its folder pictures/ keeps what was painted: the
same command goes on where it was cut, and further tables use the same pictures.
"""


def add_evaluate(commands: Any) -> None:
    """Add the command `evaluate` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser(
        "evaluate",
        help="measure how well a model follows its layouts",
        description="Measure how well a model follows its layouts, and write a report.",
        epilog="Each subject explains itself: python -m gligen evaluate world --help",
    )
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    _add_world(subjects)
    add_coco(subjects)


def run_evaluate(options: argparse.Namespace) -> None:
    """Evaluate as the parsed options say.

    Raises:
        ValueError: an option or a model cannot be used; one sentence says why.
    """
    if options.subject == "world":
        _run_world(options)
    else:
        run_coco(options)


def _add_world(subjects: Any) -> None:
    parser = subjects.add_parser(
        "world",
        help="the paper's tables in kind, on held-out layouts of the synthetic world",
        description="Paint held-out layouts of the synthetic world and measure, without any\n"
        "trained network, how well they are obeyed: the paper's tables in kind.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    defaults = WorldOptions()
    add = parser.add_argument
    add(
        "--tables",
        nargs="+",
        choices=TABLES,
        metavar="TABLE",
        help=f"of {', '.join(TABLES)} (default: all that the model has kinds for)",
    )
    add("--model", default="embedded", help="as in generate (default: %(default)s)")
    add("--base", metavar="MODEL", help="base that an adapter is put on (default: its own)")
    add("--device", metavar="NAME", help="cpu, cuda, ... (default: the fastest there is)")
    add(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        help="number format (default: float16 on CUDA, else float32); bfloat16 is much faster on "
        "CPUs that compute in it",
    )
    add(
        "--num-layouts",
        type=int,
        default=defaults.num_layouts,
        metavar="N",
        help="layouts of each series (default: %(default)s)",
    )
    add("--steps", type=int, metavar="N", help="denoising steps (default: as the library's)")
    add("--sampler", metavar="NAME", help="as in generate (default: the model's own scheduler)")
    add(
        "--preset",
        metavar="NAME",
        help="as in generate (default: exact); the table of presets has all of them",
    )
    add("--guidance", type=float, metavar="SCALE", help="(default: as the library's)")
    add(
        "--tau",
        type=float,
        metavar="SHARE",
        help="share of the steps with grounding (default: the usual one of each kind)",
    )
    add(
        "--batch",
        type=int,
        default=defaults.batch_size,
        metavar="N",
        help="pictures painted together (default: %(default)s)",
    )
    add(
        "--ablation",
        action="append",
        default=[],
        metavar="LABEL=ADAPTER[:BASE]",
        help="a model to compare on the same boxes; may be given several times (default: none)",
    )
    add(
        "--out",
        type=Path,
        default=Path("outputs/evaluation"),
        metavar="FOLDER",
        help="where the report goes (default: %(default)s)",
    )


def _run_world(given: argparse.Namespace) -> None:
    options = WorldOptions(
        num_layouts=given.num_layouts,
        steps=given.steps,
        sampler=given.sampler,
        preset=given.preset,
        guidance_scale=given.guidance,
        tau=given.tau,
        batch_size=given.batch,
        tables=None if given.tables is None else tuple(given.tables),
        ablations=tuple(
            Ablation.from_text(text, given.base or given.model) for text in given.ablation
        ),
    )
    from tqdm import tqdm

    from gligen.evaluation.subject import load_subject
    from gligen.evaluation.world import evaluate_world

    subject = load_subject(given.model, given.base, given.device, given.dtype)
    with tqdm(unit="picture", file=sys.stderr) as bar:

        def show(series: str, count: int, total: int) -> None:
            bar.total = total
            bar.set_description(series)
            bar.update(count)

        evaluate_world(subject, given.out, options, show)
    print(given.out / "report.md")
