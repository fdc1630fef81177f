"""Grounding put into a Stable Diffusion 1.x UNet, and one evaluation of it.

What is added lives under `*.fuser.*`, `position_net.*` and, for the map kinds, `downsample_net.*`;
their first convolution is replaced by a `FirstConvolution`, which keeps the base's own beside the
trained one. Every other parameter is the base's and is never touched. Without grounding in a call
the UNet is the plain one, bit for bit.

Shapes: B batch, L text tokens, D token width, latents [B, channels, height, width].
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock, GatedSelfAttentionDense
from diffusers.models.embeddings import GLIGENTextBoundingboxProjection
from jaxtyping import Float, Int
from torch import Tensor, nn

from gligen.addons.lorascale import lora_scale
from gligen.addons.residuals import Residuals
from gligen.attention import GatedCrossAttention, GatedLayer, Grounding, gated_layer_type
from gligen.kinds import (
    CROSS_ATTENTION,
    FUSERS,
    GENERATION,
    INPAINTING,
    KEYPOINT,
    KINDS,
    MAP,
    MLP_BOXES,
    TEXT_BOX,
    TEXT_IMAGE_BOX,
    kind_named,
)
from gligen.tokenizers import (
    KeypointTokenizer,
    MapDownsampler,
    MapTokenizer,
    TextBoxTokenizer,
    TextImageBoxTokenizer,
    Tokenizer,
)

# A configuration says by this what a UNet is grounded on; the first two are diffusers' own words.
ATTENTION_TYPES = {
    TEXT_BOX: "gated",
    TEXT_IMAGE_BOX: "gated-text-image",
    KEYPOINT: "gated-keypoint",
    MAP: "gated-map",
}
# Appended where the layers are those of an ablation, so that nobody builds the usual ones for them.
_ABLATED = {"fuser": "-cross-attention", "box_embedding": "-mlp-boxes"}
_KIND_ENTRY = "gligen_kind"  # of the configuration
_MODALITIES: dict[type[nn.Module], str] = {
    TextBoxTokenizer: TEXT_BOX,
    TextImageBoxTokenizer: TEXT_IMAGE_BOX,
    KeypointTokenizer: KEYPOINT,
    MapTokenizer: MAP,
}


class FirstConvolution(nn.Conv2d):
    """The trained first convolution of a map kind together with the base's.

    Which of the two answers is decided by the input alone: with the map's channels the trained
    one, with bare latents the base's. So nothing in the model changes when the map is dropped
    partway through the denoising, as the original does by overwriting the weights.

    Args:
        in_channels: of the trained one, latents and map.
        base_channels: of the base's, latents alone.
        out_channels: of both.
        has_base: False where the file at hand has the trained one alone, as the authors' files do;
            then bare latents are an error.
    """

    def __init__(
        self, in_channels: int, base_channels: int, out_channels: int, has_base: bool = True
    ):
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)
        self.base_channels = base_channels
        weight, bias = torch.zeros(out_channels, base_channels, 3, 3), torch.zeros(out_channels)
        self.base_weight = nn.Parameter(weight) if has_base else None
        self.base_bias = nn.Parameter(bias) if has_base else None

    def forward(self, input: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C h w"]:  # noqa: A002
        """Convolve the latents, with or without the map's channels.

        Raises:
            ValueError: bare latents, and the base's convolution is not there.
        """
        if input.shape[1] != self.base_channels:
            return super().forward(input)
        if self.base_weight is None:
            raise ValueError(
                "Without a map, and after tau, the model needs the first convolution of the base, "
                "which its file does not hold; load it with a base (base=...), or set tau to 1."
            )
        return F.conv2d(input, self.base_weight, self.base_bias, padding=1)


def is_grounding_key(key: str) -> bool:
    """Whether a parameter of a grounded UNet is one that grounding added.

    The trained first convolution of some kinds is not: it stands in the place of the base's.
    """
    return ".fuser." in key or key.startswith(("position_net.", "downsample_net."))


def is_grounded(unet: UNet2DConditionModel) -> bool:
    """Whether the UNet carries this library's grounding layers."""
    return isinstance(getattr(unet, "position_net", None), Tokenizer)


def modality_of(unet: UNet2DConditionModel) -> str | None:
    """Return the modality of a UNet's grounding layers, None where it has none."""
    tokenizer = getattr(unet, "position_net", None)
    return None if tokenizer is None else _MODALITIES.get(type(tokenizer))


