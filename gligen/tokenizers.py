"""Grounding tokenizers: what stands in a region becomes the tokens that the gated layers attend to.

Shapes: B batch, M slots (30 in the released models), D width of the text feature and of a token.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import Grounding

FOURIER_FREQUENCIES = 8
HIDDEN_WIDTH = 512  # of the tokenizer's MLP, in every released model


@dataclass(frozen=True)
class BoxGrounding:
    """The grounding input of the text-box kinds, padded to the model's slots."""

    boxes: Float[Tensor, "B M 4"]  # xyxy in [0, 1]; anything in padded slots
    masks: Float[Tensor, "B M"]  # 1 = a region, 0 = padding; fractions mix the two
    phrase_features: Float[Tensor, "B M D"]  # CLIP pooled feature; anything in padded slots

    def null(self) -> "BoxGrounding":
        """Return the null input of the same shape, for the unconditional half of guidance."""
        return BoxGrounding(
            torch.zeros_like(self.boxes),
            torch.zeros_like(self.masks),
            torch.zeros_like(self.phrase_features),
        )


def fourier_embedding(coordinates: Float[Tensor, "*shape K"]) -> Float[Tensor, "*shape F"]:
    """Embed K coordinates as F = 16 K sines and cosines.

    Frequencies are 100^(k/8) for k = 0..7, without a factor 2 pi. For each frequency come the sines
    of all coordinates, then their cosines. Computed in float32 whatever the input: the highest
    frequency, 56, costs half precision its sense of position.

    Source: original `FourierEmbedder`.
    """
    steps = torch.arange(FOURIER_FREQUENCIES, device=coordinates.device, dtype=torch.float32)
    frequencies = 100 ** (steps / FOURIER_FREQUENCIES)
    angles = coordinates.float().unsqueeze(-2) * frequencies.unsqueeze(-1)  # ... 8 K
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


class TextBoxTokenizer(nn.Module):
    """One token per slot from a phrase feature and a box.

    A padded slot gets learned null features in place of both. Parameter names are diffusers'
    (`GLIGENTextBoundingboxProjection`, the UNet's `position_net`).

    Source: paper, equation (5); original `text_grounding_net.PositionNet`.
    """

    def __init__(self, feature_width: int, token_width: int):
        super().__init__()
        position_width = FOURIER_FREQUENCIES * 2 * 4
        self.linears = nn.Sequential(
            nn.Linear(feature_width + position_width, HIDDEN_WIDTH),
            nn.SiLU(),
            nn.Linear(HIDDEN_WIDTH, HIDDEN_WIDTH),
            nn.SiLU(),
            nn.Linear(HIDDEN_WIDTH, token_width),
        )
        self.null_positive_feature = nn.Parameter(torch.zeros(feature_width))
        self.null_position_feature = nn.Parameter(torch.zeros(position_width))

    @property
    def feature_width(self) -> int:
        """Width of the phrase feature it reads."""
        return self.null_positive_feature.shape[0]

    def tokens(self, grounding: BoxGrounding) -> Float[Tensor, "B M D"]:
        """Return the grounding tokens of every slot."""
        masks = grounding.masks.unsqueeze(-1)
        dtype = self.null_positive_feature.dtype
        features = _mix(grounding.phrase_features, self.null_positive_feature, masks)
        positions = _mix(fourier_embedding(grounding.boxes), self.null_position_feature, masks)
        return self.linears(torch.cat([features, positions], dim=-1).to(dtype))

    def forward(
        self,
        grounding: Grounding | None = None,
        boxes: Float[Tensor, "B M 4"] | None = None,
        masks: Float[Tensor, "B M"] | None = None,
        positive_embeddings: Float[Tensor, "B M D"] | None = None,
    ) -> "Grounding":
        """Answer the UNet, which calls its `position_net` in every evaluation.

        The pipeline computes the tokens once and passes `grounding`, which goes through untouched.
        The other arguments are what diffusers' own pipelines pass, at full strength.
        """
        if grounding is not None:
            return grounding
        if boxes is None or masks is None or positive_embeddings is None:
            raise ValueError(
                "The UNet was called with part of a layout; give boxes, masks and "
                "positive_embeddings together, or a whole grounding."
            )
        return Grounding(self.tokens(BoxGrounding(boxes, masks, positive_embeddings)))


def _mix(value: Tensor, null: Tensor, masks: Tensor) -> Tensor:
    # where() on top of the linear mix: 0 x NaN from a padded slot would otherwise leak through.
    mixed = masks * value + (1 - masks) * null
    return torch.where(masks == 0, null.to(mixed.dtype), mixed)
