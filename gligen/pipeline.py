"""The pipeline: from a request to pictures.

`GligenPipeline.stream` answers a `Request` step by step; `GligenPipeline.__call__` takes the
arguments of diffusers' `StableDiffusionGLIGENPipeline`. Both end in the same `_denoise`.
"""

import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, SchedulerMixin, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import StableDiffusionMixin
from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.encoding import check_length, encode_layouts, encode_prompts
from gligen.guidance import GuidedModel
from gligen.inpainting import (
    WorkArea,
    check_mask,
    composite,
    hole_from_boxes,
    hole_in_area,
    latent_mask,
    layout_in_area,
    picture_in_area,
    plan_work_area,
)
from gligen.layout import Layout
from gligen.request import Request, Result
from gligen.sampling import Sampler, Step, denoise, make_sampler
from gligen.schedule import gate_schedule
from gligen.tokenizers import BoxGrounding
from gligen.unet import add_grounding, is_grounded

Generators = torch.Generator | list[torch.Generator] | None


@dataclass(frozen=True)
class _Hole:
    """The inpainting side of a run."""

    picture: Image.Image  # RGB, at its own size
    mask: Image.Image  # mode L, white = repaint, at the picture's size
    area: WorkArea
    feather: int


@dataclass(frozen=True)
class _Run:
    """Everything that `_denoise` needs; one entry of a list for each picture."""

    prompts: list[str]
    layouts: list[Layout]
    negative_prompts: list[str]
    size: tuple[int, int]  # width, height in pixels of what the model paints
    num_steps: int
    guidance_scale: float
    schedule: float | Sequence[float]
    sampler: str | None
    generators: Generators
    hole: _Hole | None = None
    eta: float = 0.0
    latents: Tensor | None = None
    prompt_embeds: Tensor | None = None
    negative_prompt_embeds: Tensor | None = None
    clip_skip: int | None = None
    cross_attention_kwargs: dict[str, Any] | None = field(default=None)

    @property
    def num_images(self) -> int:
        return len(self.layouts)


