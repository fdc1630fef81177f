"""One run: text, regions, noise and hole are encoded, then the loop denoises.

Shapes: B pictures, L text tokens, D width of the text encoder, latents [B, c, h, w].
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from torch import Tensor

from gligen.components import Components
from gligen.encoding import encode_prompts
from gligen.grounding import encode_grounding
from gligen.guidance import GuidedModel
from gligen.holes import Hole, encode_hole
from gligen.inpainting import layout_in_area
from gligen.layout import Box, Layout
from gligen.request import STYLE_BOXES
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
    style_box: Box = STYLE_BOXES["official"]  # of the token that carries the style picture
    crop_references: bool = False  # centre-crop reference pictures instead of squashing them

    @property
    def num_images(self) -> int:
        """Number of pictures that are made."""
        return len(self.layouts)


def run_steps(components: Components, run: Run) -> Generator[Step, Tensor | None, None]:
    """Encode, then denoise: one item per step.

    Whoever drives the generator with `send` may replace the latents that enter the next step.
    """
    device = components.device
    layouts = run.layouts
    if run.hole is not None:
        layouts = [layout_in_area(layout, run.hole.area) for layout in layouts]
    context, negative_context = _encode_text(components, run)
    grounding = encode_grounding(components, layouts, run.size, run.style_box, run.crop_references)
    sampler = make_sampler(
        run.sampler, components.scheduler, run.num_steps, device, run.generators, run.eta
    )
    noise = _start_noise(components, run)
    hole = None if run.hole is None else encode_hole(components, run.hole, run.num_images)
    model = GuidedModel(
        unet=components.unet,
        context=context,
        negative_context=negative_context,
        guidance_scale=run.guidance_scale,
        tokens=grounding.tokens,
        null_tokens=grounding.null_tokens,
        grounded=grounding.grounded,
        extra_channels=None if hole is None else hole.extra_channels,
        map_channels=grounding.map_channels,
        cross_attention_kwargs=run.cross_attention_kwargs,
    )

    def keep_known(latents: Tensor, index: int, sampler: Sampler) -> Tensor:
        assert hole is not None, "only a run with a hole blends"
        fresh = randn_tensor(latents.shape, run.generators, device, latents.dtype)
        noisy = sampler.add_noise(hole.known, fresh, index)
        return noisy * hole.mask + latents * (1 - hole.mask)

    gates = gate_schedule(sampler.num_steps, run.schedule)
    yield from denoise(model, sampler, noise, gates, keep_known if hole else None)


@torch.no_grad()
def _encode_text(
    components: Components, run: Run
) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"] | None]:
    """Return the encoded prompts, and the negative ones where there is guidance."""
    device, dtype = components.device, components.unet.dtype

    def encode(prompts: list[str]) -> Tensor:
        distinct = list(dict.fromkeys(prompts))
        encoded = encode_prompts(
            components.tokenizer, components.text_encoder, distinct, run.clip_skip
        )
        rows = torch.tensor([distinct.index(prompt) for prompt in prompts])
        return encoded[rows.to(encoded.device)].to(device, dtype)

    context = encode(run.prompts) if run.prompt_embeds is None else run.prompt_embeds
    context = context.to(device, dtype)
    if run.guidance_scale <= 1:
        return context, None
    negative = run.negative_prompt_embeds
    negative = encode(run.negative_prompts) if negative is None else negative
    return context, negative.to(device, dtype)


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
