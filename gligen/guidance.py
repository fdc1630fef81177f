"""One guided evaluation of the UNet: both halves of classifier-free guidance in one batch.

Shapes: B pictures, L text tokens, M grounding tokens, D token width, latents [B, c, h, w].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor

from gligen.addons.residuals import Residuals
from gligen.attention import Grounding
from gligen.unet import predict

# (latents, timestep, context, index of the step) -> what networks beside the UNet add in it
SideNetworks = Callable[[Tensor, Tensor | int, Tensor, int], Residuals]


@dataclass(frozen=True)
class GuidedModel:
    """The UNet with everything that stays the same during a run; call it with what changes.

    The unconditional half goes through the gated layers with null tokens at the same gate scale, as
    in the original; leaving the layers out there is a different model.
    """

    unet: UNet2DConditionModel
    context: Float[Tensor, "B L D"]
    negative_context: Float[Tensor, "B L D"] | None  # None: no guidance
    guidance_scale: float
    tokens: Float[Tensor, "B M D"] | None = None  # None: plain generation
    null_tokens: Float[Tensor, "B M D"] | None = None
    grounded: Float[Tensor, "B 1 1"] | None = None  # 0 switches the gates off for a picture
    extra_channels: Float[Tensor, "B e h w"] | None = None  # inpainting: known latents and mask
    map_channels: Float[Tensor, "B e h w"] | None = None  # map kinds: only while gates are open
    cross_attention_kwargs: dict[str, Any] | None = None
    guidance_rescale: float = 0.0  # 0-1: how far the contrast is brought back, 0 = not at all
    side_networks: SideNetworks | None = None  # they see the latents alone, without more channels
    # Of each IP-Adapter: the half of the empty picture, then that of the pictures
    picture_tokens: list[Float[Tensor, "R _ _ D"]] | None = None

    @torch.no_grad()
    def __call__(
        self,
        latents: Float[Tensor, "B c h w"],
        timestep: Tensor | int,
        gate_scale: float,
        step: int = 0,
    ) -> Float[Tensor, "B c h w"]:
        """Return the guided model output, u + g (c - u); `step` counts the steps from 0."""
        latents = latents.to(self.context.dtype)
        x = latents
        if self.extra_channels is not None:
            x = torch.cat([x, self.extra_channels], dim=1)
        # Once grounding is off the base alone goes on: its first convolution reads bare latents.
        if self.map_channels is not None and gate_scale != 0:
            x = torch.cat([x, self.map_channels], dim=1)
        context = self.context
        if self.negative_context is not None:
            context = torch.cat([self.negative_context, context])
            latents, x = torch.cat([latents, latents]), torch.cat([x, x])
        output = predict(
            self.unet,
            x,
            timestep,
            context,
            self._grounding(gate_scale),
            self.cross_attention_kwargs,
            self.side_networks and self.side_networks(latents, timestep, context, step),
            # Without guidance the half of the empty picture is left out.
            self.picture_tokens and [tokens[-len(x) :] for tokens in self.picture_tokens],
        )
        if self.negative_context is None:
            return output
        unconditional, conditional = output.chunk(2)
        guided = unconditional + self.guidance_scale * (conditional - unconditional)
        if self.guidance_rescale == 0:
            return guided
        return rescale(guided, conditional, self.guidance_rescale)

    def _grounding(self, gate_scale: float) -> Grounding | None:
        if self.tokens is None or gate_scale == 0:
            return None
        num_halves = 1 if self.negative_context is None else 2
        strength: float | Tensor = gate_scale
        if self.grounded is not None:
            strength = torch.cat([gate_scale * self.grounded] * num_halves)
        if num_halves == 1:
            return Grounding(self.tokens, strength)
        assert self.null_tokens is not None, "grounded guidance needs null tokens"
        return Grounding(torch.cat([self.null_tokens, self.tokens]), strength)


def rescale(
    guided: Float[Tensor, "B c h w"], conditional: Float[Tensor, "B c h w"], share: float
) -> Float[Tensor, "B c h w"]:
    """Bring the deviation of the guided output back towards that of the conditional one.

    Strong guidance widens it, which overexposes the picture.

    Args:
        guided: u + g (c - u).
        conditional: c.
        share: 0 leaves `guided` as it is, 1 gives it the deviation of `conditional`.

    Source: arXiv 2305.08891, equations (15) and (16).
    """
    axes = (1, 2, 3)
    ratio = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return share * ratio * guided + (1 - share) * guided
