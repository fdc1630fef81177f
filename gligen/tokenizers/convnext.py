"""ConvNeXt without its head, in the parameter names of GLIGEN's weights (Meta's own).

transformers' ConvNeXt computes the same under other names; the released files fix these.

Shapes: B batch, C channels, h x w cells.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

TINY_WIDTHS = (96, 192, 384, 768)
TINY_DEPTHS = (3, 3, 9, 3)
_EPS = 1e-6


def stride_of(widths: Sequence[int]) -> int:
    """Return the pixels along one side of a cell of the output, for so many stages: 32 for four."""
    return 4 * 2 ** (len(widths) - 1)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each cell."""

    def forward(self, input: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:  # noqa: A002
        """Normalise every cell."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class Block(nn.Module):
    """x + gamma MLP(LN(depthwise 7 x 7 convolution of x))."""

    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Return the features after the block."""
        cells = self.norm(self.dwconv(x).movedim(1, -1))
        return x + (self.gamma * self.pwconv2(self.act(self.pwconv1(cells)))).movedim(-1, 1)


class ConvNeXt(nn.Module):
    """Stages, each at half the resolution of the one before; the first at a quarter.

    Source: arXiv 2201.03545, the "tiny" size in the released models.
    """

    def __init__(self, widths: Sequence[int] = TINY_WIDTHS, depths: Sequence[int] = TINY_DEPTHS):
        super().__init__()
        stem = nn.Sequential(
            nn.Conv2d(3, widths[0], kernel_size=4, stride=4), ChannelNorm(widths[0], eps=_EPS)
        )
        halvings = [
            nn.Sequential(ChannelNorm(a, eps=_EPS), nn.Conv2d(a, b, kernel_size=2, stride=2))
            for a, b in pairwise(widths)
        ]
        self.downsample_layers = nn.ModuleList([stem, *halvings])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        """Return the features of the last stage; h = H / 32 and w = W / 32 after four."""
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return x
