"""How many requests a minute one session, and one address, may make."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from demo.line import TurnedAway
from demo.texts import operations as texts

MINUTE = 60.0  # seconds
MAX_NAMES = 10_000  # remembered at once; those who have been quiet longest are forgotten first


class RateLimit:
    """Counts the requests of the last minute.

    Args:
        per_minute: that one name may make; None: any number.
        clock: seconds that go by.
    """

    def __init__(self, per_minute: int | None = None, clock: Callable[[], float] = time.monotonic):
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}  # by name, the one heard last at the end

    def count(self, names: Iterable[str]) -> None:
        """Count one request under each of the names of who makes it.

        Raises:
            TurnedAway: one of them made too many; this one is then not counted. It says when to
                try again.
        """
        if self._per_minute is None:
            return
        now = self._clock()
        with self._lock:
            found = [self._recent(name, now) for name in dict.fromkeys(names) if name]
            full = [times[0] for times in found if len(times) >= self._per_minute]
            if full:
                seconds = max(1, math.ceil(max(full) + MINUTE - now))
                raise TurnedAway(
                    "limited", texts.TOO_MANY.format(count=self._per_minute, seconds=seconds)
                )
            for times in found:
                times.append(now)
            while len(self._times) > MAX_NAMES:
                del self._times[next(iter(self._times))]

    def _recent(self, name: str, now: float) -> deque[float]:
        times = self._times.pop(name, deque())
        while times and times[0] <= now - MINUTE:
            times.popleft()
        self._times[name] = times
        return times
