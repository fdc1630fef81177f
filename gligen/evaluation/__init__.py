"""Judging whether generated pictures obey their layouts.

`python -m gligen evaluate world` measures the paper's tables in kind on held-out layouts of the
synthetic world, without any pretrained network:

from pathlib import Path
from gligen.evaluation import WorldOptions, evaluate_world, load_subject

options = WorldOptions(num_layouts=50, tables=("boxes",))
report = evaluate_world(load_subject("embedded"), Path("outputs/evaluation"), options)
report.to_json()["tables"]["boxes"]
"""

from typing import TYPE_CHECKING

from gligen.evaluation.options import Ablation, WorldOptions

if TYPE_CHECKING:
    from gligen.evaluation.subject import Subject, load_subject
    from gligen.evaluation.world import evaluate_world

__all__ = ["Ablation", "Subject", "WorldOptions", "evaluate_world", "load_subject"]


def __getattr__(name: str):
    """Import what needs torch only when it is asked for."""
    match name:
        case "Subject" | "load_subject":
            from gligen.evaluation import subject

            return getattr(subject, name)
        case "evaluate_world":
            from gligen.evaluation.world import evaluate_world

            return evaluate_world
    raise AttributeError(f"module 'gligen.evaluation' has no attribute {name!r}")
