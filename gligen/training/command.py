"""The command `python -m gligen train`: its arguments, and what it does with them."""

import argparse
import sys
from typing import Any

EXAMPLES = """examples:
  python -m gligen train configs/training/text_box.yaml
  python -m gligen train configs/training/text_box.yaml --set num_steps=200 output=runs/try
  accelerate launch --num_processes 4 -m gligen train configs/training/text_box.yaml

The settings, a line 'name: value' each, are the fields of gligen.training.settings. The output
folder gets state.pt (the same command goes on from it), log.jsonl, samples/*.png and at the end
adapter.safetensors, which generate, convert and app.py read together with --base.
"""


def add_train(commands: Any) -> None:
    """Add the command `train` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser(
        "train",
        help="train an adapter on your own pictures",
        description="Train the new layers of one kind on a frozen base, or go on with a run that\n"
        "was cut. Only the new layers change (and the first convolution where the kind needs it).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", metavar="CONFIG.yaml", help="the settings of the run")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings that take the place of what the file says",
    )
    parser.add_argument(
        "--device", choices=("cpu",), help="stay on the CPU (default: the fastest there is)"
    )


def run_train(options: argparse.Namespace) -> None:
    """Read the settings, open the data, train, and say where the adapter is.

    Raises:
        ValueError: settings, data or base cannot be used; one sentence says why.
    """
    from gligen.training.settings import read_settings

    settings = read_settings(options.settings, **read_overrides(options.set))
    from gligen.training.adapter import train_adapter
    from gligen.training.sources import open_examples

    path = train_adapter(settings, open_examples, device=options.device)
    print(f"The adapter is {str(path)!r}.", file=sys.stderr)


def read_overrides(given: list[str]) -> dict[str, Any]:
    """Read `name=value` pairs; values are written as in YAML.

    Raises:
        ValueError: an entry is not of that form.
    """
    import yaml

    overrides = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise ValueError(f"--set takes name=value, not {entry!r}.")
        try:
            overrides[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"--set {name}: the value {value!r} cannot be read.") from None
    return overrides
