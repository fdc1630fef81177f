"""Which UNets and decoders can be evaluated with savings; all others are evaluated as they are.

A layer that somebody has put another in the place of (LoRA, quantisation, compilation), or hung a
hook on, must run itself. So only layers of exactly the known types are passed by.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_blocks import (
    CrossAttnDownBlock2D,
    CrossAttnUpBlock2D,
    DownBlock2D,
    UNetMidBlock2DCrossAttn,
    UpBlock2D,
)
from diffusers.models.upsampling import Upsample2D
from torch import nn

from gligen.attention import GatedLayer

_BLOCKS = (
    DownBlock2D,
    CrossAttnDownBlock2D,
    UNetMidBlock2DCrossAttn,
    UpBlock2D,
    CrossAttnUpBlock2D,
)
# Settings of the UNet that add something to an evaluation, with the values that add nothing.
_USUAL_CONFIG = {
    "class_embed_type": None,
    "num_class_embeds": None,
    "addition_embed_type": None,
    "encoder_hid_dim_type": None,
    "time_embedding_act_fn": None,
    "center_input_sample": False,
    "act_fn": "silu",
}


def why_plain(unet: UNet2DConditionModel) -> str:
    """Return why a UNet must be evaluated as it is; empty where savings can be made.

    Like "its layer mid_block.attentions.0 has a hook".
    """
    return next(_obstacles(unet), "")


def _obstacles(unet: UNet2DConditionModel) -> Iterator[str]:
    if type(unet) is not UNet2DConditionModel:
        yield f"it is a {type(unet).__name__}"
        return
    if torch.is_autocast_enabled() or torch.is_autocast_enabled("cpu"):
        yield "it runs under autocast"
    if unet.training:
        yield "it is in training mode"
    for name, usual in _USUAL_CONFIG.items():
        if unet.config.get(name, usual) != usual:
            yield f"its configuration has {name}={unet.config[name]!r}"
    for name, module in unet.named_modules():
        where = f"its layer {name or 'unet'}"
        if name and "position_net" in name.split(".")[0]:
            continue
        if is_watched(module):
            yield f"{where} has a hook"
        if name and hasattr(module, "_hf_hook"):
            yield f"{where} is loaded when it is needed"
        obstacle = _obstacle_in(module)
        if obstacle:
            yield f"{where} {obstacle}"
    blocks: Iterable[nn.Module] = [*unet.down_blocks, *unet.up_blocks]
    for block in [*blocks, *([] if unet.mid_block is None else [unet.mid_block])]:
        if type(block) not in _BLOCKS:
            yield f"it has a {type(block).__name__}"
        elif any(getattr(block, name, None) is not None for name in ("s1", "s2", "b1", "b2")):
            yield "FreeU is on"


def is_watched(module: nn.Module) -> bool:
    """Whether something wants to act when a layer is called."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or hasattr(module, "_diffusers_hook")  # casting and offloading of single layers
    )


def _obstacle_in(module: nn.Module) -> str:
    """Return what stands in the way of passing by one layer, empty where nothing does."""
    match module:
        case ResnetBlock2D():
            fits = (
                type(module) is ResnetBlock2D
                and module.time_embedding_norm == "default"
                and not module.skip_time_act
                and module.upsample is None
                and module.downsample is None
                and module.output_scale_factor == 1
                and isinstance(module.nonlinearity, nn.SiLU)
                and type(module.conv1) is nn.Conv2d
                and type(module.time_emb_proj) is nn.Linear
            )
        case Transformer2DModel():
            fits = type(module) is Transformer2DModel and module.is_input_continuous
        case BasicTransformerBlock():
            fits = (
                type(module) is BasicTransformerBlock
                and module.norm_type == "layer_norm"
                and module.pos_embed is None
                and not module.only_cross_attention
                and module.attn2 is not None
                and module._chunk_size is None
                and type(module.ff) is FeedForward
                and isinstance(getattr(module, "fuser", None), GatedLayer | None)
            )
        case Attention():
            fits = _is_usual_attention(module)
        case Upsample2D() | Downsample2D():
            fits = type(module) in (Upsample2D, Downsample2D)
        case _:
            fits = True
    return "" if fits else f"({type(module).__name__}) is not of the usual form"


def _is_usual_attention(module: Any) -> bool:
    projections = (module.to_q, module.to_k, module.to_v, module.to_out[0])
    return (
        type(module) is Attention
        and type(module.processor) is AttnProcessor2_0
        and not getattr(module, "fused_projections", False)
        and all(type(layer) is nn.Linear for layer in projections)
        and all(layer.bias is None for layer in projections[:3])
        and module.spatial_norm is None
        and module.group_norm is None
        and module.norm_q is None
        and module.norm_k is None
        and not module.norm_cross
        and not module.residual_connection
        and module.rescale_output_factor == 1
    )
