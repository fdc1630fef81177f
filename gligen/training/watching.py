"""The paired loss, which shows that grounding is learned long before pictures do.

Same pictures, same noise, same time, same number of tokens: what differs is only what the layout
says. Right layouts must come to cost less than wrong ones.
"""

from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from gligen.components import Components
from gligen.grounding import GroundingInput
from gligen.tokenizers import BoxGrounding, KeypointGrounding, TextImageGrounding
from gligen.training.examples import Draw, ExampleSource
from gligen.training.objective import GroundedLoss, TrainingBatch, encode_draws

WATCHED_TIME = 700  # of 1000: layout is being decided


def watched_batch(components: Components, source: ExampleSource) -> TrainingBatch | None:
    """Encode the examples that a source holds back; None where it holds back none."""
    draws = [
        Draw(
            example=example,
            timestep=WATCHED_TIME,
            noise=_noise(number, (components.num_channels, *source.latent_size)),
            is_grounded=True,
        )
        for number, example in enumerate(source.validation())
    ]
    return encode_draws(components, draws) if draws else None


@torch.no_grad()
def paired_loss(objective: GroundedLoss, batch: TrainingBatch) -> dict[str, float]:
    """Return the loss with the right layouts, with those of other pictures, and with none.

    And with everything reflected through the middle of its picture.
    """
    right = batch.grounding
    variants = {
        "right": right,
        "wrong": rolled(right),
        "null": right.null(),
        "mirrored": mirrored(right),
    }
    return {
        name: objective(replace(batch, grounding=_with_map(grounding, right))).mean().item()
        for name, grounding in variants.items()
    }


def mirrored(grounding: GroundingInput) -> GroundingInput:
    """Return the grounding with every box, joint or map reflected through the middle."""
    if isinstance(grounding, (BoxGrounding, TextImageGrounding)):
        return replace(grounding, boxes=1 - grounding.boxes[..., [2, 3, 0, 1]])
    if isinstance(grounding, KeypointGrounding):
        return replace(grounding, points=1 - grounding.points)
    assert grounding.image is not None, "a picture of a map kind has a map"
    return replace(grounding, image=grounding.image.flip(-1, -2))


def rolled(grounding: GroundingInput) -> GroundingInput:
    """Return the grounding in which every picture has the layout of the one before."""
    moved = {}
    for field in fields(grounding):
        value = getattr(grounding, field.name)
        moved[field.name] = value.roll(1, dims=0) if isinstance(value, Tensor) else value
    return replace(grounding, **moved)


def _with_map(grounding: GroundingInput, right: GroundingInput) -> GroundingInput:
    """Let a null map still reach the first convolution, which cannot do without one."""
    if getattr(grounding, "image", right) is None:
        return replace(grounding, image=getattr(right, "image", None))
    return grounding


def _noise(number: int, shape: tuple[int, ...]) -> Tensor:
    rng = np.random.default_rng([17, number])
    return torch.from_numpy(rng.standard_normal(shape, np.float32))
