"""What happens when the memory of the device does not hold a whole batch.

What finds no memory is done again in two parts, one after the other. An evaluation of the UNet
changes nothing outside of itself, so it alone is repeated, on the very same latents: no step is
taken twice, no noise is drawn again and no callback hears of it, and the pictures are those that a
larger device would have made, up to the rounding of its convolutions.

Shapes: B pictures, latents [B, c, h, w].
"""

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from gligen.guidance import GuidedModel, Halves
from gligen.sampling import Question

T = TypeVar("T")

# What the messages of allocators and of the libraries of CUDA have in common: those of the CPU's
# allocator are errors of no type of their own.
_SIGNS = ("out of memory", "can't allocate memory", "defaultcpuallocator", "alloc_failed")


class OutOfMemoryError(MemoryError):
    """The device cannot even make one picture; the message says what to do about it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def empty_caches() -> None:
    """Give memory that is kept for later tensors back, so that larger ones find room."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def telling_the_way_out(size: tuple[int, int] | None = None) -> Iterator[None]:
    """Turn the error of an allocator into a sentence.

    Args:
        size: width and height of the picture in pixels, if they are known.

    Raises:
        OutOfMemoryError: there was no memory left.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        empty_caches()
        raise OutOfMemoryError(sentence(size)) from error


def sentence(size: tuple[int, int] | None = None) -> str:
    """Return what a person can do about it."""
    picture = "one picture" if size is None else f"one picture of {size[0]} x {size[1]} pixels"
    return (
        f"The memory of the device does not hold {picture}; ask for a smaller one, free memory "
        "that other programs use, or keep the models elsewhere until they are needed (app.py "
        "--device-budget, pipeline.enable_model_cpu_offload())."
    )


class InParts:
    """Evaluates guided models, each evaluation in as few parts as memory allows.

    A part is a number of pictures, or at last one half of guidance of one picture. What was found
    once holds for the evaluations that follow.
    """

    def __init__(self):
        self.most: float = math.inf  # pictures in one evaluation; 0.5 is one half of guidance
        self._model: GuidedModel | None = None  # that the parts are of
        self._parts: list[GuidedModel] = []

    def halves(self, model: GuidedModel, question: Question) -> Halves:
        """Evaluate the UNet, without guiding.

        Raises:
            OutOfMemoryError: not even the smallest part finds memory.
        """
        B = len(question.latents)
        while True:
            most = min(self.most, B)
            try:
                return self._evaluate(model, question, most)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if not self._can_halve(model, most):
                    raise OutOfMemoryError(sentence()) from error
            # Behind the handler: the error holds every tensor of the evaluation.
            self.most = math.ceil(most / 2) if most > 1 else 0.5
            self._model, self._parts = None, []
            model.forget()
            empty_caches()

    @staticmethod
    def _can_halve(model: GuidedModel, most: float) -> bool:
        if model.side_networks is not None:
            return False
        return most > 1 or (most == 1 and model.negative_context is not None)

    def _evaluate(self, model: GuidedModel, question: Question, most: float) -> Halves:
        x, rest = question.latents, (question.timestep, question.gate_scale, question.step)
        if most == len(x):
            return model.halves(x, *rest)
        width = max(1, int(most))
        if self._model is not model:
            firsts = range(0, len(x), width)
            self._parts = [model.part(first, min(first + width, len(x))) for first in firsts]
            self._model = model
        found = []
        for latents, part in zip(x.split(width), self._parts, strict=True):
            if most >= 1:
                found.append(part.halves(latents, *rest))
            else:
                _, unconditional = part.unconditional_half().halves(latents, *rest)
                found.append((unconditional, part.conditional.halves(latents, *rest)[1]))
        conditional = torch.cat([half for _, half in found])
        if model.negative_context is None:
            return None, conditional
        return torch.cat([half for half, _ in found]), conditional


def in_parts(compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return what `compute` gives for x [B, ...], in as few parts of B as memory allows.

    Raises:
        OutOfMemoryError: not even one row finds memory.
    """
    most = len(x)
    while True:
        try:
            return torch.cat([compute(part) for part in x.split(most)])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if most == 1:
                raise OutOfMemoryError(sentence()) from error
        most = math.ceil(most / 2)
        empty_caches()
