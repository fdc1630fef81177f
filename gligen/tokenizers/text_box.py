"""Phrases in boxes.

Shapes: B batch, M slots (30 in the released models), D width of the text feature and of a token.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import Grounding
from gligen.kinds import BOX_EMBEDDINGS, MLP_BOXES
from gligen.tokenizers.fourier import fourier_embedding, fourier_width, mix
from gligen.tokenizers.mlp import HIDDEN_WIDTH, make_mlp


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


class TextBoxTokenizer(nn.Module):
    """One token per slot from a phrase feature and a box.

    A padded slot gets learned null features in place of both. Parameter names are diffusers'
    (`GLIGENTextBoundingboxProjection`, the UNet's `position_net`).

    Args:
        feature_width: of the phrase feature.
        token_width: of a grounding token.
        box_embedding: "fourier", as in every released model, or "mlp", which learns the features
            of a box from its corners and is what the paper compares them with.

    Source: paper, equation (5); original `text_grounding_net.PositionNet`.
    """

    def __init__(
        self, feature_width: int, token_width: int, box_embedding: str = BOX_EMBEDDINGS[0]
    ):
        super().__init__()
        self.linears = make_mlp(feature_width + fourier_width(4), token_width)
        self.null_positive_feature = nn.Parameter(torch.zeros(feature_width))
        self.null_position_feature = nn.Parameter(torch.zeros(fourier_width(4)))
        self.box_mlp = None
        if box_embedding == MLP_BOXES:
            # As wide at its end as the Fourier features: all that follows is the same.
            self.box_mlp = nn.Sequential(
                nn.Linear(4, HIDDEN_WIDTH), nn.SiLU(), nn.Linear(HIDDEN_WIDTH, fourier_width(4))
            )

    @property
    def box_embedding(self) -> str:
        """One of `gligen.kinds.BOX_EMBEDDINGS`."""
        return BOX_EMBEDDINGS[0] if self.box_mlp is None else MLP_BOXES

    @property
    def feature_width(self) -> int:
        """Width of the phrase feature it reads."""
        return self.null_positive_feature.shape[0]

    @property
    def device(self) -> torch.device:
        """Where its parameters are, which while offloaded is not where the model runs."""
        return self.null_positive_feature.device

    def tokens(self, grounding: BoxGrounding) -> Float[Tensor, "B M D"]:
        """Return the grounding tokens of every slot."""
        features = mix(grounding.phrase_features, self.null_positive_feature, grounding.masks)
        positions = mix(
            self.box_features(grounding.boxes), self.null_position_feature, grounding.masks
        )
        states = torch.cat([features, positions], dim=-1)
        return self.linears(states.to(self.null_positive_feature.dtype))

    def box_features(self, boxes: Float[Tensor, "*shape 4"]) -> Float[Tensor, "*shape F"]:
        """Return what stands for each box (xyxy in [0, 1]) beside its phrase."""
        if self.box_mlp is None:
            return fourier_embedding(boxes)
        return self.box_mlp(boxes.to(self.null_position_feature.dtype))

    def forward(
        self,
        grounding: Grounding | BoxGrounding | None = None,
        boxes: Float[Tensor, "B M 4"] | None = None,
        masks: Float[Tensor, "B M"] | None = None,
        positive_embeddings: Float[Tensor, "B M D"] | None = None,
    ) -> Grounding:
        """Answer the UNet, which calls its `position_net` in every evaluation.

        The pipeline asks for the tokens once, by an input (hooks that bring offloaded weights act
        on calls alone), and then passes a `grounding`, which goes through untouched.
        The other arguments are what diffusers' own pipelines pass, at full strength.
        """
        if isinstance(grounding, BoxGrounding):
            return Grounding(self.tokens(grounding))
        if grounding is not None:
            return grounding
        if boxes is None or masks is None or positive_embeddings is None:
            raise ValueError(
                "The UNet was called with part of a layout; give boxes, masks and "
                "positive_embeddings together, or a whole grounding."
            )
        return Grounding(self.tokens(BoxGrounding(boxes, masks, positive_embeddings)))
