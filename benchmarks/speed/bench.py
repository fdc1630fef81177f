"""What all sections share: the models, the device, and how thoroughly is measured."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.speed.contenders import Call, Contender, original, ours, stock
from benchmarks.speed.correctness import COMPILED_LIMIT, WrongResultError, check
from benchmarks.speed.models import TEXT_BOXES, Models, Size, make_models, without_savings
from benchmarks.speed.timing import alternate, summary
from gligen.exact.options import ALL_SAVINGS

OURS, STOCK, ORIGINAL = "this library", "diffusers", "the authors' loop"
COMPILED, UNCOMPILED = "diffusers with a compiled UNet", "this library, not compiled"


@dataclass
class Bench:
    """The benchmark on one device."""

    size: Size
    device: str
    dtype: torch.dtype
    call: Call  # around which one thing at a time is changed
    rounds: int  # of the comparisons; the curves have `curve_rounds`
    warm_ups: int
    curve_rounds: int
    show: Callable[[str], None]
    notes: list[str] = field(default_factory=list)  # what could not be measured, and why
    _models: dict[str, Models] = field(default_factory=dict)

    @property
    def is_cuda(self) -> bool:
        """Whether a GPU is measured."""
        return self.device.startswith("cuda")

    def exact_models(self, kind: str) -> Models:
        """Return float32 models, for comparing results; made anew, and not kept."""
        return make_models(kind, self.size, self.device, torch.float32)

    def models(self, kind: str = TEXT_BOXES) -> Models:
        """Return the models that are timed."""
        if kind not in self._models:
            self._models[kind] = make_models(kind, self.size, self.device, self.dtype)
        return self._models[kind]

    def contenders(
        self, kind: str = TEXT_BOXES, names: tuple[str, ...] = ()
    ) -> dict[str, Contender]:
        """Return the contenders by name, those of `names` if there are any."""
        models = self.models(kind)
        found = {STOCK: stock(models), OURS: ours(models.ours)}
        if kind == TEXT_BOXES:
            found[ORIGINAL] = original(models.ours)
        return {name: run for name, run in found.items() if not names or name in names}

    def compare(
        self, contenders: dict[str, Contender], call: Call, rounds: int | None = None
    ) -> dict[str, Any]:
        """Time contenders on one call; the prompts of each round are new."""

        def bound(run: Contender) -> Callable[[int], Any]:
            return lambda turn: run(call, turn)

        times = alternate(
            {name: bound(run) for name, run in contenders.items()},
            rounds or self.rounds,
            self.warm_ups if rounds is None else 1,
            self.device,
            self.show,
        )
        return summary(times, self.device)

    def ours_compiled(self, kind: str) -> Contender:
        """Return this library's pipeline with a compiled evaluation.

        Raises:
            WrongResultError: it gives another result than diffusers.
        """
        models = self.models(kind)
        contender = ours(without_savings(models.ours, replace(ALL_SAVINGS, compiled=True)))
        few = replace(self.call, num_steps=4, tau=0.5, decodes=False)
        self.show("compiling this library's evaluations, which takes minutes")
        found = contender(few, 0)
        if self.dtype == torch.float32 and kind == TEXT_BOXES:
            check("This library, compiled,", found, stock(models)(few, 0), COMPILED_LIMIT)
        return contender

    def compiled(self, kind: str) -> Contender | None:
        """Return diffusers' pipeline with a compiled UNet; None, with a note, if it fails.

        The UNet is a copy, so that the layout of its weights can be what compiling likes best.
        """
        models = self.models(kind)
        unet = copy.deepcopy(models.theirs.unet)
        if self.is_cuda:
            unet.to(memory_format=torch.channels_last)
        mode = "max-autotune" if self.is_cuda else "default"
        contender = stock(models.with_unet_of_theirs(unet))
        unet.compile(mode=mode)
        few = replace(self.call, num_steps=4, tau=0.5, decodes=False)
        self.show(f"compiling diffusers' UNet ({mode}), which takes minutes")
        try:
            found = contender(few, 0)
            if self.dtype == torch.float32:
                check("diffusers' compiled UNet", found, stock(models)(few, 0), COMPILED_LIMIT)
        except WrongResultError as error:
            self.notes.append(str(error))
            return None
        except Exception as error:  # noqa: BLE001 (compilers fail in many ways; none ends the run)
            reason = str(error).strip().splitlines() or [type(error).__name__]
            self.notes.append(f"diffusers' UNet could not be compiled here: {reason[0]}")
            return None
        return contender
