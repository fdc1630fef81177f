"""Timing contenders in turn, in one process, and comparing them pair by pair.

On a CPU processor time counts: it hardly grows where other work runs. On a GPU the clock does.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Show = Callable[[str], None]


@dataclass
class Times:
    """Seconds of each round."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # of all threads
    device: list[float] = field(default_factory=list)  # between CUDA events; empty on a CPU

    def add(self, other: "Times") -> None:
        """Append the rounds of another."""
        self.wall += other.wall
        self.processor += other.processor
        self.device += other.device

    def counted(self, device: str) -> list[float]:
        """Return the times that the comparison goes by."""
        return self.wall if device.startswith("cuda") else self.processor


def measure(run: Callable[[], Any], device: str) -> Times:
    """Time one run."""
    is_cuda = device.startswith("cuda")
    start = end = None
    if is_cuda:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
    wall, processor = time.perf_counter(), time.process_time()
    run()
    if end is not None:
        end.record()
        torch.cuda.synchronize()
    times = Times([time.perf_counter() - wall], [time.process_time() - processor])
    if start is not None and end is not None:
        times.device.append(start.elapsed_time(end) / 1000)
    return times


def alternate(
    contenders: Mapping[str, Callable[[int], Any]],
    rounds: int,
    warm_ups: int,
    device: str,
    show: Show | None = None,
) -> dict[str, Times]:
    """Time all contenders in every round, in turns forwards and backwards.

    Args:
        contenders: by name; each is given the number of the turn.
        rounds: that are timed.
        warm_ups: that are not.
        device: where they compute.
        show: is told how far it is.
    """
    times = {name: Times() for name in contenders}
    names = list(contenders)
    for turn in range(warm_ups + rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            taken = measure(lambda name=name, turn=turn: contenders[name](turn), device)
            if turn >= warm_ups:
                times[name].add(taken)
            what = "warm-up" if turn < warm_ups else f"round {turn - warm_ups + 1} of {rounds}"
            if show is not None:
                show(f"{what}: {name} {taken.counted(device)[0]:.3g} s")
    return times


def summary(times: Mapping[str, Times], device: str) -> dict[str, Any]:
    """Return medians, and the ratio of each contender to each other, pair by pair.

    `ratios[a][b]` says how many times as long as b a takes: median, least and greatest.
    """
    counted = {name: found.counted(device) for name, found in times.items()}
    return {
        "seconds": {name: statistics.median(found) for name, found in counted.items()},
        "wall_seconds": {name: statistics.median(found.wall) for name, found in times.items()},
        "ratios": {
            slow: {
                fast: _spread([a / b for a, b in zip(counted[slow], counted[fast], strict=True)])
                for fast in counted
                if fast != slow
            }
            for slow in counted
        },
        "rounds": {name: vars(found) for name, found in times.items()},
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
