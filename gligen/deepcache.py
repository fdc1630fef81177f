"""What the deep levels of a UNet gave, kept for the steps that leave them out: DeepCache.

From one step to the next, what the deep levels say hardly changes. They are evaluated in one step
of several; in between only the shallowest part of the UNet is, on what they said last. It is an
approximation, so it happens only where a preset asks for it.

Source: arXiv 2312.00858; where the UNet is cut is the authors' default, its shallowest skip.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from gligen.exact.unet import Conditioning, PreparedUNet


@dataclass(frozen=True)
class _Kept:
    """The features of the deep levels, and under what circumstances they came about."""

    features: Float[Tensor, "R C h w"]
    step: int
    gate_scale: float
    conditioning: Conditioning


class DeepFeatures:
    """The deep levels of one run; belongs to that run alone.

    They are evaluated anew once in `interval` steps, and wherever something else than the noise
    changed since: the grounding was switched off or became weaker, guidance ended, or the text is
    another. A step that evaluates them does so each time it asks the model, however often that is.
    """

    def __init__(self, interval: int):
        self.interval = interval
        self._kept: _Kept | None = None

    def evaluate(
        self,
        unet: PreparedUNet,
        x: Float[Tensor, "B c h w"],
        timestep: float,
        conditioning: Conditioning,
        gate_scale: float,
        step: int,
    ) -> Float[Tensor, "R out h w"]:
        """Evaluate the UNet, its deep levels only where they are due; `step` counts from 0."""
        if not self._is_fresh(conditioning, gate_scale, step):
            features = unet.deep_features(x, timestep, conditioning, gate_scale)
            self._kept = _Kept(features, step, gate_scale, conditioning)
        assert self._kept is not None, "what was kept is fresh, or was just made"
        return unet(x, timestep, conditioning, gate_scale, self._kept.features)

    def _is_fresh(self, conditioning: Conditioning, gate_scale: float, step: int) -> bool:
        kept = self._kept
        return (
            kept is not None
            and kept.step < step < kept.step + self.interval
            and kept.gate_scale == gate_scale
            and kept.conditioning is conditioning
        )
