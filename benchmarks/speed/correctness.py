"""Before anything is timed: the same latents as diffusers, or no figures."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from benchmarks.speed.contenders import Call, Contender, original, ours, stock
from benchmarks.speed.models import TEXT_BOXES, Models

LIMIT = 1e-5  # relative RMS of float32 latents
HALF_LIMIT = 1.1  # error in half precision, as a multiple of diffusers' own
COMPILED_LIMIT = 1e-3  # compiled kernels round in other ways


class WrongResultError(Exception):
    """What would be timed gives another result; the message is one sentence."""


def relative_rms(found: Tensor, expected: Tensor) -> float:
    """Return the RMS of the difference as a share of that of the expected."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float(((found - expected).pow(2).mean() / expected.pow(2).mean()).sqrt())


def check(name: str, found: Tensor, expected: Tensor, limit: float = LIMIT) -> float:
    """Return the relative RMS.

    Raises:
        WrongResultError: it is over the limit, or no number.
    """
    error = relative_rms(found, expected)
    if not error <= limit:
        raise WrongResultError(
            f"{name} gives other latents than diffusers (relative RMS {error:.1e}, at most "
            f"{limit:g} is allowed), so nothing was timed."
        )
    return error


def check_models(models: Models, call: Call) -> dict[str, float]:
    """Compare float32 latents with diffusers' for one call; `models` are float32.

    Text boxes are compared at tau 0.3 and 1. diffusers' text-image pipeline ignores tau, so there
    everything is compared, and timed, with grounding in all steps.

    Raises:
        WrongResultError: a contender gives another result.
    """
    found = {}
    is_text = models.kind == TEXT_BOXES
    for tau in (0.3, 1.0) if is_text else (1.0,):
        asked = replace(call, tau=tau, decodes=False)
        expected = stock(models)(asked, 0)
        others: dict[str, Contender] = {"This library": ours(models.ours)}
        if is_text and tau < 1:
            others["The authors' loop"] = original(models.ours)
        for name, contender in others.items():
            what = f"{name} ({models.kind}, tau {tau:g})"
            found[what] = check(what, contender(asked, 0), expected)
    return found


def check_half(exact: Models, half: Models, call: Call, turns: int = 2) -> dict[str, Any]:
    """Compare the errors in half precision of this library and of diffusers.

    Raises:
        WrongResultError: ours is larger than `HALF_LIMIT` times theirs.
    """
    call = replace(call, decodes=False, tau=0.3 if exact.kind == TEXT_BOXES else 1.0)
    errors: dict[str, list[float]] = {"ours": [], "diffusers": []}
    for turn in range(turns):
        expected = stock(exact)(call, turn)
        errors["ours"].append(relative_rms(ours(half.ours)(call, turn), expected))
        errors["diffusers"].append(relative_rms(stock(half)(call, turn), expected))
    means = {name: sum(found) / turns for name, found in errors.items()}
    ratio = means["ours"] / means["diffusers"]
    if not ratio <= HALF_LIMIT:
        raise WrongResultError(
            f"In half precision the error of this library is {ratio:.2f} times that of diffusers "
            f"({exact.kind}; at most {HALF_LIMIT:g} is allowed), so nothing was timed."
        )
    return {"relative_rms": means, "ratio": ratio}
