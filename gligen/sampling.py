"""Samplers and the one denoising loop.

`denoise` is a generator: whoever consumes it owns progress, previews and cancellation. A sampler is
made for one run and asked for one step at a time. It asks for the model's output as often as its
rule says and does not know who answers, so that one evaluation may answer several runs.

Shapes: latents are [B, channels, height, width]; a model's output has the same shape.
"""

import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import diffusers
import torch
from diffusers import PNDMScheduler, SchedulerMixin
from torch import Tensor

from gligen.samplernames import DIFFUSERS_SAMPLERS, SAMPLERS

# A step of a sampler: yields (latents as the model reads them, timestep), is sent the model output,
# guidance included, and returns (next latents, predicted clean latents, timestep of the step).
SamplerStep = Generator[tuple[Tensor, float], Tensor, tuple[Tensor, Tensor, int]]
# (latents, timestep, gate scale, index of the step) -> model output, guidance included
GatedModel = Callable[[Tensor, float, float, int], Tensor]
# (latents, index of the step, sampler) -> latents that enter the step
Blend = Callable[[Tensor, int, "Sampler"], Tensor]


@dataclass(frozen=True)
class Step:
    """What the loop yields after each denoising step."""

    index: int  # 1 = the first step is done
    num_steps: int
    timestep: int  # training timestep at which the model was evaluated, 0-999
    gate_scale: float  # strength of the grounding in this step
    latents: Tensor  # [B, channels, height, width], entering the next step
    predicted: Tensor  # same shape: the clean latents as this step sees them


@dataclass(frozen=True)
class Question:
    """What the model is to be evaluated on."""

    latents: Tensor  # [B, channels, height, width], as the model reads them
    timestep: float
    gate_scale: float
    step: int  # counted from 0


@runtime_checkable
class Sampler(Protocol):
    """One run of a numerical method from noise to latents."""

    num_steps: int

    @property
    def timesteps(self) -> Sequence[float]:
        """Training timesteps at which the model is evaluated."""
        ...

    @property
    def step_timesteps(self) -> Sequence[float]:
        """Training timesteps at which the steps begin."""
        ...

    def start(self, noise: Tensor) -> Tensor:
        """Scale unit noise to what the first step expects."""
        ...

    def add_noise(self, clean: Tensor, noise: Tensor, index: int) -> Tensor:
        """Bring clean latents to the noise level at which step `index` begins."""
        ...

    def step(self, index: int, latents: Tensor) -> SamplerStep:
        """Take step `index`, asking for the model's output as often as needed."""
        ...


def denoise(
    model: GatedModel,
    sampler: Sampler,
    noise: Tensor,
    gates: Sequence[float],
    blend: Blend | None = None,
) -> Generator[Step, Tensor | None, None]:
    """Run the denoising loop, one item per step.

    Args:
        model: evaluates the UNet with guidance at a given gate scale.
        sampler: fresh for this run.
        noise: unit Gaussian latents.
        gates: gate scale of every step (`gligen.schedule.gate_schedule`).
        blend: for inpainting, puts the known part back before each step.

    Whoever drives the generator with `send` may replace the latents that enter the next step.
    """
    loop = ask(sampler, noise, gates, blend)
    answer = None
    while True:
        try:
            event = loop.send(answer)
        except StopIteration:
            return
        if isinstance(event, Step):
            answer = yield event
        else:
            answer = model(event.latents, event.timestep, event.gate_scale, event.step)


def ask(
    sampler: Sampler, noise: Tensor, gates: Sequence[float], blend: Blend | None = None
) -> Generator[Question | Step, Tensor | None, None]:
    """Run the denoising loop without a model: a `Question` is to be sent its answer.

    A `Step` may be sent the latents that enter the next step. The arguments are those of `denoise`.
    """
    latents = sampler.start(noise)
    for index, gate_scale in enumerate(gates):
        if blend is not None:
            latents = blend(latents, index, sampler)
        step, output = sampler.step(index, latents), None
        while True:
            try:
                x, at = next(step) if output is None else step.send(output)
            except StopIteration as end:
                latents, predicted, timestep = end.value
                break
            output = yield Question(x, at, gate_scale, index)
        replaced = yield Step(
            index + 1, sampler.num_steps, timestep, gate_scale, latents, predicted
        )
        if replaced is not None:
            latents = replaced


