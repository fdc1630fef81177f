"""Compare three kinds of model loaded together with three pipelines loaded separately.

    python -m benchmarks.memory [--width 96]

Makes a model of random weights in a temporary folder (phrases, inpainting, reference pictures on
one base), loads it both ways, each in a fresh process, paints one step with each pipeline, and
prints the bytes of the weights and the peak of the process's memory above that of the imports.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from benchmarks.speed.models import make_text_encoder, widths_of
from gligen import Layout, Request
from gligen.embedded import embedded_folder
from gligen.kinds import kind_named
from gligen.loading import load_pipeline, load_pipelines
from gligen.pipeline import GligenPipeline
from gligen.tokenizers import make_tokenizer
from gligen.unet import add_grounding
from gligen.weights.adapters import Adapter, FirstWeights, split_unet
from gligen.weights.checkpoints import write_adapter

KINDS = ("generation_text_box", "inpainting_text_box", "generation_text_image_box")
MIB = 2**20


def main() -> None:
    """Measure both ways and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=96, help="of the UNet; Stable Diffusion: 320")
    parser.add_argument(
        "--measure", choices=("made", "together", "separately"), help=argparse.SUPPRESS
    )
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure == "made":
        make_model(args.folder, args.width)
        return
    if args.measure:
        print(json.dumps(measure(args.folder, args.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        # All in processes of their own: a child's peak is counted from its parent's size.
        run(args, "made", folder)
        for way in ("together", "separately"):
            found = json.loads(run(args, way, folder))
            print(
                f"{len(KINDS)} kinds {way:<10}: weights {found['weights'] / MIB:7.1f} MiB, "
                f"peak {found['peak'] / MIB:7.1f} MiB"
            )


def run(args: argparse.Namespace, way: str, folder: str) -> str:
    """Run this script on a part of the work, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.memory", "--width", str(args.width)]
    command += ["--measure", way, "--folder", f"{folder}/model"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(folder: Path, way: str) -> dict[str, int]:
    """Load the kinds, paint a step with each, and return bytes of weights and of the peak."""
    before = peak_bytes()
    if way == "together":
        pipelines = load_pipelines(folder, KINDS, device="cpu")
    else:
        pipelines = {kind: load_pipeline(folder, kind, device="cpu") for kind in KINDS}
    for kind, pipeline in pipelines.items():
        pipeline.set_progress_bar_config(disable=True)
        hole = {"inpaint_image": Image.new("RGB", (64, 64))} if "inpainting" in kind else {}
        layout = Layout.from_text(["a dog: 0.1,0.1,0.6,0.6"])
        size = {} if hole else {"width": 64, "height": 64}
        pipeline.generate(Request("a dog", layout, num_inference_steps=1, seed=0, **hole, **size))
    weights = {}
    for pipeline in pipelines.values():
        for module in pipeline.components.values():
            for parameter in module.parameters() if isinstance(module, torch.nn.Module) else ():
                storage = parameter.untyped_storage()
                weights[storage.data_ptr()] = storage.nbytes()
    return {"weights": sum(weights.values()), "peak": peak_bytes() - before}


def peak_bytes() -> int:
    """Return the largest resident size so far; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def make_model(folder: Path, width: int) -> None:
    """Write a model of random weights with adapters of all three kinds."""
    text_width = 192
    tokenizer = CLIPTokenizer.from_pretrained(embedded_folder() / "tokenizer")
    text_encoder = make_text_encoder(tokenizer, text_width)
    vae = AutoencoderKL(
        block_out_channels=(32, 64, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
    )
    base = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        cross_attention_dim=text_width,
        attention_head_dim=8,
    )
    parts = vae, text_encoder, tokenizer, base, PNDMScheduler()
    GligenPipeline(*parts).save_pretrained(folder)
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(projection_dim=text_width, **widths_of(text_width))
    ).save_pretrained(folder / "image_encoder")
    CLIPImageProcessorPil().save_pretrained(folder / "processor")
    (folder / "adapters").mkdir()
    first = FirstWeights(base.conv_in.weight.detach(), base.conv_in.bias.detach())
    for kind in KINDS:
        path = folder / "adapters" / f"{kind}.safetensors"
        write_adapter(path, new_layers(base, kind, first))


def new_layers(base: UNet2DConditionModel, kind: str, first: FirstWeights) -> Adapter:
    """Return an untrained adapter of a kind for a base."""
    channels = 9 if kind_named(kind).is_inpainting else 4
    unet = UNet2DConditionModel.from_config(base.config, in_channels=channels)
    text_width = base.config["cross_attention_dim"]
    add_grounding(unet, make_tokenizer(kind_named(kind), text_width))
    _, adapter = split_unet(unet.config, unet.state_dict(), kind)
    assert adapter is not None, "it has just been given new layers"
    projection = torch.eye(text_width) if "image" in kind else None
    return Adapter(kind, adapter.state, original=first, projection=projection)


if __name__ == "__main__":
    main()
