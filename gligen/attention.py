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


class GatedSelfAttention(nn.Module):
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
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

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
        num_visual = x.shape[1]
        together = torch.cat([x, self.linear(grounding.tokens)], dim=1)
        attended = self.attn(self.norm1(together))[:, :num_visual]
        x = x + scale * self.alpha_attn.tanh() * attended
        return x + scale * self.alpha_dense.tanh() * self.ff(self.norm2(x))


class GatedCrossAttention(nn.Module):
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
        self.ff = FeedForward(channels, activation_fn="geglu")
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.alpha_attn = nn.Parameter(torch.zeros(()))
        self.alpha_dense = nn.Parameter(torch.zeros(()))

    def forward(
        self, x: Float[Tensor, "B N C"], objs: Grounding | Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N C"]:
        """Return the visual tokens after the layer; arguments as of `GatedSelfAttention`."""
        grounding = objs if isinstance(objs, Grounding) else Grounding(objs)
        scale = grounding.gate_scale
        if isinstance(scale, float) and scale == 0:
            return x
        attended = self.attn(self.norm1(x), encoder_hidden_states=grounding.tokens)
        x = x + scale * self.alpha_attn.tanh() * attended
        return x + scale * self.alpha_dense.tanh() * self.ff(self.norm2(x))


GatedLayer = GatedSelfAttention | GatedCrossAttention


def gated_layer_type(fuser: str) -> type[GatedSelfAttention] | type[GatedCrossAttention]:
    """Return the class of the layers that one of `gligen.kinds.FUSERS` names."""
    return GatedCrossAttention if fuser == CROSS_ATTENTION else GatedSelfAttention
