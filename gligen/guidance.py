"""One guided evaluation of the UNet: both halves of classifier-free guidance in one batch.

Shapes: B pictures, R rows (both halves, the unconditional one first, or one half), L text tokens,
M grounding tokens, D token width, latents [B, c, h, w].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor

from gligen.addons.residuals import Residuals
from gligen.attention import Grounding
from gligen.deepcache import DeepFeatures
from gligen.exact.graphs import GraphedUNet
from gligen.exact.unet import Conditioning, PreparedUNet
from gligen.unet import predict

# Of one evaluation: the unconditional half (None without guidance), and the conditional one
Halves = tuple[Tensor | None, Tensor]
# (latents, timestep, context, index of the step) -> what networks beside the UNet add in it
SideNetworks = Callable[[Tensor, Tensor | float, Tensor, int], Residuals]


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
    prepared: PreparedUNet | GraphedUNet | None = None  # the same UNet, evaluated with savings
    deep: DeepFeatures | None = None  # keeps them between the steps; needs the prepared UNet

    @torch.no_grad()
    def __call__(
        self,
        latents: Float[Tensor, "B c h w"],
        timestep: Tensor | float,
        gate_scale: float,
        step: int = 0,
    ) -> Float[Tensor, "B c h w"]:
        """Return the guided model output, u + g (c - u); `step` counts the steps from 0."""
        return self.guide(*self.halves(latents, timestep, gate_scale, step))

    @torch.no_grad()
    def halves(
        self,
        latents: Float[Tensor, "B c h w"],
        timestep: Tensor | float,
        gate_scale: float,
        step: int = 0,
    ) -> Halves:
        """Evaluate the UNet once, without guiding; the arguments are those of a call."""
        latents = latents.to(self.context.dtype)
        x = latents
        if self.extra_channels is not None:
            x = torch.cat([x, self.extra_channels], dim=1)
        # Once grounding is off the base alone goes on: its first convolution reads bare latents.
        if self.map_channels is not None and gate_scale != 0:
            x = torch.cat([x, self.map_channels], dim=1)
        if self.prepared is None:
            output = self._evaluate(latents, x, timestep, gate_scale, step)
        elif self.deep is None:
            output = self.prepared(x, float(timestep), self._conditioning, gate_scale)
        else:
            assert isinstance(self.prepared, PreparedUNet), "parts of it are not recorded"
            output = self.deep.evaluate(
                self.prepared, x, float(timestep), self._conditioning, gate_scale, step
            )
        if self.negative_context is None:
            return None, output
        unconditional, conditional = output.chunk(2)
        return unconditional, conditional

    def guide(
        self, unconditional: Float[Tensor, "B c h w"] | None, conditional: Float[Tensor, "B c h w"]
    ) -> Float[Tensor, "B c h w"]:
        """Return u + g (c - u) of the halves of an evaluation, its contrast brought back."""
        if unconditional is None:
            return conditional
        guided = unconditional + self.guidance_scale * (conditional - unconditional)
        if self.guidance_rescale == 0:
            return guided
        return rescale(guided, conditional, self.guidance_rescale)

    def part(self, first: int, last: int) -> "GuidedModel":
        """Return the model of the pictures from `first` to before `last`."""
        assert self.side_networks is None, "networks beside the UNet are bound to all pictures"

        def cut(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[first:last]

        pictures = self.picture_tokens
        if pictures is not None:
            halves = len(pictures[0]) // len(self.context)
            pictures = [x.unflatten(0, (halves, -1))[:, first:last].flatten(0, 1) for x in pictures]
        return replace(
            self,
            context=self.context[first:last],
            negative_context=cut(self.negative_context),
            tokens=cut(self.tokens),
            null_tokens=cut(self.null_tokens),
            grounded=cut(self.grounded),
            extra_channels=cut(self.extra_channels),
            map_channels=cut(self.map_channels),
            picture_tokens=pictures,
        )

    def unconditional_half(self) -> "GuidedModel":
        """Return the model that gives the unconditional half alone, as if it were the other."""
        assert self.negative_context is not None, "without guidance there is no such half"
        pictures = self.picture_tokens
        if pictures is not None:
            pictures = [x[: len(self.context)] for x in pictures]
        return replace(
            self,
            context=self.negative_context,
            negative_context=None,
            tokens=self.null_tokens,
            picture_tokens=pictures,
        )

    def forget(self) -> None:
        """Give up the memory of what was prepared; the next evaluation prepares it anew."""
        for name in ("_conditioning", "conditional"):
            self.__dict__.pop(name, None)

    def told(
        self,
        guidance_scale: float,
        context: Float[Tensor, "B L D"],
        negative_context: Float[Tensor, "B L D"] | None,
    ) -> "GuidedModel":
        """Return the model with other prompts, or another scale."""
        model = replace(
            self,
            guidance_scale=guidance_scale,
            context=context,
            negative_context=negative_context,
        )
        if context is self.context and negative_context is self.negative_context:
            made = {name: self.__dict__.get(name) for name in ("_conditioning", "conditional")}
            model.__dict__.update({name: value for name, value in made.items() if value})
        return model

    @cached_property
    def conditional(self) -> "GuidedModel":
        """The model without guidance: the conditional half alone."""
        if self.negative_context is None:
            return self
        model = replace(self, negative_context=None)
        if self.prepared is not None:
            model.__dict__["_conditioning"] = self._conditioning.last_rows(len(self.context))
        return model

    def _evaluate(
        self, latents: Tensor, x: Tensor, timestep: Tensor | float, gate_scale: float, step: int
    ) -> Tensor:
        """Evaluate the UNet as it is, both halves in one batch."""
        if self.negative_context is not None:
            latents, x = torch.cat([latents, latents]), torch.cat([x, x])
        context, tokens = self._contexts, self._all_tokens
        grounding = None
        if tokens is not None and gate_scale != 0:
            strength = self._strength
            grounding = Grounding(tokens, gate_scale * (1.0 if strength is None else strength))
        return predict(
            self.unet,
            x,
            timestep,
            context,
            grounding,
            self.cross_attention_kwargs,
            self.side_networks and self.side_networks(latents, timestep, context, step),
            # Without guidance the half of the empty picture is left out.
            self.picture_tokens and [tokens[-len(x) :] for tokens in self.picture_tokens],
        )

    @cached_property
    def _conditioning(self) -> Conditioning:
        assert self.prepared is not None, "only a prepared UNet is conditioned beforehand"
        return self.prepared.conditioning(self._contexts, self._all_tokens, self._strength)

    @property
    def _contexts(self) -> Float[Tensor, "R L D"]:
        if self.negative_context is None:
            return self.context
        return torch.cat([self.negative_context, self.context])

    @property
    def _all_tokens(self) -> Float[Tensor, "R M D"] | None:
        if self.tokens is None or self.negative_context is None:
            return self.tokens
        assert self.null_tokens is not None, "grounded guidance needs null tokens"
        return torch.cat([self.null_tokens, self.tokens])

    @property
    def _strength(self) -> Float[Tensor, "R 1 1"] | None:
        if self.grounded is None or self.negative_context is None:
            return self.grounded
        return torch.cat([self.grounded, self.grounded])


def join(models: Sequence[GuidedModel]) -> GuidedModel:
    """Return one model for the pictures of several, in their order, with the same UNet.

    It gives the halves of an evaluation; guiding is left to each of the models, whose scales may
    differ. Pictures without grounding are given null tokens and shut gates. The models are all with
    guidance or all without, and have neither a hole nor anything beside the UNet.
    """
    first = models[0]
    grounded = [model for model in models if model.tokens is not None]
    tokens, nulls, strengths = [], [], []
    for model in models if grounded else []:
        null = grounded[0].null_tokens
        assert null is not None, "grounding comes with null tokens"
        B = len(model.context)
        spread = null[:1].expand(B, -1, -1)
        tokens.append(spread if model.tokens is None else model.tokens)
        nulls.append(spread if model.null_tokens is None else model.null_tokens)
        strength = null.new_full((B, 1, 1), float(model.tokens is not None))
        strengths.append(strength if model.grounded is None else model.grounded)
    is_uneven = len(grounded) < len(models) or any(m.grounded is not None for m in grounded)
    maps = [model.map_channels for model in models if model.map_channels is not None]
    assert len(maps) in (0, len(models)), "a first convolution reads maps or it does not"
    negatives = [m.negative_context for m in models if m.negative_context is not None]
    assert len(negatives) in (0, len(models)), "with guidance or without"
    return GuidedModel(
        unet=first.unet,
        context=torch.cat([model.context for model in models]),
        negative_context=torch.cat(negatives) if negatives else None,
        guidance_scale=math.nan,
        tokens=torch.cat(tokens) if tokens else None,
        null_tokens=torch.cat(nulls) if nulls else None,
        grounded=torch.cat(strengths) if tokens and is_uneven else None,
        map_channels=torch.cat(maps) if maps else None,
        cross_attention_kwargs=first.cross_attention_kwargs,
        prepared=first.prepared,
    )


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