class GligenPipeline(DiffusionPipeline, StableDiffusionMixin):
    """Grounded generation and inpainting with Stable Diffusion 1.x.

    A drop-in for diffusers' `StableDiffusionGLIGENPipeline`: same components, same call arguments.
    A UNet with diffusers' gated layers is adopted in place (its parameter objects stay the same);
    one without gated layers paints plainly and refuses regions.

    Args:
        vae: encodes pictures to latents and back.
        text_encoder: CLIP's; its pooled output is the feature of a phrase.
        tokenizer: of the text encoder.
        unet: 4 input channels generate, 9 inpaint (in general c, and 2 c + 1 for c latent
            channels).
        scheduler: says which noise the model was trained on; samples where no `sampler` is named.
        safety_checker: optional, blackens pictures that it objects to.
        feature_extractor: prepares pictures for the safety checker.
        requires_safety_checker: kept from diffusers' configuration.
    """

    model_cpu_offload_seq = "text_encoder->unet->vae"
    _optional_components = ["safety_checker", "feature_extractor"]  # noqa: RUF012 (diffusers' form)
    _exclude_from_cpu_offload = ["safety_checker"]  # noqa: RUF012

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: UNet2DConditionModel,
        scheduler: SchedulerMixin,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        requires_safety_checker: bool = False,
    ):
        super().__init__()
        if safety_checker is not None and feature_extractor is None:
            raise ValueError(
                "A safety checker needs its feature extractor; pass feature_extractor too, or "
                "safety_checker=None."
            )
        if getattr(unet.config, "attention_type", "default") != "default":
            add_grounding(unet)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
        )
        self.vae_scale_factor = 2 ** (len(vae.config.block_out_channels) - 1)
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self.register_to_config(requires_safety_checker=requires_safety_checker)
        self.interrupt = False  # set from a callback: the call returns after the current step
        self.model_name = ""  # what settings and pages call the model; loaders set it

    @property
    def kind(self) -> str:
        """What the UNet was trained for: "generation_text_box" or "inpainting_text_box"."""
        task = "generation" if self._num_channels == self.unet.config.in_channels else "inpainting"
        return f"{task}_text_box"

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height in pixels that the model was trained at."""
        side = self.unet.config.sample_size * self.vae_scale_factor
        return side, side

    @property
    def _num_channels(self) -> int:
        return self.unet.config.out_channels

    @property
    def _area_multiple(self) -> int:
        """Pixels; sides that are multiples of it pass through every level of the UNet evenly."""
        return self.vae_scale_factor * 2 ** (len(self.unet.config.block_out_channels) - 1)

    # ---------------------------------------------------------------- the library's own interface

    def stream(self, request: Request) -> Iterator[Step | Result]:
        """Answer a request: one `Step` after each denoising step, then the `Result`.

        Closing the iterator stops the work at once and leaves nothing behind.

        Raises:
            ValueError: the model cannot do what the request asks; nothing has been computed yet.
        """
        started = time.perf_counter()
        self._check_request(request)
        hole = self._plan_hole(
            request.inpaint_image, request.inpaint_mask, request.layout, request.mask_feather
        )
        width, height = self.image_size
        first_seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        seeds = [first_seed + i for i in range(request.num_images)]
        run = _Run(
            prompts=[request.full_prompt] * request.num_images,
            layouts=[request.layout] * request.num_images,
            negative_prompts=[request.negative_prompt] * request.num_images,
            size=hole.area.size if hole else (request.width or width, request.height or height),
            num_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            schedule=request.gate_schedule,
            sampler=request.sampler,
            generators=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            hole=hole,
        )
        step = None
        for step in self._denoise(run):
            yield step
        assert step is not None, "every run has a step"
        images = self._finish(self._decode(step.latents), hole)
        self.maybe_free_model_hooks()
        yield Result(
            images=images,
            seeds=seeds,
            prompt=request.full_prompt,
            request=request,
            model=self.model_name,
            seconds=time.perf_counter() - started,
        )

    def generate(self, request: Request) -> Result:
        """Answer a request and return the result."""
        *_, result = self.stream(request)
        assert isinstance(result, Result), "a stream ends in its result"
        return result

    def decode_preview(self, latents: Tensor) -> list[Image.Image]:
        """Decode the `predicted` or `latents` of a step to pictures, RGB, one for each sample."""
        return self._to_images(self._decode(latents))

    def _check_request(self, request: Request) -> None:
        is_inpainting = request.inpaint_image is not None
        if is_inpainting and self.kind != "inpainting_text_box":
            raise ValueError(
                "This model generates and cannot repaint a picture; load one of the inpainting "
                "kind."
            )
        if not is_inpainting and self.kind == "inpainting_text_box":
            raise ValueError(
                "There is no picture to inpaint, and this model only repaints pictures; give one, "
                "or "
                "load a model of the generation kind."
            )
        if is_inpainting and (request.width or request.height):
            raise ValueError(
                "Inpainting keeps the size of the picture; leave width and height out."
            )
        for name in ("width", "height"):
            self._check_side(name, getattr(request, name))
        check_length(self.tokenizer, request.full_prompt, "The prompt")
        check_length(self.tokenizer, request.negative_prompt, "The negative prompt")

    def _check_side(self, name: str, side: int | None) -> None:
        factor = self.vae_scale_factor
        if side is not None and (side < factor or side % factor):
            raise ValueError(
                f"The {name} is {side} pixels; it must be a multiple of {factor}, for example "
                f"{max(1, round(side / factor)) * factor}."
            )

    # ---------------------------------------------------------------- diffusers' interface

    def __call__(
        self,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        gligen_scheduled_sampling_beta: float = 0.3,
        gligen_phrases: list[str] | None = None,
        gligen_boxes: list[list[float]] | None = None,
        gligen_inpaint_image: Image.Image | None = None,
        negative_prompt: str | list[str] | None = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Generators = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback: Callable[[int, int, Tensor], None] | None = None,
        callback_steps: int = 1,
        cross_attention_kwargs: dict[str, Any] | None = None,
        clip_skip: int | None = None,
        *,
        layout: Layout | list[Layout] | None = None,
        gate_schedule: Sequence[float] | None = None,
        sampler: str | None = None,
        gligen_inpaint_mask: Image.Image | None = None,
        mask_feather: int = 0,
        callback_on_step_end: Callable[[Any, int, int, dict], dict] | None = None,
    ) -> StableDiffusionPipelineOutput | tuple:
        """Make pictures, with the arguments of diffusers' `StableDiffusionGLIGENPipeline`.

        Args:
            prompt: one or several; None where `prompt_embeds` are given.
            height: pixels; default: as trained. Inpainting: the picture's own, leave it out.
            width: pixels, likewise.
            num_inference_steps: denoising steps.
            guidance_scale: above 1 switches classifier-free guidance on.
            gligen_scheduled_sampling_beta: tau, share of the steps with grounding.
            gligen_phrases: what to draw, one for each box.
            gligen_boxes: xyxy in [0, 1].
            gligen_inpaint_image: picture of any size; only the hole is repainted, everything
                outside it is returned pixel for pixel.
            negative_prompt: one, or one for each prompt.
            num_images_per_prompt: pictures for each prompt.
            eta: of a DDIM scheduler.
            generator: the only source of randomness, inpainting included; a list has one for each
                picture.
            latents: unit noise [B, c, h, w] to start from.
            prompt_embeds: encoded prompts [B, L, D].
            negative_prompt_embeds: likewise.
            output_type: "pil", "np", "pt" or "latent".
            return_dict: False returns a tuple.
            callback: called as (step, timestep, latents).
            callback_steps: every so many steps.
            cross_attention_kwargs: for attention processors; not changed.
            clip_skip: last layers of the text encoder to leave out.
            layout: regions, instead of phrases and boxes; a list has one for each prompt.
            gate_schedule: three shares (full, linear decay, off) instead of tau.
            sampler: one of `gligen.sampling.SAMPLERS`; default: the pipeline's scheduler.
            gligen_inpaint_mask: white = repaint; default: the boxes are the hole.
            mask_feather: pixels, soft edge inside the hole.
            callback_on_step_end: called as (pipeline, step, timestep, {"latents": ...}); what it
                returns under "latents" replaces them. Setting `pipeline.interrupt` ends the run.

        Raises:
            ValueError: an argument breaks its rule; the message names value, rule and way out.
        """
        layouts = self._layouts(layout, gligen_phrases, gligen_boxes)
        prompts, negatives = self._prompts(prompt, negative_prompt, prompt_embeds, len(layouts))
        num_prompts = len(prompts) if prompt_embeds is None else len(prompt_embeds)
        if len(layouts) not in (1, num_prompts):
            raise ValueError(
                f"There are {len(layouts)} layouts and {num_prompts} prompts; give one layout for "
                f"all, "
                "or one for each prompt."
            )
        if len(layouts) == 1:
            layouts = layouts * num_prompts
        hole = self._plan_hole(gligen_inpaint_image, gligen_inpaint_mask, layouts[0], mask_feather)
        if hole and (width, height) not in ((None, None), hole.picture.size):
            raise ValueError(
                f"The picture to inpaint is {hole.picture.width} x {hole.picture.height} and keeps "
                f"that size; leave width={width} and height={height} out."
            )
        if hole is None:
            self._check_side("width", width)
            self._check_side("height", height)

        def repeated(values: list) -> list:
            return [value for value in values for _ in range(num_images_per_prompt)]

        run = _Run(
            prompts=repeated(prompts),
            layouts=repeated(layouts),
            negative_prompts=repeated(negatives),
            size=hole.area.size
            if hole
            else (width or self.image_size[0], height or self.image_size[1]),
            num_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            schedule=gligen_scheduled_sampling_beta if gate_schedule is None else gate_schedule,
            sampler=sampler,
            generators=generator,
            hole=hole,
            eta=eta,
            latents=latents,
            prompt_embeds=_repeat(prompt_embeds, num_images_per_prompt),
            negative_prompt_embeds=_repeat(negative_prompt_embeds, num_images_per_prompt),
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        final = self._drain(run, callback, callback_steps, callback_on_step_end)
        images, flagged = self._output(final, hole, output_type)
        self.maybe_free_model_hooks()
        if not return_dict:
            return images, flagged
        return StableDiffusionPipelineOutput(images=images, nsfw_content_detected=flagged)

    def _layouts(
        self,
        layout: Layout | list[Layout] | None,
        phrases: list[str] | None,
        boxes: list[list[float]] | None,
    ) -> list[Layout]:
        if layout is not None:
            if phrases or boxes:
                raise ValueError(
                    "Give either a layout, or gligen_phrases and gligen_boxes, not both."
                )
            return [layout] if isinstance(layout, Layout) else list(layout)
        return [Layout.from_lists(phrases or [], boxes or [])]

    def _prompts(
        self,
        prompt: str | list[str] | None,
        negative: str | list[str] | None,
        prompt_embeds: Tensor | None,
        num_layouts: int,
    ) -> tuple[list[str], list[str]]:
        if (prompt is None) == (prompt_embeds is None):
            raise ValueError("Give either a prompt or prompt_embeds, not both and not neither.")
        if isinstance(prompt, str):
            prompts = [prompt] * num_layouts
        elif prompt is not None:
            prompts = list(prompt)
        else:
            prompts = [""] * len(cast("Tensor", prompt_embeds))
        negatives = list(negative) if isinstance(negative, list) else [negative or ""]
        if len(negatives) == 1:
            negatives = negatives * len(prompts)
        if len(negatives) != len(prompts):
            raise ValueError(
                f"There are {len(negatives)} negative prompts and {len(prompts)} prompts; give "
                f"one for "
                "all, or one for each."
            )
        return prompts, negatives

    def _drain(
        self,
        run: _Run,
        callback: Callable[[int, int, Tensor], None] | None,
        callback_steps: int,
        callback_on_step_end: Callable[[Any, int, int, dict], dict] | None,
    ) -> Tensor:
        """Run the loop with a progress bar and callbacks; return the last latents."""
        self.interrupt = False
        steps = self._denoise(run)
        with self.progress_bar(total=run.num_steps) as bar:
            step = next(steps)
            while True:
                bar.update()
                index, replaced = step.index - 1, None
                if callback is not None and index % callback_steps == 0:
                    callback(index, step.timestep, step.latents)
                if callback_on_step_end is not None:
                    state = {"latents": step.latents}
                    replaced = callback_on_step_end(self, index, step.timestep, state).get(
                        "latents"
                    )
                latents = step.latents if replaced is None else replaced
                if self.interrupt:
                    return latents
                try:
                    step = steps.send(replaced)
                except StopIteration:
                    return latents

    # ---------------------------------------------------------------- the steps of a run

    def _denoise(self, run: _Run) -> Generator[Step, Tensor | None, None]:
        """Encode, then denoise: text, regions, noise, loop."""
        device = self._execution_device
        layouts = run.layouts
        if run.hole is not None:
            layouts = [layout_in_area(layout, run.hole.area) for layout in layouts]
        context, negative_context = self._encode_text(run, device)
        tokens, null_tokens, grounded = self._encode_regions(layouts, device)
        sampler = make_sampler(
            run.sampler, self.scheduler, run.num_steps, device, run.generators, run.eta
        )
        noise = self._start_noise(run, device)
        known, mask, extra_channels = self._encode_hole(run, device)
        model = GuidedModel(
            unet=self.unet,
            context=context,
            negative_context=negative_context,
            guidance_scale=run.guidance_scale,
            tokens=tokens,
            null_tokens=null_tokens,
            grounded=grounded,
            extra_channels=extra_channels,
            cross_attention_kwargs=run.cross_attention_kwargs,
        )

        def keep_known(latents: Tensor, index: int, sampler: Sampler) -> Tensor:
            assert known is not None, "only a run with a hole blends"
            assert mask is not None, "only a run with a hole blends"
            fresh = randn_tensor(latents.shape, run.generators, device, latents.dtype)
            return sampler.add_noise(known, fresh, index) * mask + latents * (1 - mask)

        gates = gate_schedule(sampler.num_steps, run.schedule)
        yield from denoise(model, sampler, noise, gates, keep_known if run.hole else None)

    @torch.no_grad()
    def _encode_text(self, run: _Run, device: torch.device) -> tuple[Tensor, Tensor | None]:
        def encode(prompts: list[str]) -> Tensor:
            distinct = list(dict.fromkeys(prompts))
            encoded = encode_prompts(self.tokenizer, self.text_encoder, distinct, run.clip_skip)
            rows = torch.tensor([distinct.index(prompt) for prompt in prompts])
            return encoded[rows.to(encoded.device)].to(device, self.unet.dtype)

        context = encode(run.prompts) if run.prompt_embeds is None else run.prompt_embeds
        context = context.to(device, self.unet.dtype)
        if run.guidance_scale <= 1:
            return context, None
        negative = run.negative_prompt_embeds
        negative = encode(run.negative_prompts) if negative is None else negative
        return context, negative.to(device, self.unet.dtype)

    @torch.no_grad()
    def _encode_regions(
        self, layouts: list[Layout], device: torch.device
    ) -> tuple[Tensor | None, ...]:
        """Return grounding tokens, null tokens, and which pictures are grounded at all.

        A layout without regions means plain generation, so its gates stay shut; an inpainting hole
        without phrases is filled on null tokens, as in the original.
        """
        has_regions = [bool(layout.grounded) for layout in layouts]
        if any(has_regions) and not is_grounded(self.unet):
            raise ValueError(
                "The UNet has no grounding layers, so regions cannot be followed; load a GLIGEN "
                "model, "
                "or put an adapter on this base (gligen.loading.load_pipeline with base=...)."
            )
        is_inpainting = self.kind == "inpainting_text_box"
        if not is_grounded(self.unet) or not (any(has_regions) or is_inpainting):
            return None, None, None
        encoded = encode_layouts(self.tokenizer, self.text_encoder, layouts)
        tokenizer = self.unet.position_net
        home = tokenizer.null_positive_feature.device  # elsewhere than `device` while offloaded
        moved = BoxGrounding(
            encoded.boxes.to(home), encoded.masks.to(home), encoded.phrase_features.to(home)
        )
        tokens = tokenizer.tokens(moved).to(device)
        null_tokens = tokenizer.tokens(moved.null()).to(device)
        if is_inpainting or all(has_regions):
            return tokens, null_tokens, None
        grounded = torch.tensor(has_regions, dtype=tokens.dtype, device=device)
        return tokens, null_tokens, grounded[:, None, None]

    def _start_noise(self, run: _Run, device: torch.device) -> Tensor:
        factor = self.vae_scale_factor
        shape = (run.num_images, self._num_channels, run.size[1] // factor, run.size[0] // factor)
        if run.latents is None:
            return randn_tensor(shape, run.generators, device, self.unet.dtype)
        if tuple(run.latents.shape) != shape:
            raise ValueError(
                f"The latents have shape {tuple(run.latents.shape)}; this call needs {shape}."
            )
        return run.latents.to(device, self.unet.dtype)

    @torch.no_grad()
    def _encode_hole(self, run: _Run, device: torch.device) -> tuple[Tensor | None, ...]:
        """Return the known latents, the mask (1 = keep), and the UNet's five extra channels."""
        if run.hole is None:
            return None, None, None
        area = picture_in_area(run.hole.picture, run.hole.area)
        pixels = self.image_processor.preprocess(area).to(device, self.vae.dtype)
        # The mean of the posterior: a sample would spend the caller's randomness on invisible
        # noise.
        known = self.vae.encode(pixels).latent_dist.mode() * self.vae.config.scaling_factor
        mask = latent_mask(hole_in_area(run.hole.mask, run.hole.area), *known.shape[2:])
        mask = mask.to(device, self.unet.dtype)
        known = known.to(self.unet.dtype)
        extra = torch.cat([known * mask, mask], dim=1).expand(run.num_images, -1, -1, -1)
        return known.expand(run.num_images, -1, -1, -1), mask, extra

    def _plan_hole(
        self, picture: Image.Image | None, mask: Image.Image | None, layout: Layout, feather: int
    ) -> _Hole | None:
        if picture is None:
            if self.kind == "inpainting_text_box":
                raise ValueError(
                    "There is no picture to inpaint, and this model only repaints pictures; give "
                    "one, "
                    "or load a model of the generation kind."
                )
            return None
        if self.kind != "inpainting_text_box":
            raise ValueError(
                "This model generates and cannot repaint a picture; load one of the inpainting "
                "kind."
            )
        picture = picture.convert("RGB")
        if mask is None and not layout.regions:
            raise ValueError("There is no hole to repaint; give at least one box, or a mask.")
        if mask is None:
            mask = hole_from_boxes(layout.boxes, picture.size)
        else:
            check_mask(mask, picture.size)
            mask = mask.convert("L")
        grounded = [region.box for region in layout.grounded]
        area = plan_work_area(picture.size, mask, self.image_size[0], self._area_multiple, grounded)
        return _Hole(picture, mask, area, feather)

    # ---------------------------------------------------------------- from latents to pictures

    @torch.no_grad()
    def _decode(self, latents: Tensor) -> Tensor:
        """Decode latents to pictures in [-1, 1], shape [B, 3, H, W]."""
        latents = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        return self.vae.decode(latents, return_dict=False)[0]

    def _to_images(self, pixels: Tensor) -> list[Image.Image]:
        """Turn pictures in [-1, 1] into RGB ones."""
        return cast("list[Image.Image]", self.image_processor.postprocess(pixels))

    def _finish(self, pixels: Tensor, hole: _Hole | None) -> list[Image.Image]:
        images = self._to_images(pixels)
        if hole is None:
            return images
        return [
            composite(hole.picture, image, hole.area, hole.mask, hole.feather) for image in images
        ]

    def _output(self, latents: Tensor, hole: _Hole | None, output_type: str) -> tuple[Any, Any]:
        """Return the pictures in the asked-for form, and the safety checker's verdicts."""
        if output_type == "latent":
            return latents, None
        images, flagged = self._finish(self._decode(latents), hole), None
        if self.safety_checker is not None:
            arrays = self.image_processor.pil_to_numpy(images)
            inputs = self.feature_extractor(images, return_tensors="pt").to(latents.device)
            arrays, flagged = self.safety_checker(
                images=arrays, clip_input=inputs.pixel_values.to(self.unet.dtype)
            )
            images = self.image_processor.numpy_to_pil(arrays)
        if output_type == "pil":
            return images, flagged
        arrays = self.image_processor.pil_to_numpy(images)
        return (
            self.image_processor.numpy_to_pt(arrays) if output_type == "pt" else arrays
        ), flagged


def _repeat(embeds: Tensor | None, times: int) -> Tensor | None:
    return None if embeds is None else embeds.repeat_interleave(times, dim=0)
