"""Maps of the whole picture: soft and Canny edges, depth, normals, semantic classes.

A map enters the model twice: as grounding tokens (`MapTokenizer`), and beside the latents through
the first convolution (`MapDownsampler`).

Shapes: B batch, C channels of the map (3; semantic: 152), N tokens, D width of a token.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import Grounding
from gligen.tokenizers.convnext import TINY_DEPTHS, TINY_WIDTHS, ConvNeXt, stride_of
from gligen.tokenizers.fourier import mix
from gligen.tokenizers.mlp import make_mlp

SEMANTIC_CLASSES = 152  # of the released model: one-hot channels


@dataclass(frozen=True)
class MapGrounding:
    """The grounding input of the map kinds."""

    image: Float[Tensor, "B C H W"] | None  # RGB in [-1, 1], or one-hot classes; None: no map
    masks: Float[Tensor, "B 1"]  # 1 = there is a map

    def null(self) -> "MapGrounding":
        """Return the null input, for the unconditional half of guidance.

        The original runs the backbone on a zero map and multiplies by zero; there is no need to.
        """
        return MapGrounding(None, torch.zeros_like(self.masks))


class MapTokenizer(nn.Module):
    """One token for each cell of a coarse grid over the map, row by row.

    Parameter names are the original's (`canny_grounding_net.PositionNet` and its likes).

    Args:
        num_tokens: cells of the grid, a square number.
        token_width: D.
        widths: of the backbone's stages.
        depths: of the backbone's stages.
        num_classes: one-hot channels of a semantic map; 0: the map is RGB.
    """

    def __init__(
        self,
        num_tokens: int,
        token_width: int,
        widths: Sequence[int] = TINY_WIDTHS,
        depths: Sequence[int] = TINY_DEPTHS,
        num_classes: int = 0,
    ):
        super().__init__()
        # Pixels that the backbone sees: 256 in the released models, 64 with two stages.
        self.side = math.isqrt(num_tokens) * stride_of(widths)
        self.in_conv = nn.Conv2d(num_classes, 3, 3, padding=1) if num_classes else None
        self.convnext_tiny_backbone = ConvNeXt(widths, depths)
        self.pos_embedding = nn.Parameter(torch.zeros(1, num_tokens, widths[-1]))
        self.null_feature = nn.Parameter(torch.zeros(widths[-1]))
        self.linears = make_mlp(widths[-1], token_width)

    @property
    def device(self) -> torch.device:
        """Where its parameters are, which while offloaded is not where the model runs."""
        return self.null_feature.device

    def features(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N F"]:
        """Return the backbone's features of each cell; the map is squeezed to a square."""
        # Nearest for every kind, also for photographs of edges: so the weights were trained.
        image = image.to(self.null_feature.dtype)
        if image.shape[2:] != (self.side, self.side):
            image = F.interpolate(image, (self.side, self.side))
        if self.in_conv is not None:
            image = self.in_conv(image)
        return self.convnext_tiny_backbone(image).flatten(2).transpose(1, 2)

    def tokens(self, grounding: MapGrounding) -> Float[Tensor, "B N D"]:
        """Return the grounding tokens; those of no map still carry their positions."""
        num_cells = self.pos_embedding.shape[1]
        masks = grounding.masks.expand(-1, num_cells)
        if grounding.image is None:
            features = self.null_feature.expand(len(masks), num_cells, -1)
        else:
            features = mix(self.features(grounding.image), self.null_feature, masks)
        return self.linears((features + self.pos_embedding).to(self.null_feature.dtype))

    def forward(self, grounding: Grounding | MapGrounding) -> Grounding:
        """Answer the UNet, which calls its `position_net` in every evaluation.

        The pipeline asks for the tokens in this way too, once in a run: hooks that bring offloaded
        weights act on calls alone.
        """
        if isinstance(grounding, MapGrounding):
            return Grounding(self.tokens(grounding))
        return grounding


class MapDownsampler(nn.Module):
    """The map as further input channels of the first convolution, at the size of the latents.

    Parameter names are the original's (`*_grounding_downsampler.GroundingDownsampler`). The HED
    kind has no parameters: its one channel is resized.

    Args:
        in_channels: channels of the map that are read (the first ones); 152 for a semantic map.
        widths: of the two convolutions; none for HED.
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = ()):
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = widths[-1] if widths else in_channels  # beside the latents
        self.layers = None
        if widths:
            first, second = widths
            self.layers = nn.Sequential(
                nn.Conv2d(in_channels, first, kernel_size=4, stride=2, padding=1),
                nn.SiLU(),
                nn.Conv2d(first, second, kernel_size=4, stride=2, padding=1),
            )

    def forward(
        self, image: Float[Tensor, "B C H W"], size: tuple[int, int]
    ) -> Float[Tensor, "B E h w"]:
        """Return the further channels at `size` (height, width) of the latents.

        The map comes in the dtype that the UNet computes in, which its weights need not be kept in.
        The original fixes the size that the map is resized to, 256 or 64 pixels, for latents of
        64 x 64; at that size the two agree, and at others this one follows the latents.
        """
        image = image[:, : self.in_channels]
        # Classes cannot be blended.
        mode = "nearest" if self.in_channels > 3 else "bicubic"
        if self.layers is None:
            return F.interpolate(image, size, mode=mode)
        target = (4 * size[0], 4 * size[1])
        if image.shape[2:] != target:  # one-hot labels are large; spare the copy
            image = F.interpolate(image, target, mode=mode)
        return self.layers(image)
