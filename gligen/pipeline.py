"""The pipeline: from a request to pictures.

`GligenPipeline.stream` (`gligen.answering`) answers a `Request` step by step;
`GligenPipeline.__call__` takes the arguments of both of diffusers' GLIGEN pipelines. Both end in
`gligen.running.run_steps`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

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
from diffusers.pipelines.pipeline_utils import StableDiffusionMixin
from diffusers.pipelines.stable_diffusion import (
    CLIPImageProjection,
    StableDiffusionPipelineOutput,
)
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from gligen.addons.control import joined_controlnets
from gligen.addons.inputs import AddOns, Pictures
from gligen.addons.ip_adapter import GroundedIPAdapterMixin
from gligen.addons.lora import LoraMixin
from gligen.addons.single_file import SingleFileMixin
from gligen.addons.textual_inversion import TextualInversionMixin
from gligen.answering import RequestMixin
from gligen.callargs import (
    check_call,
    check_embeds,
    check_generators,
    read_layouts,
    read_prompts,
    read_size,
    repeat_each,
    repeat_rows,
    spread_layouts,
)
from gligen.callbacks import TENSOR_INPUTS, Callbacks, DrivenMixin, drive
from gligen.components import Components
from gligen.encoding import encode_prompts
from gligen.exact.graphs import Graphs
from gligen.exact.options import ExactOptions
from gligen.finishing import in_form
from gligen.holes import plan_hole
from gligen.kinds import kind_named
from gligen.layout import Layout
from gligen.outofmemory import telling_the_way_out
from gligen.presets import Preset
from gligen.references import REFERENCE_NORM, ReferenceOptions
from gligen.regionlists import Mask, RegionLists
from gligen.request import STYLE_BOXES, check_zoom
from gligen.run import Generators, Run
from gligen.saving import FURTHER_PARTS, FolderMixin
from gligen.unet import add_grounding


class GligenPipeline(
    RequestMixin,
    FolderMixin,
    DrivenMixin,
    StableDiffusionMixin,
    LoraMixin,
    TextualInversionMixin,
    GroundedIPAdapterMixin,
    SingleFileMixin,
):
    """Grounded generation and inpainting with Stable Diffusion 1.x.

    A drop-in for diffusers' `StableDiffusionGLIGENPipeline` and
    `StableDiffusionGLIGENTextImagePipeline`: same components, same call arguments. A UNet with
    diffusers' gated layers is adopted in place (its parameter objects stay the same); one without
    gated layers paints plainly and refuses regions.

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
        image_encoder: CLIP's, for reference pictures; only the text-image kinds need it.
        image_project: takes its feature to that of a phrase, likewise.
        processor: prepares reference pictures for it, likewise.
        controlnet: optional, of Stable Diffusion 1.x; a list of several is joined to one.
        adapter: optional T2I-Adapter, likewise.
        ip_adapter_image_encoder: CLIP's, for the pictures of IP-Adapters; `load_ip_adapter` brings
            its own.
    """

    # A ControlNet takes turns with the UNet, so it is not part of the sequence, as in diffusers.
    model_cpu_offload_seq = (
        "text_encoder->image_encoder->image_project->ip_adapter_image_encoder->adapter->unet->vae"
    )
    _optional_components = ["safety_checker", "feature_extractor", *FURTHER_PARTS]  # noqa: RUF012
    _exclude_from_cpu_offload = ["safety_checker"]  # noqa: RUF012
    _callback_tensor_inputs = list(TENSOR_INPUTS)  # noqa: RUF012

    def __init__(
        self,
        vae: AutoencoderKL | None,
        text_encoder: CLIPTextModel | None,
        tokenizer: CLIPTokenizer | None,
        unet: UNet2DConditionModel | None,
        scheduler: SchedulerMixin | None,
        safety_checker: Any = None,
        feature_extractor: Any = None,
        requires_safety_checker: bool = False,
        image_encoder: CLIPVisionModelWithProjection | None = None,
        image_project: CLIPImageProjection | None = None,
        processor: Any = None,
        controlnet: ControlNetModel
        | MultiControlNetModel
        | list[ControlNetModel]
        | tuple[ControlNetModel, ...]
        | None = None,
        adapter: T2IAdapter | None = None,
        ip_adapter_image_encoder: CLIPVisionModelWithProjection | None = None,
    ):
        super().__init__()
        if safety_checker is not None and feature_extractor is None:
            raise ValueError(
                "A safety checker needs its feature extractor; pass feature_extractor too, or "
                "safety_checker=None."
            )
        if unet is not None and getattr(unet.config, "attention_type", "default") != "default":
            add_grounding(unet)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=scheduler,
            safety_checker=safety_checker,
            feature_extractor=feature_extractor,
            image_encoder=image_encoder,
            image_project=image_project,
            processor=processor,
            controlnet=joined_controlnets(controlnet),
            adapter=adapter,
            ip_adapter_image_encoder=ip_adapter_image_encoder,
        )
        # Parts may be missing where only the prompts are to be encoded; 8 is every SD 1.x VAE's.
        self.vae_scale_factor = 2 ** (len(vae.config.block_out_channels) - 1) if vae else 8
        self.image_processor = VaeImageProcessor(vae_scale_factor=self.vae_scale_factor)
        self.register_to_config(requires_safety_checker=requires_safety_checker)
        self.model_name = ""  # what settings and pages call the model; loaders set it
        self.label_names: tuple[str, ...] = ()  # of a semantic map, where not ADE20K's
        self.exact_options = ExactOptions()  # savings that change no result
        self._graphs = Graphs()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a part that was missing is from then on also saved."""
        if name not in FURTHER_PARTS or self.__dict__.get(name) is value:
            super().__setattr__(name, value)
            return
        if name == "controlnet":
            value = joined_controlnets(value)
        self.__dict__[name] = value
        self.register_modules(**{name: value})

    @property
    def components(self) -> dict[str, Any]:
        """The arguments that would build this pipeline again, as for every diffusers pipeline.

        Those of `FURTHER_PARTS` that are missing are left out, so that the rest also builds
        diffusers' pipelines, which do not know them.
        """
        return {
            name: part
            for name, part in super().components.items()
            if part is not None or name not in FURTHER_PARTS
        }

    @property
    def _components(self) -> Components:
        for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler"):
            if getattr(self, name) is None:
                raise ValueError(
                    f"The pipeline was built without {name}, which it needs to make pictures; give "
                    "it all its parts, or use encode_prompt alone."
                )
        return Components(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=self.scheduler,
            image_processor=self.image_processor,
            device=self._execution_device,
            image_encoder=self.image_encoder,
            image_project=self.image_project,
            processor=self.processor,
            controlnet=self.controlnet,
            adapter=self.adapter,
            ip_adapter_image_encoder=self.ip_adapter_image_encoder,
            exact=self.exact_options,
            graphs=self._graphs if self._execution_device.type == "cuda" else None,
        )

    def __call__(
        self,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float = 7.5,
        gligen_scheduled_sampling_beta: float | None = None,
        gligen_phrases: Sequence[str | None] | str | None = None,
        gligen_boxes: Sequence[Sequence[float]] | None = None,
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
        callback: Callable[[int, Tensor, Tensor], None] | None = None,
        callback_steps: int = 1,
        cross_attention_kwargs: dict[str, Any] | None = None,
        clip_skip: int | None = None,
        *,
        gligen_images: Sequence[Image.Image | None] | None = None,
        input_phrases_mask: Mask = None,
        input_images_mask: Mask = None,
        gligen_normalize_constant: float = REFERENCE_NORM,
        layout: Layout | list[Layout] | None = None,
        gate_schedule: Sequence[float] | None = None,
        sampler: str | None = None,
        preset: str = "exact",
        gligen_inpaint_mask: Image.Image | None = None,
        mask_feather: int = 0,
        hole_zoom: float = 1.0,
        crop_references: bool = False,
        style_box: Literal["official", "space"] | None = None,
        guidance_rescale: float = 0.0,
        timesteps: list[int] | None = None,
        sigmas: list[float] | None = None,
        callback_on_step_end: Callable[[Any, int, Tensor, dict[str, Any]], dict[str, Any] | None]
        | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        control_image: Pictures | Sequence[Pictures] | None = None,
        controlnet_conditioning_scale: float | Sequence[float] = 1.0,
        control_guidance_start: float | Sequence[float] = 0.0,
        control_guidance_end: float | Sequence[float] = 1.0,
        guess_mode: bool = False,
        adapter_image: Pictures | None = None,
        adapter_conditioning_scale: float = 1.0,
        ip_adapter_image: Any = None,
        ip_adapter_image_embeds: Sequence[Tensor] | None = None,
    ) -> StableDiffusionPipelineOutput | tuple:
        """Make pictures, with the arguments of both of diffusers' GLIGEN pipelines.

        Args:
            prompt: one or several; None where `prompt_embeds` are given.
            height: pixels; default: as trained. Inpainting: the picture's own, leave it out.
            width: pixels, likewise.
            num_inference_steps: denoising steps; default: the preset's, or 50.
            guidance_scale: above 1 switches classifier-free guidance on.
            gligen_scheduled_sampling_beta: tau, share of the steps with grounding; default: as the
                authors ran this kind of model, 0.3 for text boxes and 1 for reference pictures.
            gligen_phrases: what to draw, one for each box.
            gligen_boxes: xyxy in [0, 1]; (0, 1, 0, 1) stands for the style of its picture.
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
            cross_attention_kwargs: for attention processors; not changed. Its "scale" is the
                strength of loaded LoRAs.
            clip_skip: last layers of the text encoder to leave out.
            gligen_images: reference pictures, one for each box; None where a region has none.
            input_phrases_mask: 0 switches a region's phrase off, 1 leaves it on; one number for
                all, or one for each region, of which the last may be left out.
            input_images_mask: likewise for the pictures.
            gligen_normalize_constant: norm of the feature of a reference picture.
            layout: what to ground on, instead of these lists; a list has one for each prompt.
            gate_schedule: three shares (full, linear decay, off) instead of tau.
            sampler: one of `gligen.samplernames.SAMPLERS`; default: the preset's, or the pipeline's
                scheduler.
            preset: "exact", or what is faster and not exact: "fast", "faster", "deepcache=N"; see
                `gligen.presets`.
            gligen_inpaint_mask: white = repaint; default: the boxes are the hole.
            mask_feather: pixels, soft edge inside the hole.
            hole_zoom: 1-16; how many times finer than the picture a small hole is painted.
            crop_references: centre-crop reference pictures instead of squashing them to a square.
            style_box: where a layout's style stands, a key of `gligen.request.STYLE_BOXES`.
            guidance_rescale: 0-1, takes back the contrast that strong guidance adds.
            timesteps: training timesteps to visit, instead of the scheduler's own spacing.
            sigmas: noise levels to visit, likewise.
            callback_on_step_end: called as (pipeline, step, timestep, tensors); what it returns
                under a tensor's name replaces it. Setting `pipeline.interrupt` ends the run.
            callback_on_step_end_tensor_inputs: what it is handed, of `TENSOR_INPUTS`.
            control_image: for the ControlNet, over the whole picture; of several ControlNets a
                list with one for each.
            controlnet_conditioning_scale: its strength; a list has one for each ControlNet.
            control_guidance_start: share of the steps before the ControlNet begins, likewise.
            control_guidance_end: share of the steps after which it ends, likewise.
            guess_mode: the ControlNet acts in the conditional half alone, and weaker at fine
                levels.
            adapter_image: for the T2I-Adapter, over the whole picture.
            adapter_conditioning_scale: its strength.
            ip_adapter_image: for the IP-Adapter; of several a list with one entry for each.
            ip_adapter_image_embeds: instead, prepared as by diffusers, one for each IP-Adapter.

        Raises:
            ValueError: an argument breaks its rule; the message names value, rule and way out.
            OutOfMemoryError: the memory does not hold one picture; more are made in parts. No step
                is taken twice for that, so callbacks are called once for each.
        """
        components = self._components
        lists = RegionLists(
            gligen_phrases, gligen_boxes, gligen_images, input_phrases_mask, input_images_mask
        )
        callbacks = Callbacks(
            callback_on_step_end,
            tuple(callback_on_step_end_tensor_inputs),
            callback,
            callback_steps,
        )
        way = Preset.from_text(preset)
        num_steps = way.num_steps(num_inference_steps)
        check_call(num_steps, num_images_per_prompt, output_type)
        layouts = read_layouts(layout, lists)
        prompts, negatives = read_prompts(prompt, negative_prompt, prompt_embeds, len(layouts))
        check_embeds(negative_prompt, prompt_embeds, negative_prompt_embeds)
        tau = gligen_scheduled_sampling_beta
        if tau is None:
            tau = kind_named(components.kind).usual_tau
        layouts = spread_layouts(layouts, len(prompts))
        check_generators(generator, len(prompts) * num_images_per_prompt)
        check_zoom(hole_zoom)
        hole = plan_hole(
            components,
            gligen_inpaint_image,
            gligen_inpaint_mask,
            layouts[0],
            mask_feather,
            hole_zoom,
        )
        run = Run(
            prompts=repeat_each(prompts, num_images_per_prompt),
            layouts=repeat_each(layouts, num_images_per_prompt),
            negative_prompts=repeat_each(negatives, num_images_per_prompt),
            size=read_size(components, hole, width, height),
            num_steps=num_steps,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
            schedule=tau if gate_schedule is None else gate_schedule,
            sampler=sampler or way.sampler,
            preset=way,
            generators=generator,
            hole=hole,
            eta=eta,
            latents=latents,
            prompt_embeds=repeat_rows(prompt_embeds, num_images_per_prompt),
            negative_prompt_embeds=repeat_rows(negative_prompt_embeds, num_images_per_prompt),
            clip_skip=clip_skip,
            cross_attention_kwargs=cross_attention_kwargs,
            references=ReferenceOptions(
                STYLE_BOXES[style_box] if style_box else lists.style_box,
                crop_references,
                gligen_normalize_constant,
            ),
            timesteps=timesteps,
            sigmas=sigmas,
            add_ons=AddOns(
                control_image=control_image,
                control_scale=controlnet_conditioning_scale,
                control_start=control_guidance_start,
                control_end=control_guidance_end,
                guess_mode=guess_mode,
                adapter_image=adapter_image,
                adapter_scale=adapter_conditioning_scale,
                ip_adapter_image=ip_adapter_image,
                ip_adapter_image_embeds=ip_adapter_image_embeds,
            ),
        )
        self._guidance_scale, self._interrupt = guidance_scale, False
        images: Any
        flagged = None
        try:
            with telling_the_way_out(run.size):
                images = drive(self, components, run, callbacks)
                if output_type != "latent":
                    finished, flagged = self._finish(components, images, hole)
                    images = in_form(components, finished, output_type)
        finally:
            self.maybe_free_model_hooks()
        if not return_dict:
            return images, flagged
        return StableDiffusionPipelineOutput(images=images, nsfw_content_detected=flagged)

    @torch.no_grad()
    def encode_prompt(
        self,
        prompt: str | list[str] | None,
        device: torch.device | str | None = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: str | list[str] | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        clip_skip: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Encode prompts for `prompt_embeds` and `negative_prompt_embeds` of a call.

        Needs the text encoder and its tokenizer alone. The arguments are those of the call.

        Returns:
            Encoded prompts [B, L, D], and negative ones where there is guidance.
        """
        prompts, negatives = read_prompts(prompt, negative_prompt, prompt_embeds, 1)
        check_embeds(negative_prompt, prompt_embeds, negative_prompt_embeds)

        def encoded(texts: list[str], given: Tensor | None) -> Tensor:
            found = given
            if found is None:
                found = encode_prompts(self.tokenizer, self.text_encoder, texts, clip_skip)
            rows = found.repeat_interleave(num_images_per_prompt, dim=0)
            return rows.to(device or self._execution_device)

        context = encoded(prompts, prompt_embeds)
        if not do_classifier_free_guidance:
            return context, None
        return context, encoded(negatives, negative_prompt_embeds)
