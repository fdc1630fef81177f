"""Scheduled sampling: how strong the gates are at each denoising step (paper, section 3.4)."""

import math
from collections.abc import Sequence


def gate_schedule(
    num_steps: int, schedule: float | Sequence[float] = (1.0, 0.0, 0.0)
) -> list[float]:
    """Return the gate scale of every step, first step first.

    Args:
        num_steps: number of denoising steps, >= 1.
        schedule: either tau, the share of steps with full grounding (0.3 is the same as
            `[0.3, 0, 0.7]`), or three shares that sum to 1: full strength, linear decay, off.
            With n decay steps the values are (n-1)/n, ..., 1/n, 0.

    Returns:
        `num_steps` numbers in [0, 1].

    Raises:
        ValueError: a share lies outside [0, 1], or the three do not sum to 1.

    Source: the original `alpha_generator`. It asked for a floating-point sum of exactly 1, which
    [0.7, 0.2, 0.1] misses, and stepped the ramp with a float increment, which gives one value too
    many for 49, 98, 103, ... decay steps; both raised. Here the counts are whole numbers. They
    round down as there, but a product that misses a whole number only by rounding error (0.58 x 50)
    counts as that number.
    """
    if num_steps < 1:
        raise ValueError(f"The number of steps is {num_steps}; it must be at least 1.")
    full, decay = check_schedule(schedule)[:2]
    num_full = _whole(full * num_steps)
    num_decay = min(_whole(decay * num_steps), num_steps - num_full)
    ramp = [(num_decay - 1 - i) / num_decay for i in range(num_decay)]
    return [1.0] * num_full + ramp + [0.0] * (num_steps - num_full - num_decay)


def gates_at(
    timesteps: Sequence[float], num_train_timesteps: int, schedule: float | Sequence[float]
) -> list[float]:
    """Return the gate scale of steps at these timesteps: tau as a share of the noise levels.

    For evenly spaced timesteps and a given tau it is what `gate_schedule` returns; where a sampler
    spaces its steps otherwise, grounding still ends at the same noise.
    """
    levels = gate_schedule(num_train_timesteps, schedule)
    places = (math.floor(num_train_timesteps - timestep) for timestep in timesteps)
    return [levels[min(max(place, 0), num_train_timesteps - 1)] for place in places]


def check_schedule(schedule: float | Sequence[float]) -> tuple[float, float, float]:
    """Return the three shares of a schedule given as tau or as three numbers.

    Raises:
        ValueError: a share lies outside [0, 1], or the three do not sum to 1.
    """
    if isinstance(schedule, (int, float)):
        if not 0 <= schedule <= 1:
            raise ValueError(
                f"Tau, the share of steps with grounding, is {schedule:g}; it must lie in [0, 1]."
            )
        return float(schedule), 0.0, 1.0 - schedule
    shares = tuple(float(share) for share in schedule)
    shown = ", ".join(f"{share:g}" for share in shares)
    if len(shares) != 3:
        raise ValueError(
            f"The schedule [{shown}] has {len(shares)} numbers; give tau alone, or three shares: "
            "full strength, linear decay, off."
        )
    if not all(math.isfinite(share) and 0 <= share <= 1 for share in shares):
        raise ValueError(f"The schedule [{shown}] has a share outside [0, 1].")
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"The schedule [{shown}] sums to {sum(shares):g}; its shares must sum to 1."
        )
    return shares


def _whole(value: float) -> int:
    """Round down, unless the value is a whole number but for rounding error."""
    nearest = round(value)
    return nearest if abs(value - nearest) < 1e-6 else math.floor(value)
