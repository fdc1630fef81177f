"""What one picture of training looks like, and where examples come from.

Every random choice of an example (caption, crop, flip, dropout, noise, time) comes from a generator
seeded by its running number in the training. So a run can be cut anywhere and go on alike, and any
number of processes sees what one would.

Shapes: c latent channels, latents [c, h, w], pictures [3, H, W].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.layout import Layout, Region
from gligen.request import Request
from gligen.training.settings import TrainingSettings


@dataclass(frozen=True)
class Example:
    """One picture and what is said about it; tensors are on the CPU."""

    caption: str
    layout: Layout
    pixels: Float[Tensor, "3 H W"] | None = None  # in [-1, 1]
    latents: Float[Tensor, "c h w"] | None = None  # scaled; where they were computed before
    hole: Bool[np.ndarray, "h w"] | None = None  # inpainting: True = paint; on the latents' grid

    def __post_init__(self):
        if (self.pixels is None) == (self.latents is None):
            raise ValueError("An example has either pixels or latents, not both and not neither.")


@runtime_checkable
class ExampleSource(Protocol):
    """A collection of examples; opening one may draw at random from the generator given."""

    latent_size: tuple[int, int]  # height and width
    label_names: tuple[str, ...]  # of the labels of semantic maps, where they are not ADE20K's

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Return a picture, cropped, flipped and captioned at random."""
        ...

    def validation(self) -> Sequence[Example]:
        """Return examples that are never trained on, always the same; may be none."""
        ...

    def requests(self, seed: int) -> Sequence[Request]:
        """Return what to paint now and then, to see how far the training is."""
        ...


@dataclass(frozen=True)
class Draw:
    """An example with the noise that it is trained with."""

    example: Example
    timestep: int  # 0-999
    noise: Float[Tensor, "c h w"]
    is_grounded: bool  # False: grounding was dropped, null tokens stand in


class Draws(torch.utils.data.Dataset):
    """The endless sequence of draws of a run, by running number."""

    def __init__(self, source: ExampleSource, settings: TrainingSettings, latent_channels: int):
        self.source = source
        self.settings = settings
        self.latent_channels = latent_channels
        self._order: tuple[int, Any] = (-1, None)  # of one epoch

    def __getitem__(self, number: int) -> Draw:
        """Make the draw with a running number, counted over the whole training."""
        settings = self.settings
        rng = np.random.default_rng([settings.seed, 11, number])
        example = self.source.example(self._item(number), rng)
        is_grounded = bool(rng.random() >= settings.grounding_dropout)
        caption = "" if rng.random() < settings.caption_dropout else example.caption
        layout = example.layout
        if kind_named(settings.kind).modality == TEXT_IMAGE_BOX:
            layout = drop_halves(layout, settings, rng)
        timestep = int(rng.integers(0, 1000))
        if rng.random() < settings.early_share:
            timestep = int(rng.integers(settings.early_from, 1000))
        shape = (self.latent_channels, *self.source.latent_size)
        noise = torch.from_numpy(rng.standard_normal(shape, np.float32))
        drawn = Example(caption, layout, example.pixels, example.latents, example.hole)
        return Draw(drawn, timestep, noise, is_grounded)

    def _item(self, number: int) -> int:
        """Return which picture a running number shows: every epoch in an order of its own."""
        epoch, place = divmod(number, len(self.source))
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.settings.seed, 12, epoch])
            self._order = (epoch, rng.permutation(len(self.source)))
        return int(self._order[1][place])


@dataclass(frozen=True)
class Shares:
    """Which running numbers a process works off, part by part: a batch sampler."""

    batch_size: int  # of a step, all processes together
    accumulation: int  # parts of a process's share
    process: int
    num_processes: int
    first_step: int
    num_steps: int

    def __post_init__(self):
        parts = self.num_processes * self.accumulation
        if self.batch_size % parts:
            raise ValueError(
                f"A batch of {self.batch_size} cannot be divided among {self.num_processes} "
                f"processes with {self.accumulation} parts each; make batch_size a multiple of "
                f"{parts}."
            )

    def __len__(self) -> int:
        return (self.num_steps - self.first_step) * self.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.num_processes
        size = share // self.accumulation
        for step in range(self.first_step, self.num_steps):
            first = step * self.batch_size + self.process * share
            for part in range(self.accumulation):
                yield list(range(first + part * size, first + (part + 1) * size))


def drop_halves(layout: Layout, settings: TrainingSettings, rng: np.random.Generator) -> Layout:
    """Leave some regions with their phrase alone and some with their picture alone.

    So the model learns to follow either.
    """
    regions = []
    for region in layout:
        share = rng.random()
        if region.image is None or not region.phrase:
            regions.append(region)
        elif share < settings.phrase_dropout:
            regions.append(Region("", region.box, region.image))
        elif share < settings.phrase_dropout + settings.image_dropout:
            regions.append(Region(region.phrase, region.box))
        else:
            regions.append(region)
    return Layout(tuple(regions), layout.persons, layout.map, layout.style)
