"""Assemble the embedded model from the runs: a plain base in diffusers' layout, and its adapters.

Weights are written in 16 bits. `training.json` beside them says how they came about; the evaluation
adds what they reach.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

# Of one weight file; small files keep a repository easy to host.
SHARD_SIZE = "12MB"
KINDS = ("generation_text_box", "inpainting_text_box")


def export(runs: Path, folder: Path, figures: dict[str, object]) -> None:
    """Write the embedded model into `folder`, replacing what is there once all is written."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    base = runs / "base"
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(runs / "autoencoder" / "vae").half(),
        text_encoder=CLIPTextModel.from_pretrained(base / "text_encoder").half(),
        tokenizer=CLIPTokenizer.from_pretrained(base / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(base / "unet").half(),
        scheduler=DDIMScheduler.from_pretrained(base / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(partial, max_shard_size=SHARD_SIZE)
    (partial / "adapters").mkdir()
    for kind, run in zip(KINDS, ("grounding", "inpainting"), strict=True):
        source = runs / run / "adapter.safetensors"
        if source.exists():
            _halve(source, partial / "adapters" / f"{kind}.safetensors")
    record = {"stages": {name: last_line(runs / name) for name in _stages(runs)}, **figures}
    (partial / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def last_line(run: Path) -> dict[str, float]:
    """Return the last figures that a run has logged; `seconds` is the training time."""
    return json.loads((run / "log.jsonl").read_text().splitlines()[-1])


def _stages(runs: Path) -> list[str]:
    names = ("autoencoder", "base", "grounding", "inpainting")
    return [name for name in names if (runs / name / "log.jsonl").exists()]


def _halve(source: Path, target: Path) -> None:
    with safe_open(source, "pt") as file:
        metadata = file.metadata()
    state = {key: value.to(torch.float16) for key, value in load_file(source).items()}
    save_file(state, target, metadata)


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--folder", type=Path, default=Path("gligen/models/embedded"))
    parser.add_argument("--facts", type=Path, help="JSON with further facts for training.json")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text()) if args.facts else {}
    export(args.runs, args.folder, facts)


if __name__ == "__main__":
    main()
