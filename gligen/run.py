"""What is asked of a run, and what may be changed in it between two steps.

Shapes: B pictures, L text tokens, D width of the text encoder, latents [B, c, h, w].
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gligen.addons.inputs import AddOns
from gligen.holes import Hole
from gligen.layout import Layout
from gligen.presets import EXACT, Preset
from gligen.references import AS_TRAINED, ReferenceOptions

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
    sampler: str | None  # one of gligen.samplernames.SAMPLERS; None: the pipeline's scheduler
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
    preset: Preset = EXACT  # its sampler and steps are in `sampler` and `num_steps` already

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
