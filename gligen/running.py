"""One run: text, regions, noise and hole are encoded, then the loop denoises.

Shapes: B pictures, L text tokens, D width of the text encoder, latents [B, c, h, w].
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from gligen.addons.control import side_networks
from gligen.addons.inputs import AddOns
from gligen.addons.ip_adapter import picture_tokens
from gligen.addons.lorascale import lora_scale
from gligen.components import Components
from gligen.encoding import encode_prompts
from gligen.grounding import encode_grounding
from gligen.guidance import GuidedModel
from gligen.holes import Hole, encode_hole
from gligen.inpainting import layout_in_area
from gligen.layout import Layout
from gligen.references import AS_TRAINED, ReferenceOptions
from gligen.sampling import Sampler, Step, denoise, make_sampler
from gligen.schedule import gate_schedule

Generators = torch.Generator | list[torch.Generator] | None


@dataclass(frozen=True)
class Run:
    """Everything that is asked of a run; one entry of a list for each picture."""

    prompts: list[str]
    layouts: list[Layout]
    negative_prompts: list[str]
    size: tuple[int, int]  # width, height in pixels of what the model paints
    num_steps: int
    guidance_scale: float
    schedule: float | Sequence[float]  # tau, or the shares (full, decay, off)
    sampler: str | None  # one of gligen.sampling.SAMPLERS; None: the pipeline's scheduler
    generators: Generators
    hole: Hole | None = None  # None: generation
    eta: float = 0.0
    latents: Tensor | None = None  # unit noise to start from
    prompt_embeds: Tensor | None = None  # instead of the prompts
    negative_prompt_embeds: Tensor | None = None
    clip_skip: int | None = None
    cross_attention_kwargs: dict[str, Any] | None = None
    guidance_rescale: float = 0.0  # 0-1, of gligen.guidance
    timesteps: list[int] | None = None  # instead of the scheduler's own spacing
    sigmas: list[float] | None = None  # likewise, as noise levels
    references: ReferenceOptions = AS_TRAINED
    add_ons: AddOns = field(default=AddOns())

    @property
    def lora_strength(self) -> float:
        """Factor on loaded LoRAs, in the UNet and in the text encoder."""
        return (self.cross_attention_kwargs or {}).get("scale", 1.0)

    @property
    def num_images(self) -> int:
        """Number of pictures that are made."""
        return len(self.layouts)


@dataclass(frozen=True)
class Change:
    """What whoever drives a run may send it after a step; None leaves a thing as it is."""

    latents: Tensor | None = None  # [B, c, h, w], enter the next step
    guidance_scale: float | None = None
    context: Float[Tensor, "B L D"] | None = None  # the encoded prompts
    negative_context: Float[Tensor, "B L D"] | None = None


def run_steps(components: Components, run: Run) -> Generator[Step, Change | None, None]:
    """Encode, then denoise: one item per step.

    Whoever drives the generator may `send` a change for the steps that follow.
    """
    device = components.device
    layouts = run.layouts
    if run.hole is not None:
        layouts = [layout_in_area(layout, run.hole.area) for layout in layouts]
    text = encode_text(components, run)
    with lora_scale(components.text_encoder, run.lora_strength):
        grounding = encode_grounding(components, layouts, run.size, run.references)
    sampler = make_sampler(
        run.sampler,
        components.scheduler,
        run.num_steps,
        device,
        run.generators,
        run.eta,
        run.timesteps,
        run.sigmas,
    )
    noise = _start_noise(components, run)
    hole = None if run.hole is None else encode_hole(components, run.hole, run.num_images)
    model = GuidedModel(
        unet=components.unet,
        context=text.context,
        negative_context=text.negative_context,
        guidance_scale=run.guidance_scale,
        tokens=grounding.tokens,
        null_tokens=grounding.null_tokens,
        grounded=grounding.grounded,
        extra_channels=None if hole is None else hole.extra_channels,
        map_channels=grounding.map_channels,
        cross_attention_kwargs=run.cross_attention_kwargs,
        guidance_rescale=run.guidance_rescale,
        side_networks=side_networks(
            components, run.add_ons, run.size, run.num_images, sampler.num_steps, run.hole
        ),
        picture_tokens=picture_tokens(
            components, run.add_ons, run.num_images, guided=text.negative is not None
        ),
    )

    def evaluate(latents: Tensor, timestep: Tensor | int, gate_scale: float, step: int) -> Tensor:
        return model(latents, timestep, gate_scale, step)  # looked up anew: a change replaces it

    def keep_known(latents: Tensor, index: int, sampler: Sampler) -> Tensor:
        assert hole is not None, "only a run with a hole blends"
        fresh = randn_tensor(latents.shape, run.generators, device, latents.dtype)
        noisy = sampler.add_noise(hole.known, fresh, index)
        return noisy * hole.mask + latents * (1 - hole.mask)

    gates = gate_schedule(sampler.num_steps, run.schedule)
    steps = denoise(evaluate, sampler, noise, gates, keep_known if hole else None)
    step = next(steps, None)
    while step is not None:
        change = yield step
        if change is not None:
            text = text.changed(change)
            model = replace(
                model,
                context=text.context,
                negative_context=text.negative_context,
                guidance_scale=text.guidance_scale,
            )
        try:
            step = steps.send(None if change is None else change.latents)
        except StopIteration:
            return


@dataclass(frozen=True)
class EncodedText:
    """The prompts as the UNet reads them, and how far they are followed."""

    context: Float[Tensor, "B L D"]
    negative: Float[Tensor, "B L D"] | None  # None: encoded without guidance
    guidance_scale: float

    @property
    def negative_context(self) -> Float[Tensor, "B L D"] | None:
        """The negative prompts where there is guidance."""
        return self.negative if self.guidance_scale > 1 else None

    def changed(self, change: Change) -> "EncodedText":
        """Return the text after a change.

        Raises:
            ValueError: the change switches guidance on and there is no negative prompt for it.
        """
        scale = self.guidance_scale if change.guidance_scale is None else change.guidance_scale
        context = self.context if change.context is None else change.context
        negative = self.negative if change.negative_context is None else change.negative_context
        if scale > 1 and negative is None:
            raise ValueError(
                f"The guidance scale was raised to {scale:g} in a run that began without guidance; "
                "begin with a scale above 1."
            )
        return EncodedText(context.to(self.context), negative, scale)


@torch.no_grad()
def encode_text(components: Components, run: Run) -> EncodedText:
    """Return the encoded prompts, and the negative ones where there is guidance."""
    device, dtype = components.device, components.unet.dtype

    def encode(prompts: list[str]) -> Tensor:
        distinct = list(dict.fromkeys(prompts))
        with lora_scale(components.text_encoder, run.lora_strength):
            encoded = encode_prompts(
                components.tokenizer, components.text_encoder, distinct, run.clip_skip
            )
        rows = torch.tensor([distinct.index(prompt) for prompt in prompts])
        return encoded[rows.to(encoded.device)].to(device, dtype)

    context = encode(run.prompts) if run.prompt_embeds is None else run.prompt_embeds
    context = context.to(device, dtype)
    if run.guidance_scale <= 1:
        return EncodedText(context, None, run.guidance_scale)
    negative = run.negative_prompt_embeds
    negative = encode(run.negative_prompts) if negative is None else negative
    return EncodedText(context, negative.to(device, dtype), run.guidance_scale)


def _start_noise(components: Components, run: Run) -> Float[Tensor, "B c h w"]:
    """Draw the unit noise, or take the caller's.

    Raises:
        ValueError: the caller's has another shape.
    """
    device, dtype = components.device, components.unet.dtype
    width, height = (side // components.pixels_per_latent for side in run.size)
    shape = (run.num_images, components.num_channels, height, width)
    if run.latents is None:
        return randn_tensor(shape, run.generators, device, dtype)
    if tuple(run.latents.shape) != shape:
        raise ValueError(
            f"The latents have shape {tuple(run.latents.shape)}; this call needs {shape}."
        )
    return run.latents.to(device, dtype)
