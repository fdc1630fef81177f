"""Train an adapter: the new layers of one kind on a frozen base, in one or many processes.

`train_adapter` is the command `python -m gligen train`. It runs as it is, or under `accelerate
launch` on any number of devices; what it computes depends on the settings alone, not on how often
it was interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, is_tensorboard_available
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.training.examples import Draw, Draws, ExampleSource, Shares
from gligen.training.frozen import FrozenEncoders
from gligen.training.muon import MuonAdamW, inner_matrices
from gligen.training.objective import GroundedLoss, TrainingBatch, encode_draws
from gligen.training.preparing import check_frozen, fingerprints, prepare_model, save_trained
from gligen.training.progress import Clock, RunFolder
from gligen.training.runs import MovingAverage
from gligen.training.samples import paint_samples
from gligen.training.settings import TrainingSettings
from gligen.training.starting import start_aimed, start_layers
from gligen.training.watching import paired_loss, watched_batch

LOG_EVERY = 10  # steps

# Settings that may change between sittings of one run without changing what it computes.
_FREE = (
    "num_workers",
    "feature_cache",
    "save_every_seconds",
    "sample_every_steps",
    "watch_every_steps",
    "log",
    "accumulation",
)


def train_adapter(
    settings: TrainingSettings,
    open_source: Callable[[TrainingSettings, int, int], ExampleSource],
    device: str | None = None,
) -> Path:
    """Train until the last step, going on where the output folder left off.

    Args:
        settings: all that decides the outcome.
        open_source: called with the settings, the side of the pictures and the pixels of a latent;
            see `gligen.training.sources`.
        device: "cpu" to stay there where there is a GPU; None: as accelerate chooses.

    Returns:
        The adapter file, moving average of the trained layers.

    Raises:
        ValueError: the settings, the base and the folder do not go together.
        RuntimeError: a parameter of the frozen base changed.
    """
    _check_log(settings)
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision,
        log_with="tensorboard" if settings.log == "tensorboard" else None,
        project_dir=settings.output,
        cpu=device == "cpu",
        # Where all of a batch has null tokens, some new layers get no gradient.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    recorded = {k: v for k, v in asdict(settings).items() if k not in _FREE}
    folder = RunFolder(Path(settings.output), recorded, accelerator.is_main_process)
    if settings.log == "tensorboard":
        accelerator.init_trackers("tensorboard")
    pipeline = prepare_model(settings, accelerator.device)
    size = settings.image_size or pipeline.image_size[0]
    source = open_source(settings, size, pipeline.vae_scale_factor)
    watched = watched_batch(pipeline._components, source)
    if settings.start != "closed" and settings.adapter is None:
        if watched is None:
            raise ValueError(
                f"The start {settings.start!r} needs held-out scenes; train on data: world:..."
            )
        if settings.start == "aimed":
            start_aimed(pipeline._components, watched)
        else:
            start_layers(pipeline.unet, watched.grounding)
    training = _Training(accelerator, pipeline, settings, source.requests(settings.seed), watched)
    first_step = training.restore(folder)
    before = fingerprints(pipeline.unet, frozen=True)

    shares = Shares(
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        process=accelerator.process_index,
        num_processes=accelerator.num_processes,
        first_step=first_step,
        num_steps=settings.num_steps,
    )
    parts = iter(
        DataLoader(
            Draws(source, settings, pipeline.unet.config.out_channels),
            batch_sampler=shares,
            collate_fn=list,
            num_workers=settings.num_workers,
        )
    )
    with tqdm(
        total=settings.num_steps,
        initial=first_step,
        unit="step",
        disable=not accelerator.is_main_process,
    ) as bar:
        for step in range(first_step, settings.num_steps):
            loss = training.step(step, parts)
            bar.update()
            training.record(folder, step, loss, bar)
    accelerator.wait_for_everyone()
    path = folder.path / "adapter.safetensors"
    if accelerator.is_main_process:
        training.average.copy_to_parameters()
        check_frozen(before, pipeline.unet)
        figures: dict[str, Any] = {
            "seconds": round(training.clock.seconds),
            "loss": training.recent_loss,
        }
        if source.label_names:
            figures["labels"] = list(source.label_names)
        save_trained(path, pipeline, settings, figures)
        if first_step < settings.num_steps:
            print(training.clock.describe(settings.num_steps, settings.batch_size))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return path


def _check_log(settings: TrainingSettings) -> None:
    if settings.log == "tensorboard" and not is_tensorboard_available():
        # accelerate would go on without a word, and without a log.
        raise ValueError(
            "The setting log: tensorboard needs the package tensorboard; run pip install "
            "'gligen[tensorboard]', or set log: jsonl."
        )


class _Training:
    """The state of a run: parameters, optimiser, moving average, time."""

    def __init__(
        self,
        accelerator: Accelerator,
        pipeline: GligenPipeline,
        settings: TrainingSettings,
        samples: Sequence[Request],
        watched: TrainingBatch | None,
    ):
        self.accelerator = accelerator
        self.pipeline = pipeline
        self.settings = settings
        unet = pipeline.unet
        if settings.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        if accelerator.device.type == "cpu":
            # The fused kernel's backward is slow on a CPU, and convolutions like channels last.
            unet.set_attn_processor(AttnProcessor())
            unet.to(memory_format=torch.channels_last)
        trained = {name: p for name, p in unet.named_parameters() if p.requires_grad}
        self.names, self.parameters = list(trained), list(trained.values())
        self.average = MovingAverage(self.parameters, settings.ema_decay)
        objective = GroundedLoss(
            unet,
            pipeline.scheduler.alphas_cumprod,
            pipeline.scheduler.config.prediction_type,
            settings.min_snr_gamma,
        )
        self.objective, self.optimizer = accelerator.prepare(
            objective.to(accelerator.device), make_optimizer(unet, settings)
        )
        cache = settings.feature_cache
        self._encoders = FrozenEncoders(pipeline._components, Path(cache) if cache else None)
        self.clock = Clock()
        self._losses: list[Tensor] = []  # since the last line of the log
        self.recent_loss = math.nan
        self._samples = samples
        self._watched = watched

    def step(self, step: int, parts: Iterator[list[Draw]]) -> Tensor:
        """Follow the gradient of one batch; return this process's mean loss."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.accelerator.device)
        for part in range(settings.accumulation):
            waiting = time.perf_counter()
            draws = next(parts)
            self.clock.waited(time.perf_counter() - waiting)
            loss = self._backward(draws, is_last=part + 1 == settings.accumulation)
            total += loss.detach() / settings.accumulation
        self.accelerator.clip_grad_norm_(self.parameters, settings.max_grad_norm)
        self.optimizer.step()
        self.average.update(step)
        return total

    def _backward(self, draws: list[Draw], is_last: bool) -> Tensor:
        batch = encode_draws(self.pipeline._components, draws, self._encoders)
        # Gradients are shared between processes once a step, not once a part.
        alone = nullcontext() if is_last else self.accelerator.no_sync(self.objective)
        with alone, self.accelerator.autocast():
            loss = self.objective(batch).mean()
        self.accelerator.backward(loss / self.settings.accumulation)
        return loss

    def record(self, folder: RunFolder, step: int, loss: Tensor, bar: tqdm) -> None:
        """Log, save and draw samples where it is time; `step` has just been done."""
        settings, is_last = self.settings, step + 1 == self.settings.num_steps
        self._losses.append(loss)
        if (step + 1) % LOG_EVERY == 0 or is_last:
            mean = torch.stack(self._losses).mean()
            self.recent_loss = cast("Tensor", self.accelerator.reduce(mean, "mean")).item()
            self._losses = []
            if self.accelerator.is_main_process:
                self._log(folder, step + 1, bar)
        if not self.accelerator.is_main_process:
            return
        if is_last or self.clock.is_due(settings.save_every_seconds):
            folder.save(self.state(step + 1))
        every = settings.sample_every_steps
        if every and ((step + 1) % every == 0 or is_last):
            bar.set_description("painting samples")
            self._draw_samples(folder, step + 1)
            bar.set_description("")

    def _log(self, folder: RunFolder, step: int, bar: tqdm) -> None:
        if not math.isfinite(self.recent_loss):
            raise ValueError(
                f"The loss is {self.recent_loss} after {step} steps; lower learning_rate "
                f"({self.settings.learning_rate}), or use mixed_precision: bf16 instead of fp16."
            )
        rate = self.clock.pictures_per_second(step, self.settings.batch_size)
        bar.set_postfix(loss=f"{self.recent_loss:.4f}", pictures_per_second=f"{rate:.1f}")
        figures = {
            **self._watch(step),
            "loss": self.recent_loss,
            "learning_rate": learning_rate(step - 1, self.settings),
            "pictures_per_second": rate,
            "data_share": self.clock.data_share,
            "seconds": self.clock.seconds,
        }
        folder.log(step, **figures)
        if self.settings.log == "tensorboard":
            self.accelerator.log(figures, step=step)

    def _watch(self, step: int) -> dict[str, float]:
        """Return the paired loss where it is time."""
        every = self.settings.watch_every_steps
        if self._watched is None or not every or step % every:
            return {}
        objective = cast("GroundedLoss", self.accelerator.unwrap_model(self.objective))
        with self.accelerator.autocast():
            return paired_loss(objective, self._watched)

    def _draw_samples(self, folder: RunFolder, step: int) -> None:
        """Paint a few held-out layouts with the averaged layers, boxes drawn over them."""
        if not self._samples:
            return
        current = [p.detach().clone() for p in self.parameters]
        self.average.copy_to_parameters()
        try:
            sheet = paint_samples(self.pipeline, self._samples)
        finally:
            for parameter, value in zip(self.parameters, current, strict=True):
                parameter.data.copy_(value)
        folder.save_picture(sheet, step)

    def state(self, step: int) -> dict[str, Any]:
        """Return all that a later sitting needs; `step` is the first one not yet done."""
        scaler = self.accelerator.scaler
        return {
            "step": step,
            "new": dict(zip(self.names, (p.detach() for p in self.parameters), strict=True)),
            "average": dict(zip(self.names, self.average.averages, strict=True)),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "losses": self._losses,
            "seconds": self.clock.seconds,
        }

    def restore(self, folder: RunFolder) -> int:
        """Take up the state in the folder, if there is one; return the step to go on with.

        Raises:
            ValueError: the state is of other layers than these.
        """
        state = folder.load(self.accelerator.device)
        if state is None:
            return 0
        if list(state["new"]) != self.names:
            raise ValueError(
                f"The state in {str(folder.path)!r} is of a model with other layers; choose "
                "another output folder."
            )
        with torch.no_grad():
            for name, parameter in zip(self.names, self.parameters, strict=True):
                parameter.copy_(state["new"][name])
        self.average.averages = list(state["average"].values())
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self._losses = state["losses"]
        self.clock = Clock(state["seconds"], state["step"])
        return state["step"]


def make_optimizer(unet: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Build the optimiser that the settings name, for the parameters that are trained.

    Raises:
        ValueError: it needs a package that is not installed.
    """
    parameters = [p for p in unet.parameters() if p.requires_grad]
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, betas=(0.9, 0.99), **options)
    if settings.optimizer == "muon":
        matrices = inner_matrices(unet)
        apart = {id(matrix) for matrix in matrices}
        return MuonAdamW(matrices, [p for p in parameters if id(p) not in apart], **options)
    try:
        import bitsandbytes  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(
            "The optimizer adamw8bit needs the package bitsandbytes; run pip install "
            "'gligen[train8bit]', or set optimizer: adamw."
        ) from None
    return bitsandbytes.optim.AdamW8bit(parameters, betas=(0.9, 0.99), **options)


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Return the learning rate of a step: a straight warm-up, then constant or half a cosine."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    progress = (step - settings.warmup_steps) / max(1, settings.num_steps - settings.warmup_steps)
    # Down to a fiftieth, not to nothing: the last steps should still do something.
    return settings.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