def spaced_timesteps(num_steps: int, num_train_timesteps: int = 1000) -> list[int]:
    """Return the timesteps of PLMS and DDIM, first visited first.

    Equal to the original's `range(0, 1000, 1000 // S) + 1` where S divides 1000. Elsewhere that
    gave more steps than asked for (7 became 8) or ran past the table (3); here it is always S
    steps.

    Raises:
        ValueError: there are more steps than the model was trained with.
    """
    if num_steps > num_train_timesteps:
        raise ValueError(
            f"The number of steps is {num_steps}; the model has {num_train_timesteps} noise "
            "levels, so that is the most that PLMS and DDIM can take."
        )
    # The original never visits timestep 0; with as many steps as levels there is no way round it.
    offset = 1 if num_steps < num_train_timesteps else 0
    return [i * num_train_timesteps // num_steps + offset for i in range(num_steps)][::-1]


class _OriginalSampler:
    """What PLMS and DDIM share: the noise table and the deterministic update (eta = 0)."""

    def __init__(self, alphas_cumprod: Tensor, timesteps: Sequence[int], prediction_type: str):
        self.timesteps = list(timesteps)
        self.num_steps = len(self.timesteps)
        self._prediction_type = prediction_type
        table = [float(alphas_cumprod[t]) for t in self.timesteps]
        self._alphas = table
        # After the last step comes the least noisy entry of the table, not noise zero.
        self._next_alphas = [*table[1:], float(alphas_cumprod[0])]

    @property
    def step_timesteps(self) -> list[int]:
        """Training timesteps at which the steps begin."""
        return self.timesteps

    def start(self, noise: Tensor) -> Tensor:
        """Return the noise itself: the first step expects unit noise."""
        return noise

    def add_noise(self, clean: Tensor, noise: Tensor, index: int) -> Tensor:
        """Bring clean latents to the noise level at which step `index` begins."""
        alpha = self._alphas[index]
        return alpha**0.5 * clean + (1 - alpha) ** 0.5 * noise

    def _epsilon(self, latents: Tensor, output: Tensor, index: int) -> Tensor:
        """Return the noise that a model output stands for (converted from a velocity)."""
        if self._prediction_type == "epsilon":
            return output
        alpha = self._alphas[index]
        return alpha**0.5 * output + (1 - alpha) ** 0.5 * latents

    def _update(self, latents: Tensor, eps: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Return the next latents and the predicted clean ones (DDIM, equation (12), eta = 0)."""
        alpha, next_alpha = self._alphas[index], self._next_alphas[index]
        predicted = (latents - (1 - alpha) ** 0.5 * eps) / alpha**0.5
        return next_alpha**0.5 * predicted + (1 - next_alpha) ** 0.5 * eps, predicted


class DDIM(_OriginalSampler):
    """Deterministic DDIM as in the original code."""

    def step(self, index: int, latents: Tensor) -> SamplerStep:
        """Take step `index`: one evaluation."""
        timestep = self.timesteps[index]
        eps = self._epsilon(latents, (yield latents, timestep), index)
        return *self._update(latents, eps, index), timestep


class PLMS(_OriginalSampler):
    """Pseudo linear multistep as in the original code.

    The first step is a pseudo improved Euler step: it evaluates the model twice, both times at the
    first step's gate scale, so S steps cost S + 1 evaluations.
    """

    def __init__(self, alphas_cumprod: Tensor, timesteps: Sequence[int], prediction_type: str):
        super().__init__(alphas_cumprod, timesteps, prediction_type)
        self._history: list[Tensor] = []  # eps of up to three earlier steps, newest last

    def step(self, index: int, latents: Tensor) -> SamplerStep:
        """Take step `index`: one evaluation, two in the first step."""
        timestep = self.timesteps[index]
        eps = self._epsilon(latents, (yield latents, timestep), index)
        match self._history:
            case []:
                provisional, _ = self._update(latents, eps, index)
                following = min(index + 1, self.num_steps - 1)
                second = yield provisional, self.timesteps[following]
                combined = (eps + self._epsilon(provisional, second, following)) / 2
            case [one]:
                combined = (3 * eps - one) / 2
            case [two, one]:
                combined = (23 * eps - 16 * one + 5 * two) / 12
            case _:
                three, two, one = self._history
                combined = (55 * eps - 59 * one + 37 * two - 9 * three) / 24
        self._history = [*self._history[-2:], eps]
        return *self._update(latents, combined, index), timestep


class SchedulerSampler:
    """A diffusers scheduler, grouped into logical steps.

    Some schedulers list more evaluations than steps: PNDM repeats one in its warm-up, Heun
    evaluates twice a step. All evaluations of a step share its gate scale, and known parts of the
    picture are blended in before the step, not between its evaluations.
    """

    def __init__(
        self,
        scheduler: SchedulerMixin,
        num_steps: int,
        device: torch.device | str,
        generator: torch.Generator | list[torch.Generator] | None = None,
        eta: float = 0.0,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
    ):
        # A copy of its own: two runs may share the pipeline's scheduler.
        self.scheduler = type(scheduler).from_config(scheduler.config)
        _set_timesteps(self.scheduler, num_steps, device, timesteps, sigmas)
        accepted = inspect.signature(self.scheduler.step).parameters
        extras: dict[str, Any] = {"generator": generator, "eta": eta}
        self._extras = {name: value for name, value in extras.items() if name in accepted}
        # As numbers: a tensor of a GPU would be waited for in every step.
        self.timesteps: list[float] = self.scheduler.timesteps.tolist()
        self._evaluations = _group_evaluations(self.scheduler)
        self.num_steps = len(self._evaluations)

    @property
    def step_timesteps(self) -> list[float]:
        """Training timesteps at which the steps begin."""
        return [self.timesteps[evaluations[0]] for evaluations in self._evaluations]

    def start(self, noise: Tensor) -> Tensor:
        """Scale unit noise to the scheduler's own start."""
        return noise * self.scheduler.init_noise_sigma

    def add_noise(self, clean: Tensor, noise: Tensor, index: int) -> Tensor:
        """Bring clean latents to the noise level at which step `index` begins."""
        first = self._evaluations[index][0]
        timestep = self.scheduler.timesteps[first : first + 1].expand(len(clean))
        return self.scheduler.add_noise(clean, noise, timestep)

    def step(self, index: int, latents: Tensor) -> SamplerStep:
        """Take step `index`: as many evaluations as the scheduler lists for it."""
        predicted = latents
        for evaluation in self._evaluations[index]:
            timestep = self.scheduler.timesteps[evaluation]
            scaled = self.scheduler.scale_model_input(latents, timestep)
            output = yield scaled, self.timesteps[evaluation]
            result = self.scheduler.step(output, timestep, latents, **self._extras)
            predicted = getattr(result, "pred_original_sample", None)
            if predicted is None:
                predicted = self._clean(scaled, output, timestep)
            latents = result.prev_sample
        return latents, predicted, int(self.timesteps[self._evaluations[index][0]])

    def _clean(self, latents: Tensor, output: Tensor, timestep: Tensor) -> Tensor:
        """Estimate the clean latents from the variance-preserving latents that the model read."""
        alpha = self.scheduler.alphas_cumprod[int(timestep)].to(latents.device, latents.dtype)
        if self.scheduler.config.prediction_type == "v_prediction":
            return alpha**0.5 * latents - (1 - alpha) ** 0.5 * output
        return (latents - (1 - alpha) ** 0.5 * output) / alpha**0.5


def _set_timesteps(
    scheduler: SchedulerMixin,
    num_steps: int,
    device: torch.device | str,
    timesteps: Sequence[int] | None,
    sigmas: Sequence[float] | None,
) -> None:
    """Space the steps as the scheduler does, or as the caller wants.

    Raises:
        ValueError: the scheduler takes no such list, or there are two.
    """
    if timesteps is None and sigmas is None:
        scheduler.set_timesteps(num_steps, device=device)
        return
    if timesteps is not None and sigmas is not None:
        raise ValueError("Give either timesteps or sigmas, not both.")
    name, values = ("timesteps", timesteps) if sigmas is None else ("sigmas", sigmas)
    if name not in inspect.signature(scheduler.set_timesteps).parameters:
        raise ValueError(
            f"The scheduler {type(scheduler).__name__} takes no {name}; leave them out, or use one "
            "that does, such as EulerDiscreteScheduler."
        )
    scheduler.set_timesteps(device=device, **{name: list(values or [])})


def _group_evaluations(scheduler: SchedulerMixin) -> list[list[int]]:
    """Return for each step the indices into `scheduler.timesteps` that it evaluates."""
    total = len(scheduler.timesteps)
    if isinstance(scheduler, PNDMScheduler) and not scheduler.config.skip_prk_steps:
        warm_up = len(scheduler.prk_timesteps)  # Runge-Kutta: four evaluations a step
        groups = [list(range(i, i + 4)) for i in range(0, warm_up, 4)]
        return groups + [[i] for i in range(warm_up, total)]
    if isinstance(scheduler, PNDMScheduler):
        return [list(range(min(2, total))), *([i] for i in range(2, total))]
    if scheduler.order == 2:
        return [list(range(i, min(i + 2, total))) for i in range(0, total, 2)]
    return [[i] for i in range(total)]


def make_sampler(
    name: str | None,
    scheduler: SchedulerMixin,
    num_steps: int,
    device: torch.device | str,
    generator: torch.Generator | list[torch.Generator] | None = None,
    eta: float = 0.0,
    timesteps: Sequence[int] | None = None,
    sigmas: Sequence[float] | None = None,
) -> Sampler:
    """Build a sampler for one run.

    Args:
        name: one of `SAMPLERS`; None: the given scheduler itself.
        scheduler: the pipeline's, which says what noise the model was trained on.
        num_steps: denoising steps.
        device: where the latents are.
        generator: randomness for samplers that draw noise in each step.
        eta: of diffusers' DDIM scheduler.
        timesteps: training timesteps to visit, noisiest first, for the given scheduler itself.
        sigmas: noise levels to visit, likewise.

    Raises:
        ValueError: there is no sampler of that name, or it takes no timesteps or sigmas.
    """
    if name is not None and not (timesteps is None and sigmas is None):
        raise ValueError(
            f"The sampler {name!r} spaces its steps itself; leave timesteps and sigmas out, or "
            "leave the sampler out to use the pipeline's scheduler."
        )
    match name:
        case None:
            return SchedulerSampler(scheduler, num_steps, device, generator, eta, timesteps, sigmas)
        case "plms" | "ddim":
            table = scheduler.alphas_cumprod.float()
            timesteps = spaced_timesteps(num_steps, scheduler.config.num_train_timesteps)
            kind = PLMS if name == "plms" else DDIM
            return kind(table, timesteps, scheduler.config.prediction_type)
        case _ if name in DIFFUSERS_SAMPLERS:
            kind, changes = DIFFUSERS_SAMPLERS[name]
            other = getattr(diffusers, kind).from_config(scheduler.config, **changes)
            return SchedulerSampler(other, num_steps, device, generator)
        case _:
            raise ValueError(f"There is no sampler {name!r}; there are: {', '.join(SAMPLERS)}.")
