"""The gated layer, put between a frozen block's self- and cross-attention.

The models have gated self-attention; gated cross-attention is what the paper compares it with.

Shapes: B batch, N visual tokens, M grounding tokens, C channels of the block, D width of a
grounding token.
"""

from dataclasses import dataclass

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor, nn

from gligen.kinds import CROSS_ATTENTION


@dataclass(frozen=True)
class Grounding:
    """What one UNet call is grounded on; travels with the call, never stored in the model."""

    tokens: Float[Tensor, "B M D"]  # grounding tokens, null tokens included
    # s of the formula below, in [0, 1]; 0 is the plain UNet. One per sample where they differ.
    gate_scale: float | Float[Tensor, "B 1 1"] = 1.0


class GatedLayer(nn.Module):
    """What the gated layers share: an attention and a feed-forward, each behind a gate.

    y = x + s tanh(alpha_attn) attend(x, o)
    z = y + s tanh(alpha_dense) FF(LN(y))
    """

    attn: Attention

    def add_gates(self, channels: int) -> None:
        """Add all that does not depend on the attention; its layers come first in the order."""
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def attend(
        self, x: Float[Tensor, "B N C"], tokens: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N C"]:
        """Return what the visual tokens see."""
        raise NotImplementedError

    def forward(
        self, x: Float[Tensor, "B N C"], objs: Grounding | Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N C"]:
        """Return the visual tokens after the layer.

        `objs` is the name diffusers' transformer block uses. Bare tokens, which is what diffusers'
        own pipelines pass, mean full strength.
        """
        grounding = objs if isinstance(objs, Grounding) else Grounding(objs)
        scale = grounding.gate_scale
        if isinstance(scale, float) and scale == 0:
            return x
        x = x + scale * self.alpha_attn.tanh() * self.attend(x, grounding.tokens)
        return x + scale * self.alpha_dense.tanh() * self.ff(self.norm2(x))


class GatedSelfAttention(GatedLayer):
    """Let visual tokens attend to grounding tokens, through a gate that starts closed.

        y = x + s tanh(alpha_attn) SA(LN([x; W o]))[:N]
        z = y + s tanh(alpha_dense) FF(LN(y))

    One LayerNorm covers visual and grounding tokens together, and padded (null) tokens are attended
    to like any other: there is no attention mask. Parameter names are diffusers'
    (`GatedSelfAttentionDense`), so that weights interchange.

    Source: paper, equation (8); original `GatedSelfAttentionDense`.
    """

    def __init__(self, channels: int, token_width: int, num_heads: int, head_width: int):
        super().__init__()
        self.linear = nn.Linear(token_width, channels)
        self.attn = Attention(query_dim=channels, heads=num_heads, dim_head=head_width)
        self.add_gates(channels)

    def attend(
        self, x: Float[Tensor, "B N C"], tokens: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N C"]:
        """Return what the visual tokens see among each other and the grounding tokens."""
        together = torch.cat([x, self.linear(tokens)], dim=1)
        return self.attn(self.norm1(together))[:, : x.shape[1]]


class GatedCrossAttention(GatedLayer):
    """Let visual tokens look at grounding tokens alone, through a gate that starts closed.

        y = x + s tanh(alpha_attn) CA(LN(x), o)
        z = y + s tanh(alpha_dense) FF(LN(y))

    Visual tokens do not see one another here, and a visual token that no region concerns must still
    look at one of the grounding tokens. Parameter names are the original's.

    Source: paper, section 5.1 (ablation); original `GatedCrossAttentionDense`.
    """

    def __init__(self, channels: int, token_width: int, num_heads: int, head_width: int):
        super().__init__()
        self.attn = Attention(
            query_dim=channels,
            cross_attention_dim=token_width,
            heads=num_heads,
            dim_head=head_width,
        )
        self.add_gates(channels)

    def attend(
        self, x: Float[Tensor, "B N C"], tokens: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N C"]:
        """Return what the visual tokens see among the grounding tokens."""
        return self.attn(self.norm1(x), encoder_hidden_states=tokens)


def gated_layer_type(fuser: str) -> type[GatedSelfAttention] | type[GatedCrossAttention]:
    """Return the class of the layers that one of `gligen.kinds.FUSERS` names."""
    return GatedCrossAttention if fuser == CROSS_ATTENTION else GatedSelfAttention
