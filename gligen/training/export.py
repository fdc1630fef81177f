"""Assemble the embedded model from the runs: a plain base in diffusers' layout, and its adapters.

Weights are written in 16 bits. `training.json` beside them says how they came about; the evaluation
adds what they reach.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.weights.checkpoints import read_adapter, write_adapter

# Of one weight file; small files keep a repository easy to host.
SHARD_SIZE = "12MB"


def export(
    autoencoder: Path,
    base: Path,
    adapters: Sequence[Path],
    folder: Path,
    figures: dict[str, object],
) -> None:
    """Write the embedded model into `folder`, replacing what is there once all is written.

    Args:
        autoencoder: folder of its run.
        base: folder of the run of stage 1.
        adapters: folders of runs of grounded training; may be none, for a base to train them on.
        folder: where to write.
        figures: further facts for `training.json`.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(autoencoder / "vae").half(),
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
    stages = {"autoencoder": last_line(autoencoder), "base": last_line(base)}
    for run in adapters:
        adapter = read_adapter(run / "adapter.safetensors")
        target = partial / "adapters" / f"{adapter.kind}.safetensors"
        write_adapter(target, adapter, torch.float16)
        stages[adapter.kind] = last_line(run)
    record = {"stages": stages, **figures}
    (partial / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def last_line(run: Path) -> dict[str, float]:
    """Return the last figures that a run has logged; `seconds` is the training time."""
    return json.loads((run / "log.jsonl").read_text().splitlines()[-1])


def main() -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, default=Path("runs/autoencoder"))
    parser.add_argument("--base", type=Path, default=Path("runs/base"))
    parser.add_argument(
        "--adapters",
        type=Path,
        nargs="*",
        default=[],
        metavar="RUN",
        help="folders of grounded training (default: none, the plain base alone)",
    )
    parser.add_argument("--folder", type=Path, default=Path("gligen/models/embedded"))
    parser.add_argument("--facts", type=Path, help="JSON with further facts for training.json")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text()) if args.facts else {}
    export(args.autoencoder, args.base, args.adapters, args.folder, facts)


if __name__ == "__main__":
    main()
