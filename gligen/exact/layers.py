"""The layers of a UNet, evaluated with as few operations as they need.

Each class here stands for one of diffusers' layers, reads that layer's own parameters, and gives
what that layer gives, up to rounding. Nothing is stored in the model.

Shapes: R rows (B pictures, or 2 B with both halves of guidance), N visual tokens, M grounding
tokens, L text tokens, C channels (kv 2 C, qkv 3 C), D width of a token, h and w of the latents.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import GatedLayer, GatedSelfAttention
from gligen.exact.backends import attention
from gligen.exact.memory import is_channels_last
from gligen.exact.options import ExactOptions


@dataclass(frozen=True)
class Gates:
    """How far the two gates of one layer are open, the strength of the grounding included."""

    attention: Tensor  # [] or [R, 1, 1]
    dense: Tensor


@dataclass(frozen=True)
class BlockInputs:
    """What one transformer block attends to, the same in every step of a run."""

    context: Float[Tensor, "R L D"]
    prompt: tuple[Tensor, Tensor] | None  # its keys and values [R, L, C]; None: computed anew
    tokens: Float[Tensor, "R M D"] | None = None  # None: no grounding
    grounding: Float[Tensor, "R M kv"] | None = None  # keys, then values; None: computed anew

    def last_rows(self, rows: int) -> "BlockInputs":
        """Return the inputs of the last rows, which are the conditional half."""

        def last(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[-rows:]

        prompt = self.prompt and (self.prompt[0][-rows:], self.prompt[1][-rows:])
        return BlockInputs(self.context[-rows:], prompt, last(self.tokens), last(self.grounding))


def widen(x: Tensor, rows: int) -> Tensor:
    """Repeat what is the same for both halves of guidance until there are `rows` of it."""
    if len(x) == rows:
        return x
    return x.repeat(rows // len(x), *[1] * (x.dim() - 1))


def add_residual(x: Tensor, residual: Tensor) -> Tensor:
    """Add in place to `x` [R, ...] a residual of as many rows, or of one half of them."""
    if len(x) == len(residual):
        return x.add_(residual)
    x.unflatten(0, (-1, len(residual))).add_(residual)
    return x


class Resnet:
    """A `ResnetBlock2D` whose time embedding comes with the bias of its first convolution."""

    def __init__(self, module: ResnetBlock2D, options: ExactOptions):
        self.module: Any = module  # diffusers does not say of what type its parts are
        self.bias = None  # of the second convolution and of a shortcut that is a product
        if options.pointwise_products and is_pointwise(self.module.conv_shortcut):
            self.bias = self.module.conv2.bias.detach() + self.module.conv_shortcut.bias.detach()

    def __call__(self, x: Float[Tensor, "R c h w"], bias: Tensor) -> Float[Tensor, "R C h w"]:
        """Return the result; `bias` [C] is that of the first convolution and of the time."""
        module = self.module
        y = F.silu(module.norm1(x), inplace=True)
        y = F.conv2d(y, module.conv1.weight, bias, padding=1)
        y = F.silu(module.norm2(y), inplace=True)
        if self.bias is not None and not is_channels_last(x):
            y = F.conv2d(y, module.conv2.weight, self.bias, padding=1)
            y.flatten(2).baddbmm_(_matrices(module.conv_shortcut, x), x.flatten(2))
            return y
        y = module.conv2(y)
        return y.add_(x if module.conv_shortcut is None else module.conv_shortcut(x))

    def time_bias(self, activated: Float[Tensor, "T E"]) -> Float[Tensor, "T C"]:
        """Return the bias for each of T activated time embeddings."""
        return self.module.time_emb_proj(activated) + self.module.conv1.bias


class Transformer:
    """A `Transformer2DModel`; where its input is one half of guidance, its output is both."""

    def __init__(self, module: Transformer2DModel, options: ExactOptions):
        self.module: Any = module
        self.blocks = [Block(block, options) for block in self.module.transformer_blocks]
        projections = self.module.proj_in, self.module.proj_out
        self.multiplies = options.pointwise_products and all(map(is_pointwise, projections))

    def __call__(
        self, x: Float[Tensor, "r C h w"], inputs: list[BlockInputs], gates: list[Gates | None]
    ) -> Float[Tensor, "R C h w"]:
        """Return the result; inputs and gates are those of its blocks."""
        module, (height, width) = self.module, x.shape[2:]
        spread = is_channels_last(x)
        y = module.norm(x)
        if self.multiplies and not spread:
            y = y.flatten(2).transpose(1, 2)
            weights = _matrices(module.proj_in, y).transpose(1, 2)
            y = self._attend(torch.baddbmm(module.proj_in.bias, y, weights), inputs, gates)
            weights, bias = _matrices(module.proj_out, y), module.proj_out.bias[:, None]
            y = torch.baddbmm(bias, weights, y.transpose(1, 2)).unflatten(2, (height, width))
            return add_residual(y, x)
        if not module.use_linear_projection:
            y = module.proj_in(y)
        y = y.permute(0, 2, 3, 1).flatten(1, 2)
        if module.use_linear_projection:
            y = module.proj_in(y)
        y = self._attend(y, inputs, gates)
        if module.use_linear_projection:
            y = module.proj_out(y)
        y = y.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        if not spread:
            y = y.contiguous()
        if not module.use_linear_projection:
            y = module.proj_out(y)
        return add_residual(y, x)

    def _attend(self, y: Tensor, inputs: list[BlockInputs], gates: list[Gates | None]) -> Tensor:
        for block, its_inputs, its_gates in zip(self.blocks, inputs, gates, strict=True):
            y = block(y, its_inputs, its_gates)
        return y


class Block:
    """A `BasicTransformerBlock` with its gated layer."""

    def __init__(self, module: BasicTransformerBlock, options: ExactOptions):
        self.module: Any = module
        self.caches_prompt = options.cached_prompt
        self.attention = SelfAttention(module.attn1, options)
        fuser = getattr(module, "fuser", None)
        self.fuser: Fuser | None = None
        if type(fuser) is GatedSelfAttention and options.cached_grounding:
            self.fuser = Fuser(fuser, options)

    @property
    def gated_layer(self) -> GatedLayer | None:
        """The block's own gated layer; None where it has none."""
        return getattr(self.module, "fuser", None)

    def inputs(
        self, context: Float[Tensor, "R L D"], tokens: Float[Tensor, "R M D"] | None
    ) -> BlockInputs:
        """Prepare what is attended to in every step of a run."""
        looking, prompt, grounding = self.module.attn2, None, None
        if self.caches_prompt:
            prompt = looking.to_k(context), looking.to_v(context)
        if tokens is not None and self.fuser is not None:
            grounding = self.fuser.keys_and_values(tokens)
        return BlockInputs(context, prompt, tokens, grounding)

    def __call__(
        self, x: Float[Tensor, "r N C"], inputs: BlockInputs, gates: Gates | None
    ) -> Float[Tensor, "R N C"]:
        """Return the result; without `gates` the gated layer is left out."""
        module = self.module
        x = self.attention(module.norm1(x)).add_(x)
        x = widen(x, len(inputs.context))
        if gates is not None:
            x = self._ground(x, inputs, gates)
        looking = module.attn2  # at the prompt
        keys, values = inputs.prompt or (
            looking.to_k(inputs.context),
            looking.to_v(inputs.context),
        )
        seen = attend(looking.to_q(module.norm2(x)), keys, values, looking.heads)
        x = looking.to_out[0](seen).add_(x)
        return module.ff(module.norm3(x)).add_(x)

    def _ground(self, x: Tensor, inputs: BlockInputs, gates: Gates) -> Tensor:
        if self.fuser is not None:
            assert inputs.grounding is not None, "gates are open only where there is grounding"
            return self.fuser(x, inputs.grounding, gates)
        layer = self.gated_layer
        assert layer is not None, "gates belong to a gated layer"
        assert inputs.tokens is not None, "gates are open only where there is grounding"
        x = torch.addcmul(x, layer.attend(x, inputs.tokens), gates.attention)
        return torch.addcmul(x, layer.ff(layer.norm2(x)), gates.dense)


