"""What is compared: each contender answers the same call with latents or pictures.

Shapes: B pictures, M grounding tokens, latents [B, c, h, w].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, PNDMScheduler, UniPCMultistepScheduler
from PIL import Image
from torch import Tensor

from benchmarks.speed.models import TEXT_IMAGES, Models
from gligen.attention import Grounding
from gligen.encoding import encode_prompts
from gligen.grounding import encode_layouts
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.schedule import gate_schedule
from gligen.unet import predict

SCHEDULERS = {
    "PNDM": PNDMScheduler,
    "DPM++ 2M": DPMSolverMultistepScheduler,
    "UniPC": UniPCMultistepScheduler,
}
GUIDANCE_SCALE = 7.5
THINGS = ("a dog", "an apple", "a sun", "a house", "a tree", "a rocket", "a frog", "a panda")


@dataclass(frozen=True)
class Call:
    """One request, the same for every contender."""

    num_steps: int
    tau: float = 0.3
    num_boxes: int = 4
    num_images: int = 1
    scheduler: str = "PNDM"
    side: int | None = None  # pixels; None: as the models were built
    decodes: bool = False  # pictures, not latents

    @property
    def num_grounded(self) -> int:
        """Evaluations with open gates; PNDM evaluates twice in its first step."""
        steps = sum(gate > 0 for gate in gate_schedule(self.num_steps, self.tau))
        return steps + (self.scheduler == "PNDM" and steps > 0)

    @property
    def num_evaluations(self) -> int:
        """Evaluations of both halves of guidance."""
        return self.num_steps + (self.scheduler == "PNDM")

    @property
    def phrases(self) -> list[str]:
        """One for each box."""
        return [THINGS[index % len(THINGS)] for index in range(self.num_boxes)]

    @property
    def boxes(self) -> list[list[float]]:
        """Xyxy in [0, 1], in rows of six."""
        places = [(index % 6 / 6, index // 6 / 5) for index in range(self.num_boxes)]
        return [[x, y, x + 1 / 6, y + 1 / 5] for x, y in places]

    @property
    def pictures(self) -> list[Image.Image]:
        """A square reference picture for each box; of others diffusers cuts the ends off."""
        values = np.random.default_rng(0).integers(0, 256, (self.num_boxes, 64, 64, 3))
        return [Image.fromarray(picture.astype(np.uint8)) for picture in values]

    def arguments(self, kind: str, turn: int) -> dict[str, Any]:
        """Return the arguments that both pipelines take, tau excepted.

        Each turn has a prompt and noise of its own, so that nobody answers from memory.
        """
        return {
            "prompt": [f"things in a field, {turn}"] * self.num_images,
            "negative_prompt": [f"a blur {turn}"] * self.num_images,
            "gligen_phrases": self.phrases,
            "gligen_boxes": self.boxes,
            "num_inference_steps": self.num_steps,
            "guidance_scale": GUIDANCE_SCALE,
            "generator": [
                torch.Generator().manual_seed(1000 * turn + i) for i in range(self.num_images)
            ],
            "output_type": "pil" if self.decodes else "latent",
            "width": self.side,
            "height": self.side,
            **({"gligen_images": self.pictures} if kind == TEXT_IMAGES else {}),
        }


Contender = Callable[[Call, int], Any]  # (call, turn) -> latents [B, c, h, w], or pictures


def ours(pipeline: GligenPipeline) -> Contender:
    """Return this library's pipeline as a contender."""
    kind = pipeline.kind  # asking for it takes time, which is not that of a call

    def run(call: Call, turn: int) -> Any:
        _set_scheduler(pipeline, call)
        arguments = call.arguments(kind, turn)
        return pipeline(**arguments, gligen_scheduled_sampling_beta=call.tau).images

    return run


def stock(models: Models) -> Contender:
    """Return diffusers' pipeline as a contender.

    It counts tau in evaluations, and this library in steps. It is told the tau by which both ground
    the same evaluations, so the latents must agree. The text-image one grounds all of them.
    """
    pipeline = models.theirs

    def run(call: Call, turn: int) -> Any:
        _set_scheduler(pipeline, call)
        tau = (call.num_grounded + 1e-3) / call.num_evaluations
        arguments = call.arguments(models.kind, turn)
        return pipeline(**arguments, gligen_scheduled_sampling_beta=tau).images

    return run


def original(pipeline: GligenPipeline) -> Contender:
    """Return the structure of the authors' loop as a contender, text boxes alone.

    One evaluation of the UNet for each half of guidance; grounding tokens made anew in each; the
    gated layers computed in all of them, after tau times zero. Attention is PyTorch's fused one, as
    everywhere here, which is faster than the authors' own.
    """
    components, kind = pipeline._components, pipeline.kind

    @torch.no_grad()
    def run(call: Call, turn: int) -> Any:
        _set_scheduler(pipeline, call)
        arguments = call.arguments(kind, turn)
        device, dtype = components.device, pipeline.unet.dtype
        texts = pipeline.tokenizer, pipeline.text_encoder
        halves = [encode_prompts(*texts, arguments[n]) for n in ("negative_prompt", "prompt")]
        layout = Layout.from_lists(call.phrases, call.boxes)
        side = call.side or components.image_size[0]
        grounding: Any = encode_layouts(components, [layout] * call.num_images, (side, side))
        scheduler, unet = pipeline.scheduler, pipeline.unet
        scheduler.set_timesteps(call.num_steps, device=device)
        latent_side = side // components.pixels_per_latent
        shape = (1, components.num_channels, latent_side, latent_side)
        noise = [torch.randn(shape, generator=g, dtype=dtype) for g in arguments["generator"]]
        latents = torch.cat(noise).to(device) * scheduler.init_noise_sigma
        for index, timestep in enumerate(scheduler.timesteps):
            gate = float(index < call.num_grounded)
            strength = torch.full((call.num_images, 1, 1), gate, dtype=dtype, device=device)
            x = scheduler.scale_model_input(latents, timestep)
            outputs: list[Tensor] = []
            for context, inputs in zip(halves, (grounding.null(), grounding), strict=True):
                tokens = unet.position_net(inputs).tokens
                outputs.append(predict(unet, x, timestep, context, Grounding(tokens, strength)))
            unconditional, conditional = outputs
            guided = unconditional + GUIDANCE_SCALE * (conditional - unconditional)
            latents = scheduler.step(guided, timestep, latents).prev_sample
        if not call.decodes:
            return latents
        pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
        return pipeline.image_processor.postprocess(pixels)

    return run


def _set_scheduler(pipeline: Any, call: Call) -> None:
    wanted = SCHEDULERS[call.scheduler]
    if type(pipeline.scheduler) is not wanted:
        config = {**pipeline.scheduler.config, "skip_prk_steps": True}
        pipeline.scheduler = wanted.from_config(config)
