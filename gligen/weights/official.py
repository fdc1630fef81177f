"""Writing a checkpoint as the authors' code reads it: four sections and the constructor's config.

Reading one is `gligen.weights.checkpoints`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gligen.kinds import MAP, kind_named
from gligen.weights.recognition import ablations_in

# Modules of the original code that hold the tokenizer of each kind (`<name>_grounding_net`).
_MODULES = {
    "generation_text_box": "text",
    "inpainting_text_box": "text",
    "generation_text_image_box": "text_image",
    "inpainting_text_image_box": "text_image",
    "keypoint": "keypoint",
    "hed": "hed",
    "canny": "canny",
    "depth": "depth",
    "normal": "normal",
    "semantic": "sem",
}
# The kinds that such a name tells apart; the text kinds share theirs between two tasks.
KIND_OF_MODULE = {f"{_MODULES[kind]}_grounding_net": kind for kind in ("canny", "depth")}


def model_config(kind: str, unet: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the section `model` of the original's configuration.

    Args:
        kind: one of KINDS.
        unet: config of a diffusers `UNet2DConditionModel`.
        state: its weights, under diffusers' names.
    """
    widths = unet["block_out_channels"]
    attending = [2**i for i, name in enumerate(unet["down_block_types"]) if "CrossAttn" in name]
    name, outputs = _MODULES[kind], unet["cross_attention_dim"]
    place = "ldm.modules.diffusionmodules"
    params: dict[str, Any] = {
        "image_size": unet["sample_size"],
        "in_channels": unet["out_channels"],
        "out_channels": unet["out_channels"],
        "model_channels": widths[0],
        "attention_resolutions": attending[::-1],
        "num_res_blocks": unet["layers_per_block"],
        "channel_mult": [width // widths[0] for width in widths],
        "num_heads": 8,
        "transformer_depth": 1,
        "context_dim": outputs,
        "fuser_type": "gatedCA" if "fuser" in ablations_in(state) else "gatedSA",
        "use_checkpoint": True,
        "grounding_tokenizer": {
            "target": f"{place}.{name}_grounding_net.PositionNet",
            "params": _tokenizer_params(kind, outputs, state),
        },
    }
    if kind_named(kind).is_inpainting:
        params["inpaint_mode"] = True
    if kind_named(kind).modality == MAP:
        params["grounding_downsampler"] = {
            "target": f"{place}.{name}_grounding_downsampler.GroundingDownsampler",
            "params": _downsampler_params(state),
        }
    return {"target": f"{place}.openaimodel.UNetModel", "params": params}


def write_official(
    path: str | Path, sections: Mapping[str, Mapping[str, Tensor]], config: Mapping[str, Any]
) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Args:
        path: where to write; the authors' are called `diffusion_pytorch_model.bin`.
        sections: model, autoencoder, text_encoder and diffusion, under the original's names.
        config: the section `model` of its configuration; plain values, no classes.
    """
    own = {
        name: {key: value.detach().cpu().contiguous() for key, value in section.items()}
        for name, section in sections.items()
    }
    partial = Path(f"{path}.partial")
    try:
        torch.save({**own, "config_dict": {"_content": {"model": dict(config)}}}, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _tokenizer_params(kind: str, outputs: int, state: Mapping[str, Tensor]) -> dict[str, int]:
    prefix = "position_net."
    if f"{prefix}person_embeddings" in state:
        persons = state[f"{prefix}person_embeddings"].shape[0]
        return {"max_persons_per_image": persons, "out_dim": outputs}
    if kind_named(kind).modality != MAP:
        linears = "linears" if f"{prefix}null_positive_feature" in state else "linears_text"
        # The feature stands beside the 64 numbers of a box.
        return {"in_dim": state[f"{prefix}{linears}.0.weight"].shape[1] - 64, "out_dim": outputs}
    params = {"resize_input": _map_side(state), "out_dim": outputs}
    if f"{prefix}in_conv.weight" in state:
        params["in_dim"] = state[f"{prefix}in_conv.weight"].shape[1]
    return params


def _downsampler_params(state: Mapping[str, Tensor]) -> dict[str, int]:
    first = state.get("downsample_net.layers.0.weight")
    if first is None:
        return {"out_dim": 1}
    outputs = state["downsample_net.layers.2.weight"].shape[0]
    params = {"resize_input": _map_side(state), "out_dim": outputs}
    if first.shape[1] > 3:
        params["in_dim"] = first.shape[1]
    return params


def _map_side(state: Mapping[str, Tensor]) -> int:
    # One token for each 32 x 32 pixels.
    return round(state["position_net.pos_embedding"].shape[1] ** 0.5) * 32
