"""Both pipelines of a kind on equal weights with open gates, and how they are called."""

import numpy as np
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    StableDiffusionGLIGENPipeline,
    StableDiffusionGLIGENTextImagePipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from PIL import Image
from transformers import CLIPImageProcessorPil

from gligen.pipeline import GligenPipeline
from tests.conftest import small_pipeline, small_unet

PHRASES, BOXES = ["a dog", "a cat"], [[0.125, 0.125, 0.625, 0.625], [0.5, 0.375, 1.0, 1.0]]
STYLE = [0.0, 1.0, 0.0, 1.0]
SCHEDULERS = {
    "ddim": None,
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "heun": HeunDiscreteScheduler,
}


def theirs_like(ours: GligenPipeline):
    """Build diffusers' pipeline of the same kind on equal weights of its own."""
    has_images = "image" in ours.kind
    unet = UNet2DConditionModel.from_config(
        small_unet(ours.unet.config.in_channels).config,
        attention_type="gated-text-image" if has_images else "gated",
    ).eval()
    unet.load_state_dict(ours.unet.state_dict())
    parts = {**ours.components, "unet": unet}
    kind = StableDiffusionGLIGENPipeline
    if has_images:
        kind = StableDiffusionGLIGENTextImagePipeline
        side = ours.image_encoder.config.image_size
        parts["processor"] = CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )
    pipeline = kind(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.sample_size = 64
    return pipeline


def both(kind: str):
    ours = small_pipeline(kind)
    return ours, theirs_like(ours)


def photo(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def call(pipeline, **changes):
    options = {
        "prompt": "a dog",
        "gligen_phrases": PHRASES,
        "gligen_boxes": BOXES,
        "num_inference_steps": 4,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "latent",
    }
    return pipeline(**{**options, **changes}).images


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the greatest difference as a share of the greatest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


def use_scheduler(name: str, *pipelines) -> None:
    if SCHEDULERS[name] is not None:
        for pipeline in pipelines:
            pipeline.scheduler = SCHEDULERS[name].from_config(pipeline.scheduler.config)
