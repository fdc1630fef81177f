"""Joints of persons.

Shapes: B batch, P persons at most (8 in the released model), K = 17 P points, person after person,
D width of a token.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.attention import Grounding
from gligen.person import JOINTS
from gligen.tokenizers.fourier import fourier_embedding, fourier_width, mix
from gligen.tokenizers.mlp import make_mlp


@dataclass(frozen=True)
class KeypointGrounding:
    """The grounding input of the keypoint kind, padded to the model's persons."""

    points: Float[Tensor, "B K 2"]  # x, y in [0, 1]; anything where the joint is not seen
    masks: Float[Tensor, "B K"]  # 1 = the joint is seen

    def null(self) -> "KeypointGrounding":
        """Return the null input of the same shape, for the unconditional half of guidance."""
        return KeypointGrounding(torch.zeros_like(self.points), torch.zeros_like(self.masks))


class KeypointTokenizer(nn.Module):
    """One token per joint: which person, which joint, and where.

    A joint that is not seen loses all three at once. Parameter names are the original's
    (`keypoint_grounding_net.PositionNet`).
    """

    def __init__(self, max_persons: int, token_width: int):
        super().__init__()
        self.person_embeddings = nn.Parameter(torch.zeros(max_persons, token_width))
        self.keypoint_embeddings = nn.Parameter(torch.zeros(len(JOINTS), token_width))
        self.null_person_feature = nn.Parameter(torch.zeros(token_width))
        self.null_xy_feature = nn.Parameter(torch.zeros(fourier_width(2)))
        self.linears = make_mlp(token_width + fourier_width(2), token_width)

    @property
    def max_persons(self) -> int:
        """How many persons it can tell apart."""
        return self.person_embeddings.shape[0]

    @property
    def device(self) -> torch.device:
        """Where its parameters are, which while offloaded is not where the model runs."""
        return self.null_person_feature.device

    def tokens(self, grounding: KeypointGrounding) -> Float[Tensor, "B K D"]:
        """Return the grounding tokens of every joint of every person."""
        who = self.person_embeddings[:, None] + self.keypoint_embeddings  # P 17 D
        who = who.flatten(0, 1).expand(len(grounding.points), -1, -1)
        features = mix(who, self.null_person_feature, grounding.masks)
        points = fourier_embedding(grounding.points)
        positions = mix(points, self.null_xy_feature, grounding.masks)
        states = torch.cat([features, positions], dim=-1)
        return self.linears(states.to(self.null_person_feature.dtype))

    def forward(self, grounding: Grounding | KeypointGrounding) -> Grounding:
        """Answer the UNet, which calls its `position_net` in every evaluation.

        The pipeline asks for the tokens in this way too, once in a run: hooks that bring offloaded
        weights act on calls alone.
        """
        if isinstance(grounding, KeypointGrounding):
            return Grounding(self.tokens(grounding))
        return grounding
