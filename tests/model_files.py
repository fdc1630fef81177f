"""Small model files of every form, made from the real key lists of the released models."""

import gzip
import json
import zlib
from pathlib import Path

import torch
from torch import Tensor

from gligen.pipeline import GligenPipeline
from gligen.unet import is_grounding_key
from gligen.weights.building import build_unet
from gligen.weights.checkpoints import save_adapter
from gligen.weights.noisetables import noise_tables
from gligen.weights.recognition import trains_first_convolution
from tests.conftest import GOLDEN, small_pipeline

State = dict[str, Tensor]

# Released sizes and what they become: one eighth to one twelfth.
BACKBONE_SIZES = {96: 4, 192: 8, 384: 16, 768: 32, 1536: 64, 3072: 128}
TEXT_SIZES = {768: 64, 3072: 128, 49408: 520, 77: 24}


def unet_state(kind: str = "generation_text_box") -> State:
    """Return weights of a small UNet in the original's key names, gates open.

    A weight depends on its name and shape alone: what is frozen is equal in all kinds. The map
    kinds' backbone is shrunk like the rest.
    """
    name = "sem" if kind == "semantic" else kind
    with gzip.open(GOLDEN / f"unet_{name}.json.gz") as file:
        shapes = json.load(file)["weights"]["model"]["shapes"]
    return {
        key: torch.tensor(0.5)
        if key.endswith(("alpha_attn", "alpha_dense"))
        else _random(key, size)
        for key, size in _with_small_backbone(shapes).items()
    }


def _with_small_backbone(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    if "position_net.null_feature" not in shapes:
        return shapes
    small = {}
    for key, shape in shapes.items():
        parts = key.split(".")
        if "stages" in parts and parts[parts.index("stages") + 2] != "0":
            continue  # one block for each stage
        reads_backbone = key in (
            "position_net.pos_embedding",
            "position_net.null_feature",
            "position_net.linears.0.weight",
        )
        is_shrunk = "convnext_tiny_backbone" in key or reads_backbone
        small[key] = [BACKBONE_SIZES.get(size, size) for size in shape] if is_shrunk else shape
    return small


def official_shapes(kind: str) -> dict[str, dict[str, list[int]]]:
    """Return the recorded shapes of a released checkpoint, by section and key."""
    name = "sem" if kind == "semantic" else kind
    with gzip.open(GOLDEN / "layout" / f"full_{name}.json.gz") as file:
        return json.load(file)["sections"]


def official(kind: str = "generation_text_box") -> dict[str, State]:
    """Return the sections of a small checkpoint with the key names of the authors' files."""
    sections = official_shapes(kind)
    vae = {
        key: _random(key, [size // 4 if size % 128 == 0 else size for size in shape])
        for key, shape in sections["autoencoder"].items()
    }
    text = {
        key: _random(key, [TEXT_SIZES.get(size, size) for size in shape])
        for key, shape in sections["text_encoder"].items()
        if ".layers." not in key or ".layers.0." in key
    }
    text["transformer.text_model.embeddings.position_ids"] = torch.arange(24)[None]
    return {
        "model": unet_state(kind),
        "autoencoder": vae,
        "text_encoder": text,
        "diffusion": noise_tables(),
    }


def plain_base() -> State:
    """Return the base of all kinds as a single file of Stable Diffusion 1.x has it."""
    parts = official()
    flat = {
        f"model.diffusion_model.{key}": value
        for key, value in parts["model"].items()
        if ".fuser." not in key and not key.startswith("position_net.")
    }
    flat |= {f"first_stage_model.{key}": value for key, value in parts["autoencoder"].items()}
    flat |= {f"cond_stage_model.{key}": value for key, value in parts["text_encoder"].items()}
    return {**flat, **noise_tables()}


def first_convolution() -> State:
    """Return the authors' file of the base's first convolution."""
    base = unet_state()
    return {name: base[f"input_blocks.0.0.{name}"] for name in ("weight", "bias")}


def adapter_state(kind: str = "generation_text_box") -> State:
    """Return the new layers of `unet_state` alone, as pruned files hold them."""
    first = ("input_blocks.0.0.",) if trains_first_convolution(kind) else ()
    new = ("position_net.", "downsample_net.", *first)
    return {
        key: tensor
        for key, tensor in unet_state(kind).items()
        if ".fuser." in key or key.startswith(new)
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


def _random(key: str, shape: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    return torch.randn(shape, generator=generator) * 0.05
