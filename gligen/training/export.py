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

from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.references import projection_module, read_projection
from gligen.weights.adapters import Adapter
from gligen.weights.checkpoints import read_adapter, write_adapter
from gligen.weights.folders import find_weights
from gligen.weights.vision import read_vision

# Of one weight file; small files keep a repository easy to host.
SHARD_SIZE = "12MB"


def export(
    autoencoder: Path,
    base: Path,
    adapters: Sequence[Path],
    folder: Path,
    figures: dict[str, object],
    image_encoder: Path | None = None,
) -> None:
    """Write the embedded model into `folder`, replacing what is there once all is written.

    Args:
        autoencoder: folder of its run.
        base: folder of the run of stage 1.
        adapters: folders of runs of grounded training; may be none, for a base to train them on.
        folder: where to write.
        figures: further facts for `training.json`.
        image_encoder: folder of its run; the kinds that read reference pictures need it, and
            are trained on a folder that has it.

    Raises:
        ValueError: two adapters are of one kind, or one reads pictures and nothing is to read them
            with.
    """
    layers = _read_adapters(adapters)
    if image_encoder is None and any(kind_named(k).modality == TEXT_IMAGE_BOX for k in layers):
        raise ValueError(
            "An adapter that reads reference pictures needs an image encoder beside it; name the "
            "run that trained it (--image-encoder)."
        )
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
    if image_encoder is not None:
        export_vision(image_encoder, partial)
        stages["image_encoder"] = last_line(image_encoder)
    for kind, (run, adapter) in layers.items():
        write_adapter(partial / "adapters" / f"{kind}.safetensors", adapter, torch.float16)
        stages[kind] = last_line(run)
    for config in partial.glob("*/config.json"):
        _forget_origin(config)
    record = {"stages": stages, **figures}
    (partial / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _forget_origin(config: Path) -> None:
    """Remove where a part was read from: it means nothing to anyone else."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def export_vision(run: Path, folder: Path) -> None:
    """Write what reads reference pictures into a model's folder, in 16 bits."""
    vision = read_vision(run, torch.device("cpu"), torch.float16)
    vision.image_encoder.save_pretrained(folder / "image_encoder")
    vision.processor.save_pretrained(folder / "processor")
    matrix = read_projection(find_weights(run, "image_project")[0])
    projection_module(matrix).half().save_pretrained(folder / "image_project")


def _read_adapters(runs: Sequence[Path]) -> dict[str, tuple[Path, Adapter]]:
    """Read the adapters of runs, by kind."""
    found: dict[str, tuple[Path, Adapter]] = {}
    for run in runs:
        adapter = read_adapter(run / "adapter.safetensors")
        if adapter.kind in found:
            raise ValueError(
                f"Both {str(found[adapter.kind][0])!r} and {str(run)!r} hold an adapter of the "
                f"kind {adapter.kind}; name one of them."
            )
        found[adapter.kind] = run, adapter
    return found


def last_line(run: Path) -> dict[str, float]:
    """Return the last figures that a run has logged; `seconds` is the training time.

    What is not measured at every line, such as the paired loss, is as it was last measured.
    """
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {name: value for line in lines for name, value in json.loads(line).items()}


def megabytes(folder: Path) -> float:
    """Return the size of all files in a folder, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


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
    parser.add_argument(
        "--image-encoder", type=Path, metavar="RUN", help="for the kinds that read pictures"
    )
    parser.add_argument("--folder", type=Path, default=Path("gligen/models/embedded"))
    parser.add_argument("--facts", type=Path, help="JSON with further facts for training.json")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text()) if args.facts else {}
    stages = args.autoencoder, args.base, args.adapters, args.folder, facts
    export(*stages, image_encoder=args.image_encoder)
    print(f"{args.folder}: {megabytes(args.folder):.1f} MB")


if __name__ == "__main__":
    main()
