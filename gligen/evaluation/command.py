"""The command `python -m gligen evaluate`: the synthetic world, and COCO at full size."""

import argparse
import importlib
import importlib.util
from types import ModuleType
from typing import Any

from gligen.evaluation.__main__ import add_arguments, evaluate_world

_FULL_SIZE = "gligen.evaluation.fullsize"


def add_evaluate(commands: Any) -> None:
    """Add the command `evaluate` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser(
        "evaluate",
        help="measure how well a model follows its layouts",
        description="Measure how well a model follows its layouts. A run that was cut short goes "
        "on when the same command is given again.",
    )
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    world = subjects.add_parser(
        "world",
        help="held-out layouts of the synthetic world",
        description="Generate held-out layouts of the synthetic world with grounding on, off and "
        "with mirrored boxes, and report how many objects are found in their boxes.",
    )
    add_arguments(world)
    full_size = _full_size()
    if full_size is None:
        subjects.add_parser("coco", help="COCO layouts (not part of this installation)")
    else:
        full_size.add_coco(subjects)


def run_evaluate(options: argparse.Namespace) -> None:
    """Evaluate as the parsed options say.

    Raises:
        ValueError: an option or a model cannot be used; one sentence says why.
    """
    if options.subject == "world":
        evaluate_world(options)
        return
    full_size = _full_size()
    if full_size is None:
        raise ValueError(
            "The evaluation on COCO (gligen.evaluation.fullsize) is not part of this installation; "
            "install gligen from the repository, or use python -m gligen evaluate world."
        )
    full_size.run_coco(options)


def _full_size() -> ModuleType | None:
    """Return the module that evaluates full-size models, None where it is not installed."""
    if importlib.util.find_spec(_FULL_SIZE) is None:
        return None
    return importlib.import_module(f"{_FULL_SIZE}.command")
