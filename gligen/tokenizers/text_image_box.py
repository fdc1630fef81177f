"""Phrases and reference pictures in boxes, and a style picture.

Shapes: B batch, M slots (30 in the released models), D width of the features and of a token.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import Grounding
from gligen.tokenizers.fourier import fourier_embedding, fourier_width, mix
from gligen.tokenizers.mlp import make_mlp


@dataclass(frozen=True)
class TextImageGrounding:
    """The grounding input of the text-image-box kinds, padded to the model's slots.

    A region has a phrase, a picture, both or neither; fractions of a mask mix with the null
    feature.
    """

    boxes: Float[Tensor, "B M 4"]  # xyxy in [0, 1]; anything in padded slots
    masks: Float[Tensor, "B M"]  # 1 = a region, 0 = padding
    phrase_masks: Float[Tensor, "B M"]  # 1 = the region has a phrase
    image_masks: Float[Tensor, "B M"]  # 1 = the region has a reference picture
    phrase_features: Float[Tensor, "B M D"]  # CLIP pooled feature
    image_features: Float[Tensor, "B M D"]  # projected CLIP vision feature of norm 28.7

    def null(self) -> "TextImageGrounding":
        """Return the null input of the same shape, for the unconditional half of guidance."""
        return TextImageGrounding(
            *(torch.zeros_like(getattr(self, field.name)) for field in fields(self))
        )


class TextImageBoxTokenizer(nn.Module):
    """Two tokens per slot, all phrase tokens first, then all picture tokens.

    Both see the box. A region without a phrase still has a phrase token (null phrase, real box),
    and likewise for pictures. Parameter names are diffusers' (`GLIGENTextBoundingboxProjection`
    with `feature_type="text-image"`).

    Source: original `text_image_grounding_net.PositionNet`.
    """

    def __init__(self, feature_width: int, token_width: int):
        super().__init__()
        self.linears_text = make_mlp(feature_width + fourier_width(4), token_width)
        self.linears_image = make_mlp(feature_width + fourier_width(4), token_width)
        self.null_text_feature = nn.Parameter(torch.zeros(feature_width))
        self.null_image_feature = nn.Parameter(torch.zeros(feature_width))
        self.null_position_feature = nn.Parameter(torch.zeros(fourier_width(4)))

    @property
    def feature_width(self) -> int:
        """Width of the phrase and picture features it reads."""
        return self.null_text_feature.shape[0]

    @property
    def device(self) -> torch.device:
        """Where its parameters are, which while offloaded is not where the model runs."""
        return self.null_text_feature.device

    def tokens(self, grounding: TextImageGrounding) -> Float[Tensor, "B N D"]:
        """Return the N = 2 M grounding tokens: M of phrases, then M of pictures."""
        boxes = fourier_embedding(grounding.boxes)
        positions = mix(boxes, self.null_position_feature, grounding.masks)
        dtype = self.null_text_feature.dtype
        branches = (
            (
                self.linears_text,
                mix(grounding.phrase_features, self.null_text_feature, grounding.phrase_masks),
            ),
            (
                self.linears_image,
                mix(grounding.image_features, self.null_image_feature, grounding.image_masks),
            ),
        )
        tokens = [
            linears(torch.cat([features, positions], dim=-1).to(dtype))
            for linears, features in branches
        ]
        return torch.cat(tokens, dim=1)

    def forward(
        self,
        grounding: Grounding | TextImageGrounding | None = None,
        boxes: Float[Tensor, "B M 4"] | None = None,
        masks: Float[Tensor, "B M"] | None = None,
        phrases_masks: Float[Tensor, "B M"] | None = None,
        image_masks: Float[Tensor, "B M"] | None = None,
        phrases_embeddings: Float[Tensor, "B M D"] | None = None,
        image_embeddings: Float[Tensor, "B M D"] | None = None,
    ) -> Grounding:
        """Answer the UNet, which calls its `position_net` in every evaluation.

        The pipeline asks for the tokens once, by an input (hooks that bring offloaded weights act
        on calls alone), and then passes a `grounding`, which goes through untouched.
        The other arguments are what diffusers' own pipelines pass, at full strength; a missing mask
        of phrases or pictures means that every region has one.
        """
        if isinstance(grounding, TextImageGrounding):
            return Grounding(self.tokens(grounding))
        if grounding is not None:
            return grounding
        if boxes is None or masks is None or phrases_embeddings is None or image_embeddings is None:
            raise ValueError(
                "The UNet was called with part of a layout; give boxes, masks, phrases_embeddings "
                "and image_embeddings together, or a whole grounding."
            )
        given = TextImageGrounding(
            boxes=boxes,
            masks=masks,
            phrase_masks=masks if phrases_masks is None else phrases_masks,
            image_masks=masks if image_masks is None else image_masks,
            phrase_features=phrases_embeddings,
            image_features=image_embeddings,
        )
        return Grounding(self.tokens(given))