class SelfAttention:
    """An `Attention` of visual tokens among themselves."""

    def __init__(self, module: Attention, options: ExactOptions):
        self.module: Any = module
        self.fused = fused_projections(module) if options.fused_projections else None

    def project(self, x: Float[Tensor, "R N C"]) -> tuple[Tensor, Tensor]:
        """Return the queries [R, N, C], and the keys and values side by side [R, N, 2 C]."""
        if self.fused is None:
            module = self.module
            return module.to_q(x), torch.cat([module.to_k(x), module.to_v(x)], dim=-1)
        projected = F.linear(x, self.fused)
        width = projected.shape[-1] // 3
        return projected[..., :width], projected[..., width:]

    def __call__(self, x: Float[Tensor, "R N C"]) -> Float[Tensor, "R N C"]:
        """Return what the visual tokens see of each other."""
        module = self.module
        if self.fused is None:
            seen = attend(module.to_q(x), module.to_k(x), module.to_v(x), module.heads)
        else:
            queries, keys, values = F.linear(x, self.fused).chunk(3, dim=-1)
            seen = attend(queries, keys, values, module.heads)
        return module.to_out[0](seen)


class Fuser:
    """A `GatedSelfAttention` that asks for the visual tokens alone.

    Normalisation and projections treat each token by itself, so those of the grounding tokens are
    the same in every step.
    """

    def __init__(self, module: GatedSelfAttention, options: ExactOptions):
        self.module: Any = module
        self.attention = SelfAttention(module.attn, options)

    def keys_and_values(self, tokens: Float[Tensor, "R M D"]) -> Float[Tensor, "R M kv"]:
        """Return the keys and values of the grounding tokens."""
        module = self.module
        normed = module.norm1(module.linear(tokens))
        return torch.cat([module.attn.to_k(normed), module.attn.to_v(normed)], dim=-1)

    def __call__(
        self, x: Float[Tensor, "R N C"], grounding: Float[Tensor, "R M kv"], gates: Gates
    ) -> Float[Tensor, "R N C"]:
        """Return the visual tokens after the layer."""
        module = self.module
        queries, visual = self.attention.project(module.norm1(x))
        keys, values = torch.cat([visual, grounding], dim=1).chunk(2, dim=-1)
        seen = module.attn.to_out[0](attend(queries, keys, values, module.attn.heads))
        x = torch.addcmul(x, seen, gates.attention)
        return torch.addcmul(x, module.ff(module.norm2(x)), gates.dense)


def is_pointwise(layer: Any) -> bool:
    """Return whether a layer is a 1x1 convolution with a bias, a product with a matrix."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == layer.stride == layer.dilation == (1, 1)
        and layer.padding == (0, 0)
        and layer.groups == 1
        and layer.bias is not None
    )


def _matrices(layer: nn.Conv2d, x: Tensor) -> Float[Tensor, "R C c"]:
    """Return the matrix of a 1x1 convolution for each row of `x`, without copying it."""
    return layer.weight.flatten(1).expand(len(x), -1, -1)


def attend(
    queries: Float[Tensor, "R N C"],
    keys: Float[Tensor, "R K C"],
    values: Float[Tensor, "R K C"],
    heads: int,
) -> Float[Tensor, "R N C"]:
    """Return what each query sees, its heads side by side."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    return attention(q, k, v).transpose(1, 2).flatten(2)


def fused_projections(attention: Attention) -> Float[Tensor, "qkv C"]:
    """Return the weights of queries, keys and values as those of one product."""
    layers = (attention.to_q, attention.to_k, attention.to_v)
    return torch.cat([cast("nn.Linear", layer).weight.detach() for layer in layers])
