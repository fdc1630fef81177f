"""Small model files of every form, made from the real key lists of the released models."""

import json
from pathlib import Path

import torch
from torch import Tensor

from gligen.building import build_unet
from gligen.checkpoints import save_adapter
from gligen.pipeline import GligenPipeline
from gligen.unet import is_grounding_key
from tests.conftest import GOLDEN, small_pipeline

State = dict[str, Tensor]

# Released sizes and what they become: one eighth to one twelfth.
UNET_SIZES = {768: 64}
TEXT_SIZES = {768: 64, 3072: 128, 49408: 520, 77: 24}


def unet_state(kind: str = "generation_text_box") -> State:
    """Return random weights of a small UNet in the original's key names, gates open."""
    shapes = json.loads((GOLDEN / f"unet_{kind}.json").read_text())["weights"]["model"]["shapes"]
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(shape, generator=generator) * 0.05 if shape else torch.tensor(0.5)
        for key, shape in shapes.items()
    }


def official(kind: str = "generation_text_box") -> dict[str, State]:
    """Return the sections of a small checkpoint with the key names of the authors' files."""
    path = GOLDEN / "layout" / f"full_{kind}.json"
    sections = json.loads(path.read_text())["sections"]
    vae = {
        key: _random([size // 4 if size % 128 == 0 else size for size in shape])
        for key, shape in sections["autoencoder"].items()
    }
    text = {
        key: _random([TEXT_SIZES.get(size, size) for size in shape])
        for key, shape in sections["text_encoder"].items()
        if ".layers." not in key or ".layers.0." in key
    }
    text["transformer.text_model.embeddings.position_ids"] = torch.arange(24)[None]
    return {
        "model": unet_state(kind),
        "autoencoder": vae,
        "text_encoder": text,
        "diffusion": {"betas": torch.full((1000,), 0.01)},
    }


def adapter_state(kind: str = "generation_text_box") -> State:
    """Return the new layers of `unet_state` alone, as pruned files hold them."""
    first = ("input_blocks.0.0.",) if kind.startswith("inpainting") else ()
    return {
        key: tensor
        for key, tensor in unet_state(kind).items()
        if ".fuser." in key or key.startswith(("position_net.", *first))
    }


def save_base_folder(folder: Path) -> tuple[GligenPipeline, GligenPipeline]:
    """Write a plain base as a diffusers folder with two adapters; return the grounded pipelines."""
    generation, inpainting = small_pipeline(), small_pipeline("inpainting_text_box")
    for pipeline in (generation, inpainting):
        for module in (pipeline.vae, pipeline.text_encoder):
            module.requires_grad_(False)
    weights = generation.unet.state_dict()
    plain = {key: tensor for key, tensor in weights.items() if not is_grounding_key(key)}
    base = build_unet(generation.unet.config, plain)
    GligenPipeline(
        generation.vae,
        generation.text_encoder,
        generation.tokenizer,
        base,
        generation.scheduler,
    ).save_pretrained(folder)
    # Both on the same frozen base, as training leaves them.
    frozen = {key: tensor for key, tensor in plain.items() if not key.startswith("conv_in.")}
    inpainting.unet.load_state_dict(frozen, strict=False)
    (folder / "adapters").mkdir()
    for name, pipeline in (("one", generation), ("other", inpainting)):
        path = folder / "adapters" / f"{name}.safetensors"
        save_adapter(path, pipeline.unet, pipeline.kind, base="small", original=base)
    return generation, inpainting


def _random(shape: list[int]) -> Tensor:
    return torch.randn(shape) * 0.05
