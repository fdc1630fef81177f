"""Make the embedded model from nothing: every stage in its order, each resumable.

A stage that has left what the next ones read is not run again; one that was cut goes on. So the
same command starts, continues and finishes the whole. Every stage is a command of its own, shown
before it runs.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path("configs/training")
# In this order: what comes later begins as the first.
ADAPTERS = (
    "text_box",
    "inpainting_text_box",
    "text_image_box",
    "keypoint",
    "semantic",
    "canny",
)
NUM_SCENES = 60_000


@dataclass(frozen=True)
class Stage:
    """One step on the way to the model."""

    name: str
    command: tuple[str, ...]  # arguments of python
    result: Path  # exists once the stage is done


def stages(runs: Path, folder: Path) -> list[Stage]:
    """Return the stages from drawing scenes to the finished model.

    Args:
        runs: where banks, states and logs are kept.
        folder: where the model is written.
    """
    bank, grounded = runs / "bank", runs / "bank_grounded"
    autoencoder, base, encoder = runs / "autoencoder", runs / "base", runs / "image_encoder"
    model = runs / "model"
    parts = f"--autoencoder {autoencoder} --base {base} --image-encoder {encoder}"
    prepared = [
        _stage("scenes", f"bank {bank} --num-scenes {NUM_SCENES}", bank / "images.npy"),
        _stage(
            "autoencoder", f"autoencoder --bank {bank} --run {autoencoder}", autoencoder / "vae"
        ),
        _stage("base", f"base --bank {bank} --run {base}", base / "scheduler"),
        _stage(
            "scenes for grounding",
            f"bank {grounded} --num-scenes {NUM_SCENES} --world grounded",
            grounded / "images.npy",
        ),
        _stage(
            "their latents",
            f"autoencoder --bank {grounded} --vae {autoencoder / 'vae'}",
            grounded / "latents.npy",
        ),
        _stage(
            "image encoder",
            f"image_encoder --base {base} --run {encoder}",
            encoder / "image_project",
        ),
        _stage("plain model", f"export {parts} --folder {model}", model / "training.json"),
    ]
    trained = [_training(name, runs, grounded, model) for name in ADAPTERS]
    outputs = " ".join(str(stage.result.parent) for stage in trained)
    whole = f"export {parts} --adapters {outputs} --folder {folder}"
    return [*prepared, *trained, _stage("model", whole, folder / "training.json")]


def _stage(name: str, arguments: str, result: Path) -> Stage:
    module, *rest = shlex.split(arguments)
    return Stage(name, ("-m", f"gligen.training.{module}", *rest), result)


def _training(name: str, runs: Path, bank: Path, model: Path) -> Stage:
    output = runs / name
    settings = [f"data=world:{bank}", f"base={model}", f"output={output}"]
    if name in ("inpainting_text_box", "text_image_box"):
        settings.append(f"adapter={runs / ADAPTERS[0] / 'adapter.safetensors'}")
    config = CONFIGS / f"world_{name}.yaml"
    command = ("-m", "gligen", "train", str(config), "--set", *settings)
    return Stage(name, command, output / "adapter.safetensors")


def make(runs: Path, folder: Path) -> None:
    """Run the stages that are not done yet.

    Raises:
        subprocess.CalledProcessError: a stage failed; it has said why.
    """
    plan = stages(runs, folder)
    for number, stage in enumerate(plan, 1):
        state = "is done" if stage.result.exists() else shlex.join(("python", *stage.command))
        print(f"[{number}/{len(plan)}] {stage.name}: {state}", flush=True)
        if not stage.result.exists():
            subprocess.run([sys.executable, *stage.command], check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the model from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m gligen.training.embedded",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--folder", type=Path, help="default: RUNS/finished")
    args = parser.parse_args(arguments)
    if not CONFIGS.is_dir():
        parser.error(f"There is no {CONFIGS} here; run this from the repository's root.")
    try:
        make(args.runs, args.folder or args.runs / "finished")
    except subprocess.CalledProcessError as error:
        print(f"The stage ended with exit code {error.returncode}.", file=sys.stderr)
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