def possible_kinds(unet: UNet2DConditionModel) -> tuple[str, ...]:
    """Return the kinds that a UNet can be of, by its layers; none for a plain one.

    Canny and depth models have the same layers, so both are returned for either.
    """
    modality = modality_of(unet)
    if modality is None:
        return ()
    task = GENERATION
    if (
        modality in (TEXT_BOX, TEXT_IMAGE_BOX)
        and unet.config.in_channels > unet.config.out_channels
    ):
        task = INPAINTING
    kinds = [k for k in map(kind_named, KINDS) if (k.modality, k.task) == (modality, task)]
    if modality == MAP:
        downsampler = cast("MapDownsampler", unet.downsample_net)
        kinds = [
            kind
            for kind in kinds
            if min(kind.map_channels, 4) == min(downsampler.in_channels, 4)
            and (kind.name == "hed") == (downsampler.layers is None)
        ]
    return tuple(kind.name for kind in kinds)


def kind_of(unet: UNet2DConditionModel) -> str:
    """Return the kind of a UNet; for a plain one that of the text-box kinds with its task.

    Where layers alone do not tell (canny or depth), `record_kind` does; else the first of them.
    """
    kinds = possible_kinds(unet)
    if not kinds:
        is_inpainting = unet.config.in_channels > unet.config.out_channels
        return f"{INPAINTING if is_inpainting else GENERATION}_text_box"
    recorded = unet.config.get(_KIND_ENTRY)
    return recorded if recorded in kinds else kinds[0]


def record_kind(unet: UNet2DConditionModel, kind: str) -> None:
    """Note in the UNet's configuration of which of its possible kinds it is.

    Raises:
        ValueError: its layers are those of other kinds.
    """
    kinds = possible_kinds(unet)
    if kind not in kinds:
        raise ValueError(
            f"The UNet is not of kind {kind!r}; by its layers it is "
            f"{' or '.join(kinds) or 'a plain one'}."
        )
    if len(kinds) > 1:
        unet.register_to_config(**{_KIND_ENTRY: kind})


def ablations(unet: UNet2DConditionModel) -> dict[str, str]:
    """Return what a UNet has in place of the usual layers: `fuser` and `box_embedding`.

    Either is there only where it is not the first of `gligen.kinds.FUSERS` or `BOX_EMBEDDINGS`.
    """
    found = {}
    if any(isinstance(module, GatedCrossAttention) for module in unet.modules()):
        found["fuser"] = CROSS_ATTENTION
    tokenizer = getattr(unet, "position_net", None)
    if isinstance(tokenizer, TextBoxTokenizer) and tokenizer.box_embedding == MLP_BOXES:
        found["box_embedding"] = MLP_BOXES
    return found


def add_grounding(
    unet: UNet2DConditionModel, tokenizer: Tokenizer | None = None, fuser: str = FUSERS[0]
) -> UNet2DConditionModel:
    """Put a gated layer into every block, and a grounding tokenizer into the UNet.

    Works in place and returns `unet`. Layers that diffusers made (`attention_type="gated"` or
    `"gated-text-image"`) are replaced by this library's with the same parameter objects; a plain
    UNet gets new layers with closed gates, which change nothing until they are trained or loaded.

    Args:
        unet: any SD 1.x UNet.
        tokenizer: what reads the layout; default: diffusers' own where the UNet has one, else a
            text-box tokenizer as wide as the UNet's cross-attention.
        fuser: which gated layers, one of `gligen.kinds.FUSERS`, where the UNet has none yet.

    Raises:
        ValueError: the UNet has no transformer blocks, or gated layers of an unknown type.
    """
    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock)]
    token_width = unet.config.cross_attention_dim
    if not blocks or not isinstance(token_width, int):
        raise ValueError(
            "The UNet is not of the Stable Diffusion 1.x family: it has "
            f"{len(blocks)} transformer blocks and cross_attention_dim={token_width!r}."
        )
    for block in blocks:
        _add_fuser(block, token_width, fuser)
    existing = getattr(unet, "position_net", None)
    if tokenizer is None:
        tokenizer = _tokenizer_for(existing, token_width, blocks[0].attn1.to_q.weight)
    unet.position_net = tokenizer.train(unet.training)
    attention_type = ATTENTION_TYPES[_MODALITIES[type(tokenizer)]]
    attention_type += "".join(_ABLATED[name] for name in ablations(unet))
    unet.register_to_config(attention_type=attention_type)
    return unet


