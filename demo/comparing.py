"""The same picture made several times, each with another share of grounding; without Gradio.

GLIGEN's idea at a glance: noise, words and all settings stay, only the schedule of the gates
changes. The schedule belongs to a whole run of the library, so each variant is a run of its own.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from PIL import Image

from demo.handlers import Finished, Running, Stopped, follow
from demo.service import PictureService
from demo.texts import compare as texts
from gligen.request import Request, Result
from gligen.schedule import gate_schedule

DEFAULT_TAUS = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)
LEAST_TAUS, MOST_TAUS = 2, 8
MAX_RANDOM_SEED = 2**31


@dataclass(frozen=True)
class Variant:
    """One way to make the picture."""

    caption: str
    schedule: float | tuple[float, float, float]  # tau, or the shares (full, decay, off)


@dataclass(frozen=True)
class Comparing:
    """A step of a comparison is done."""

    index: int  # of the variant that is being made, from 0
    num_variants: int
    step: int  # of this variant
    num_steps: int
    share: float  # of all the work, in [0, 1]
    seconds_left: float | None  # for all of it; None: not known yet
    preview: Image.Image | None = None


@dataclass(frozen=True)
class ComparisonStopped:
    """The comparison was stopped; the variants before `index` are finished."""

    index: int
    num_variants: int
    step: int
    num_steps: int


@dataclass(frozen=True)
class VariantMade:
    """The pictures of one variant are made."""

    index: int
    result: Result


def read_variants(mode: Any, taus: Any, request: Request) -> tuple[Variant, ...]:
    """Return what is compared.

    Args:
        mode: "on_off" or "sweep".
        taus: the values of a sweep as a person wrote them.
        request: that is compared.

    Raises:
        ValueError: there is no such mode, a tau breaks a rule, or nothing would differ.
    """
    match mode:
        case "on_off":
            return on_and_off(request)
        case "sweep":
            return sweep(read_taus(taus))
        case _:
            raise ValueError(texts.NO_MODE.format(mode=mode))


def on_and_off(request: Request) -> tuple[Variant, ...]:
    """Return the request's own schedule, and none.

    Raises:
        ValueError: the request's own schedule grounds no step.
    """
    schedule = request.gate_schedule
    assert schedule is not None, "the page always says a schedule"
    if not any(gate_schedule(request.num_steps, schedule)):
        tau = schedule if isinstance(schedule, (int, float)) else schedule[0]
        raise ValueError(texts.ALREADY_OFF.format(tau=tau))
    if isinstance(schedule, tuple):
        full, decay, off = schedule
        caption = texts.ON_SHARES.format(full=full, decay=decay, off=off)
    else:
        caption = texts.ON.format(tau=schedule)
    return Variant(caption, schedule), Variant(texts.OFF, 0.0)


def sweep(taus: Sequence[float]) -> tuple[Variant, ...]:
    """Return a variant for each tau."""
    return tuple(Variant(texts.TAU.format(tau=tau), tau) for tau in taus)


def read_taus(text: Any) -> tuple[float, ...]:
    """Return the values of tau that a person wrote, sorted.

    Raises:
        ValueError: one is no number in [0, 1] or stands there twice, or there are too few or many.
    """
    taus = []
    for part in str(text or "").replace(";", ",").split(","):
        if not part.strip():
            continue
        taus.append(_read_tau(part.strip()))
        if taus[-1] in taus[:-1]:
            raise ValueError(texts.TAU_TWICE.format(value=taus[-1]))
    if not LEAST_TAUS <= len(taus) <= MOST_TAUS:
        raise ValueError(texts.TAU_COUNT.format(count=len(taus), least=LEAST_TAUS, most=MOST_TAUS))
    return tuple(sorted(taus))


def _read_tau(part: str) -> float:
    try:
        value = float(part)
    except ValueError:
        raise ValueError(texts.TAU_IS_NO_NUMBER.format(value=part[:40])) from None
    if not (isfinite(value) and 0 <= value <= 1):
        raise ValueError(texts.TAU_OUT_OF_RANGE.format(value=value))
    return value


def comparable(request: Request) -> Request:
    """Return the request with a seed that all variants share.

    Raises:
        ValueError: nothing in the layout could be switched off.
    """
    if not request.layout.grounded and request.layout.style is None:
        raise ValueError(texts.NO_BOXES)
    if request.seed is not None:
        return request
    return replace(request, seed=secrets.randbelow(MAX_RANDOM_SEED))


def compare(
    service: PictureService,
    kind: str,
    request: Request,
    variants: Sequence[Variant],
    should_stop: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Comparing | ComparisonStopped | VariantMade]:
    """Make the pictures of all variants, one run after the other.

    Args:
        service: makes the pictures.
        kind: of the model.
        request: from `comparable`; its schedule is replaced.
        variants: what differs.
        should_stop: read after every step of every run.
        clock: seconds.
    """
    started, total = clock(), len(variants)
    for index, variant in enumerate(variants):
        asked = replace(request, gate_schedule=variant.schedule)
        for event in follow(service, kind, asked, should_stop, clock):
            match event:
                case Finished():
                    yield VariantMade(index, event.result)
                case Stopped():
                    yield ComparisonStopped(index, total, event.step, event.num_steps)
                    return
                case Running():
                    share = (index + event.step / event.num_steps) / total
                    left = (clock() - started) * (1 - share) / share
                    yield Comparing(
                        index, total, event.step, event.num_steps, share, left, event.preview
                    )
