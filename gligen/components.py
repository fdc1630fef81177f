"""The models that a run uses, and what can be read off them."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    MultiControlNetModel,
    SchedulerMixin,
    T2IAdapter,
    UNet2DConditionModel,
)
from diffusers.image_processor import VaeImageProcessor
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from gligen.exact.graphs import Graphs
from gligen.exact.options import ALL_SAVINGS, ExactOptions
from gligen.unet import kind_of


@dataclass(frozen=True)
class Components:
    """A pipeline's models during one call."""

    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    unet: UNet2DConditionModel
    scheduler: SchedulerMixin
    image_processor: VaeImageProcessor
    device: torch.device  # where the models compute, also while they are offloaded elsewhere
    # For reference pictures, which only the text-image kinds read:
    image_encoder: CLIPVisionModelWithProjection | None = None
    image_project: nn.Module | None = None  # from CLIP's projected feature to that of a phrase
    processor: Any = None  # CLIP's, prepares pictures
    # Networks beside the UNet, and what reads pictures for the IP-Adapter:
    controlnet: ControlNetModel | MultiControlNetModel | None = None
    adapter: T2IAdapter | None = None
    ip_adapter_image_encoder: CLIPVisionModelWithProjection | None = None
    exact: ExactOptions = ALL_SAVINGS
    graphs: Graphs | None = None  # recordings of earlier runs; None: nothing is recorded

    @property
    def kind(self) -> str:
        """What the UNet was trained for, one of `gligen.kinds.KINDS`."""
        return kind_of(self.unet)

    @property
    def is_inpainting(self) -> bool:
        """Whether the UNet repaints pictures."""
        return self.kind.startswith("inpainting")

    @property
    def num_channels(self) -> int:
        """Channels of the latents."""
        return self.unet.config.out_channels

    @property
    def pixels_per_latent(self) -> int:
        """Pixels of the picture along one side of a latent."""
        return self.image_processor.config["vae_scale_factor"]

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height in pixels that the model was trained at."""
        side = self.unet.config.sample_size * self.pixels_per_latent
        return side, side

    @property
    def area_multiple(self) -> int:
        """Pixels; sides that are multiples of it pass through every level of the UNet evenly."""
        return self.pixels_per_latent * 2 ** (len(self.unet.config.block_out_channels) - 1)
