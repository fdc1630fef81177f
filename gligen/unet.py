"""Grounding put into a Stable Diffusion 1.x UNet, and one evaluation of it.

What is added lives under two names, `*.fuser.*` and `position_net.*`; every other parameter is the
base's and is never touched. Without grounding in a call the UNet is the plain one, bit for bit.

Shapes: B batch, L text tokens, D token width, latents [B, channels, height, width].
"""

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock, GatedSelfAttentionDense
from diffusers.models.embeddings import GLIGENTextBoundingboxProjection
from jaxtyping import Float, Int
from torch import Tensor, nn

from gligen.attention import GatedSelfAttention, Grounding
from gligen.tokenizers import TextBoxTokenizer


def is_grounding_key(key: str) -> bool:
    """Whether a parameter of a grounded UNet is one that grounding added."""
    return ".fuser." in key or key.startswith("position_net.")


def is_grounded(unet: UNet2DConditionModel) -> bool:
    """Whether the UNet carries this library's grounding layers."""
    return isinstance(getattr(unet, "position_net", None), TextBoxTokenizer)


def add_grounding(
    unet: UNet2DConditionModel, feature_width: int | None = None
) -> UNet2DConditionModel:
    """Put gated self-attention into every block, and a text-box tokenizer into the UNet.

    Works in place and returns `unet`. Layers that diffusers made (`attention_type="gated"`) are
    replaced by this library's with the same parameter objects; a plain UNet gets new layers with
    closed gates, which change nothing until they are trained or loaded.

    Args:
        unet: any SD 1.x UNet.
        feature_width: width of the phrase feature; default: the UNet's cross-attention width.

    Raises:
        ValueError: the UNet has no transformer blocks, or its grounding is of a kind that is not
            supported here (text-image).
    """
    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock)]
    token_width = unet.config.cross_attention_dim
    if not blocks or not isinstance(token_width, int):
        raise ValueError(
            "The UNet is not of the Stable Diffusion 1.x family: it has "
            f"{len(blocks)} transformer blocks and cross_attention_dim={token_width!r}."
        )
    reference = blocks[0].attn1.to_q.weight
    for block in blocks:
        existing = getattr(block, "fuser", None)
        if isinstance(existing, GatedSelfAttention):
            continue
        heads = block.attn1.heads
        head_width = block.attn1.inner_dim // heads
        with torch.device("meta" if existing is not None else reference.device):
            fuser = GatedSelfAttention(block.attn1.query_dim, token_width, heads, head_width)
        if existing is None:
            fuser.to(reference.dtype)
        elif isinstance(existing, GatedSelfAttentionDense):
            _adopt(fuser, existing)
        else:
            raise ValueError(
                f"The UNet has gated layers of the type {type(existing).__name__}; "
                "only self-attention layers (GatedSelfAttentionDense) are supported."
            )
        block.add_module("fuser", fuser.train(block.training))

    existing = getattr(unet, "position_net", None)
    if not isinstance(existing, TextBoxTokenizer):
        width = feature_width or token_width
        with torch.device("meta" if existing is not None else reference.device):
            tokenizer = TextBoxTokenizer(width, token_width)
        if existing is None:
            tokenizer.to(reference.dtype)
        elif isinstance(existing, GLIGENTextBoundingboxProjection) and hasattr(existing, "linears"):
            _adopt(tokenizer, existing)
        else:
            raise ValueError(
                "The UNet's position_net is not the text-box kind, which is the one supported here."
            )
        unet.position_net = tokenizer.train(unet.training)
    unet.register_to_config(attention_type="gated")
    return unet


def _adopt(new: nn.Module, old: nn.Module) -> None:
    """Give `new` the very parameters and children that `old` has under the same names."""
    for name, _ in list(new.named_children()):
        setattr(new, name, getattr(old, name))
    for name, _ in list(new.named_parameters(recurse=False)):
        setattr(new, name, getattr(old, name))


def predict(
    unet: UNet2DConditionModel,
    latents: Float[Tensor, "B c h w"],
    timestep: int | float | Int[Tensor, "..."] | Float[Tensor, "..."],
    context: Float[Tensor, "B L D"],
    grounding: Grounding | None = None,
    cross_attention_kwargs: dict[str, Any] | None = None,
) -> Float[Tensor, "B out h w"]:
    """Evaluate the UNet once.

    Without `grounding` the gated layers are not computed at all. The caller's
    `cross_attention_kwargs` are passed on and not changed.
    """
    kwargs = dict(cross_attention_kwargs or {})
    kwargs.pop("gligen", None)
    if grounding is not None:
        kwargs["gligen"] = {"grounding": grounding}
    return unet(
        latents,
        timestep,
        encoder_hidden_states=context,
        cross_attention_kwargs=kwargs or None,
        return_dict=False,
    )[0]
