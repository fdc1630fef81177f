"""Driving a run the way diffusers' pipelines are driven: progress bar, callbacks, interruption."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from gligen.components import Components
from gligen.run import Change, Run
from gligen.running import run_steps
from gligen.texts import EncodedText, read_run_texts

# What a callback may read and replace, under diffusers' names.
TENSOR_INPUTS = ("latents", "prompt_embeds", "negative_prompt_embeds")


@runtime_checkable
class Driven(Protocol):
    """What is read off a pipeline after each step, because a callback may have set it."""

    guidance_scale: float
    interrupt: bool
    num_timesteps: int  # set by `drive`: steps of the run

    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Any:
        """Return a bar that is entered and updated."""
        ...


class DrivenMixin:
    """What callbacks read and set during a call, as in diffusers' pipelines."""

    _guidance_scale = 1.0
    _interrupt = False
    num_timesteps = 0

    @property
    def guidance_scale(self) -> float:
        """Of the call in progress; a callback changes it for the steps that follow."""
        return self._guidance_scale

    @guidance_scale.setter
    def guidance_scale(self, scale: float) -> None:
        self._guidance_scale = scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the call in progress is guided."""
        return self._guidance_scale > 1

    @property
    def interrupt(self) -> bool:
        """Whether the call in progress is to return after the current step; callbacks set it."""
        return self._interrupt

    @interrupt.setter
    def interrupt(self, is_asked: bool) -> None:
        self._interrupt = is_asked


@dataclass(frozen=True)
class Callbacks:
    """Whom to call after a step.

    Raises:
        ValueError: a name of a tensor is unknown, or the period is not a positive number.
    """

    on_step_end: Callable[[Any, int, Tensor, dict[str, Any]], dict[str, Any] | None] | None = None
    tensor_inputs: tuple[str, ...] = ("latents",)  # of TENSOR_INPUTS, what on_step_end is handed
    every_few_steps: Callable[[int, Tensor, Tensor], None] | None = None
    period: int = 1  # steps

    def __post_init__(self):
        if isinstance(self.on_step_end, (PipelineCallback, MultiPipelineCallbacks)):
            object.__setattr__(self, "tensor_inputs", tuple(self.on_step_end.tensor_inputs))
        for name in self.tensor_inputs:
            if name not in TENSOR_INPUTS:
                raise ValueError(
                    f"callback_on_step_end_tensor_inputs names {name!r}; a callback can be handed "
                    f"{', '.join(TENSOR_INPUTS)}."
                )
        if self.period < 1:
            raise ValueError(
                f"callback_steps is {self.period!r}; it must be a positive whole number."
            )


def drive(pipeline: Driven, components: Components, run: Run, callbacks: Callbacks) -> Tensor:
    """Run to the end, or to the step after which `pipeline.interrupt` is set.

    Returns:
        The last latents [B, c, h, w].

    Raises:
        ValueError: a callback returns a tensor that does not fit.
    """
    texts = read_run_texts(components, run)
    text = texts.encoded
    steps = run_steps(components, run, texts)
    with pipeline.progress_bar(total=run.num_steps) as bar:
        step, latents = next(steps, None), torch.empty(0)
        while step is not None:
            pipeline.num_timesteps = bar.total = step.num_steps
            bar.update()
            index, latents, change = step.index - 1, step.latents, None
            timestep = torch.tensor(step.timestep)  # callbacks written for diffusers expect one
            if callbacks.every_few_steps is not None and index % callbacks.period == 0:
                callbacks.every_few_steps(index, timestep, latents)
            if callbacks.on_step_end is not None:
                handed = _handed(callbacks.tensor_inputs, latents, text)
                returned = callbacks.on_step_end(pipeline, index, timestep, handed)
                change = _read_change(returned, pipeline.guidance_scale, text)
                text = text.changed(change)
                latents = latents if change.latents is None else change.latents
            if pipeline.interrupt:
                steps.close()
                return latents
            try:
                step = steps.send(change)
            except StopIteration:
                break
    return latents


def _handed(names: tuple[str, ...], latents: Tensor, text: EncodedText) -> dict[str, Any]:
    """Return what a callback reads; under guidance the negative prompts come first, as usual."""
    negative = text.negative_context
    halves = [text.context] if negative is None else [negative, text.context]
    available = {
        "latents": latents,
        "prompt_embeds": torch.cat(halves),
        "negative_prompt_embeds": negative,
    }
    return {name: available[name] for name in names}


def _read_change(
    returned: dict[str, Any] | None, guidance_scale: float, text: EncodedText
) -> Change:
    """Return what a callback wants; encoded prompts come with or without the negative ones."""
    returned = returned or {}
    context, negative = returned.get("prompt_embeds"), returned.get("negative_prompt_embeds")
    num_rows = len(text.context)
    if context is not None and len(context) == 2 * num_rows:
        first, context = context.chunk(2)
        # A callback that returns both changed the one that differs from what it was handed.
        unchanged = text.negative_context is not None and torch.equal(first, text.negative_context)
        negative = negative if unchanged and negative is not None else first
    if context is not None and len(context) != num_rows:
        raise ValueError(
            f"The callback returned prompt_embeds for {len(context)} pictures; the call makes "
            f"{num_rows}."
        )
    return Change(returned.get("latents"), guidance_scale, context, negative)