def add_map_input(
    unet: UNet2DConditionModel, downsampler: MapDownsampler, has_base: bool = True
) -> UNet2DConditionModel:
    """Give a UNet the map's way in beside the latents; in place, returns `unet`.

    The first convolution starts as the base's, with zeros for the map's channels. Without
    `has_base` there is no room for the base's own beside it.
    """
    base = unet.conv_in
    latent = base.in_channels
    with torch.device(base.weight.device):
        first = FirstConvolution(
            latent + downsampler.out_channels, latent, base.out_channels, has_base
        )
    first.to(base.weight.dtype)
    if base.weight.device.type != "meta":
        channels = torch.zeros_like(first.weight[:, latent:])
        first.weight.data = torch.cat([base.weight.data, channels], dim=1)
        first.bias = nn.Parameter(base.bias.data.clone())
        if has_base:
            first.base_weight = nn.Parameter(base.weight.data.clone())
            first.base_bias = nn.Parameter(base.bias.data.clone())
    unet.conv_in = first.train(unet.training)
    unet.downsample_net = downsampler.train(unet.training)
    unet.register_to_config(in_channels=first.in_channels)
    return unet


def _add_fuser(block: BasicTransformerBlock, token_width: int, fuser: str) -> None:
    existing = getattr(block, "fuser", None)
    if isinstance(existing, GatedLayer):
        return
    reference = block.attn1.to_q.weight
    heads = block.attn1.heads
    head_width = block.attn1.inner_dim // heads
    build = gated_layer_type(FUSERS[0] if existing is not None else fuser)
    with torch.device("meta" if existing is not None else reference.device):
        layer = build(block.attn1.query_dim, token_width, heads, head_width)
    if existing is None:
        layer.to(reference.dtype)
    elif isinstance(existing, GatedSelfAttentionDense):
        _adopt(layer, existing)
    else:
        raise ValueError(
            f"The UNet has gated layers of the type {type(existing).__name__}; "
            "only self-attention layers (GatedSelfAttentionDense) are supported."
        )
    block.add_module("fuser", layer.train(block.training))


def _tokenizer_for(existing: nn.Module | None, token_width: int, reference: Tensor) -> Tokenizer:
    """Return the tokenizer that a UNet has, in this library's form, or a new one."""
    if isinstance(existing, Tokenizer):
        return existing
    if existing is None:
        with torch.device(reference.device):
            return TextBoxTokenizer(token_width, token_width).to(reference.dtype)
    if not isinstance(existing, GLIGENTextBoundingboxProjection):
        raise ValueError(  # noqa: TRY004 (the model is wrong, not the caller's type)
            f"The UNet's position_net is a {type(existing).__name__}, which is no grounding "
            "tokenizer known here."
        )
    with torch.device("meta"):
        if hasattr(existing, "linears"):
            tokenizer = TextBoxTokenizer(token_width, token_width)
        else:
            tokenizer = TextImageBoxTokenizer(token_width, token_width)
    _adopt(tokenizer, existing)
    return tokenizer


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
    residuals: Residuals | None = None,
    picture_tokens: Sequence[Float[Tensor, "B _ _ D"]] | None = None,
) -> Float[Tensor, "B out h w"]:
    """Evaluate the UNet once.

    Without `grounding` the gated layers are not computed at all. The caller's
    `cross_attention_kwargs` are passed on and not changed; their "scale" is the strength of LoRAs.
    `residuals` are those of networks beside the UNet, `picture_tokens` of each IP-Adapter.
    """
    kwargs = dict(cross_attention_kwargs or {})
    kwargs.pop("gligen", None)
    strength = kwargs.pop("scale", 1.0)
    if grounding is not None:
        kwargs["gligen"] = {"grounding": grounding}
    with lora_scale(unet, strength):
        return unet(
            latents,
            timestep,
            encoder_hidden_states=(context, list(picture_tokens)) if picture_tokens else context,
            cross_attention_kwargs=kwargs or None,
            return_dict=False,
            **(residuals.unet_arguments() if residuals else {}),
        )[0]
