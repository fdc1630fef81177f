"""Whose turn it is on the one device: first come, first served.

A person has one place in the line. Who presses Generate again while waiting gives up the first
place for the second; calls of one program wait behind those of everybody who came meanwhile.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from demo.flags import MAX_QUEUE
from demo.texts import operations as texts

NUM_REMEMBERED = 10  # runs whose time says how long the next ones may take
# Who has not looked at the line for so long is passed over: a page may vanish without a word.
PATIENCE_SECONDS = 15


class TurnedAway(ValueError):  # noqa: N818 (not a fault)
    """There is no place in the line; the message is meant for who asked."""

    def __init__(self, outcome: Literal["full", "limited", "closing"], message: str):
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Waiting:
    """A place in the line as it is now."""

    ahead: int  # runs before this one, the one on the device included
    seconds_left: float | None  # until its turn; None: not known


@dataclass(eq=False)
class Place:
    """One request in the line or on the device."""

    session: str
    seen: float  # when it was last looked at, by the line's clock
    started: float | None = None  # None: still waiting
    was_replaced: bool = False


class Line:
    """Gives the device to one request at a time.

    Args:
        max_waiting: places; who comes when all are taken is turned away.
        clock: seconds that go by.
    """

    def __init__(self, max_waiting: int = MAX_QUEUE, clock: Callable[[], float] = time.monotonic):
        self.max_waiting = max_waiting
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Place] = []
        self._running: Place | None = None
        self._is_closed = False
        self._durations: deque[float] = deque(maxlen=NUM_REMEMBERED)

    @property
    def num_waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Requests on the device: 1 or 0."""
        return int(self._running is not None)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._is_closed

    def enter(self, session: str, replaces: bool) -> Place:
        """Take a place at the end of the line.

        Args:
            session: whose request it is.
            replaces: give up the place where a request of this session waits already.

        Raises:
            TurnedAway: the line is full or closed.
        """
        with self._changed:
            if self._is_closed:
                raise TurnedAway("closing", texts.CLOSING)
            if replaces:
                for place in [place for place in self._waiting if place.session == session]:
                    place.was_replaced = True
                    self._waiting.remove(place)
                self._changed.notify_all()
            if self._running is not None and len(self._waiting) >= self.max_waiting:
                raise TurnedAway("full", self._full())
            place = Place(session, self._clock())
            self._waiting.append(place)
            return place

    def wait(self, place: Place, seconds: float) -> Waiting | None:
        """Wait for a turn, at most so long; return None when it has come.

        Raises:
            TurnedAway: the line was closed.
        """
        with self._changed:
            self._take(place)
            if place.started is None and place in self._waiting and not self._is_closed:
                self._changed.wait(seconds)
                self._take(place)
            if place.started is not None:
                return None
            if self._is_closed:
                raise TurnedAway("closing", texts.CLOSING)
            return self._where(place)

    def leave(self, place: Place) -> None:
        """Give up a place, or the device."""
        with self._changed:
            if place in self._waiting:
                self._waiting.remove(place)
            if place is self._running:
                self._running = None
                self._durations.append(self._clock() - (place.started or 0.0))
            self._changed.notify_all()

    def close(self) -> None:
        """Turn away all who wait and all who come; the request on the device goes on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until the device is free, at most so long; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running is None, seconds)

    def _take(self, place: Place) -> None:
        """Give the device to a place if it is free and this is the first."""
        now = place.seen = self._clock()
        if self._running is not None or self._is_closed or place not in self._waiting:
            return
        alive = [other for other in self._waiting if now - other.seen < PATIENCE_SECONDS]
        if alive[0] is place:
            # Further requests of the same session wait behind those who came meanwhile.
            rest = [other for other in self._waiting if other is not place]
            later = [other for other in rest if other.session == place.session]
            self._waiting = [other for other in rest if other not in later] + later
            self._running, place.started = place, now

    def _where(self, place: Place) -> Waiting:
        before = self._waiting.index(place) if place in self._waiting else 0
        return Waiting(before + self.num_running, self._seconds_until(before))

    def _seconds_until(self, before: int) -> float | None:
        if not self._durations:
            return None
        usual = sum(self._durations) / len(self._durations)
        rest = 0.0
        if self._running is not None and self._running.started is not None:
            rest = max(0.0, usual - (self._clock() - self._running.started))
        return rest + before * usual

    def _full(self) -> str:
        seconds = self._seconds_until(0)
        when = texts.IN_A_MOMENT
        if seconds is not None and seconds >= 1:
            when = texts.IN_SECONDS.format(seconds=math.ceil(seconds))
        return texts.LINE_IS_FULL.format(waiting=len(self._waiting), when=when)
