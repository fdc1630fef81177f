"""The library's own interface of a pipeline: requests in, steps and results out."""

import secrets
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image
from torch import Tensor

from gligen.addons.inputs import AddOns
from gligen.batching import Entry, Failed, Together, can_share, sharing_key
from gligen.callargs import check_request, read_size
from gligen.components import Components
from gligen.finishing import check_safety, decode, finish
from gligen.holes import Hole, plan_hole
from gligen.kinds import kind_named
from gligen.outofmemory import telling_the_way_out
from gligen.presets import Preset
from gligen.references import ReferenceOptions
from gligen.request import STYLE_BOXES, Request, Result
from gligen.run import Run
from gligen.running import run_steps
from gligen.sampling import Step


class RequestMixin(DiffusionPipeline):
    """Answering requests, one at a time or several side by side."""

    model_name: str
    safety_checker: Any
    feature_extractor: Any

    @property
    def _components(self) -> Components:
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """What the UNet was trained for: "generation_text_box" or "inpainting_text_box"."""
        return self._components.kind

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height in pixels that the model was trained at."""
        return self._components.image_size

    def stream(self, request: Request, add_ons: AddOns | None = None) -> Iterator[Step | Result]:
        """Answer a request: one `Step` after each denoising step, then the `Result`.

        Closing the iterator stops the work at once and leaves nothing behind. `add_ons` are the
        pictures for a ControlNet, T2I-Adapter or IP-Adapter of this pipeline.

        Raises:
            ValueError: the model cannot do what the request asks; nothing has been computed yet.
            OutOfMemoryError: the memory does not hold one picture; more are made in parts.
        """
        entry = self._entry(request, add_ons)
        step = None
        try:
            with telling_the_way_out(entry.run.size):
                for step in run_steps(self._components, entry.run):
                    yield step
                assert step is not None, "every run has a step"
                result = entry.finish(step.latents)
        finally:
            self.maybe_free_model_hooks()
        yield result

    def stream_together(self, requests: Sequence[Request]) -> Together:
        """Answer several requests side by side, each as if it were alone; see `gligen.batching`.

        Requests that `can_share` are evaluated in one batch. Each event comes with the number of
        its request: one `Step` after each of its steps, then the `Result`, or `Failed` where it
        cannot be answered, which does not touch the others.

        Raises:
            ValueError: two requests cannot share.
        """
        components = self._components
        entries: list[Entry | Failed] = []
        for request in requests:
            try:
                entries.append(self._entry(request, None))
            except ValueError as error:
                entries.append(Failed(error))
        pairs = zip(requests, entries, strict=True)
        fit = [request for request, entry in pairs if isinstance(entry, Entry)]
        if not all(can_share(components, fit[0], other) for other in fit[1:]):
            raise ValueError(
                "These requests cannot be painted together: all of one batch have the same size, "
                "steps, sampler, gate schedule and guidance (on or off), and no hole; see "
                "gligen.batching.can_share."
            )
        return Together(components, entries, self.maybe_free_model_hooks)

    def sharing_key(self, request: Request) -> Hashable | None:
        """Return what requests must have in common to be answered by one `stream_together`.

        None: this one shares with nobody.

        Raises:
            ValueError: the model cannot paint the size that is asked for.
        """
        return sharing_key(self._components, request)

    def _entry(self, request: Request, add_ons: AddOns | None) -> Entry:
        """Return the run of a request and what makes its last latents the result.

        Raises:
            ValueError: see `stream`.
        """
        started = time.perf_counter()
        components = self._components
        check_request(components, request)
        if request.gate_schedule is None:
            request = replace(request, gate_schedule=kind_named(components.kind).usual_tau)
        assert request.gate_schedule is not None, "every kind has a usual tau"
        hole = plan_hole(
            components,
            request.inpaint_image,
            request.inpaint_mask,
            request.layout,
            request.mask_feather,
            request.hole_zoom,
        )
        first_seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        seeds = [first_seed + i for i in range(request.num_images)]
        run = Run(
            prompts=[request.full_prompt] * request.num_images,
            layouts=[request.layout] * request.num_images,
            negative_prompts=[request.negative_prompt] * request.num_images,
            size=read_size(components, hole, request.width, request.height),
            num_steps=request.num_steps,
            guidance_scale=request.guidance_scale,
            guidance_rescale=request.guidance_rescale,
            schedule=request.gate_schedule,
            sampler=request.sampler_name,
            preset=Preset.from_text(request.preset),
            generators=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            hole=hole,
            references=ReferenceOptions(STYLE_BOXES[request.style_box], request.crop_references),
            add_ons=add_ons or AddOns(),
        )

        def finish(latents: Tensor) -> Result:
            images, flagged = self._finish(components, latents, hole)
            return Result(
                images=images,
                seeds=seeds,
                prompt=request.full_prompt,
                request=request,
                model=self.model_name,
                seconds=time.perf_counter() - started,
                withheld=tuple(flagged or ()),
                kind=components.kind,
            )

        return Entry(run, finish)

    def generate(self, request: Request, add_ons: AddOns | None = None) -> Result:
        """Answer a request and return the result; see `stream`."""
        *_, result = self.stream(request, add_ons)
        assert isinstance(result, Result), "a stream ends in its result"
        return result

    def decode_preview(self, latents: Tensor) -> list[Image.Image]:
        """Decode the `predicted` or `latents` of a step to pictures, RGB, one for each sample.

        With a safety checker, what it objects to is black here too.
        """
        images, _ = self._checked(self._components, decode(self._components, latents))
        return images

    def _finish(
        self, components: Components, latents: Tensor, hole: Hole | None
    ) -> tuple[list[Image.Image], list[bool] | None]:
        """Return the finished pictures, and the safety checker's verdicts where there is one."""
        return self._checked(components, finish(components, latents, hole))

    @torch.no_grad()
    def _checked(
        self, components: Components, images: list[Image.Image]
    ) -> tuple[list[Image.Image], list[bool] | None]:
        if self.safety_checker is None:
            return images, None
        return check_safety(components, images, self.safety_checker, self.feature_extractor)
