"""Whose turn it is on the one device: first come, first served.

A person has one place in the line. Who presses Generate again while waiting gives up the first
place for the second; calls of one program wait behind those of everybody who came meanwhile.

The first in the line takes along those right behind it whose requests can be painted together with
its own, as far as there is room. The first who does not fit ends this: nobody is overtaken, not
even by those behind who would fit.
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
from demo.turns import Offer, Turn

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

    ahead: int  # runs before this one's turn, those on the device included
    seconds_left: float | None  # until its turn; None: not known


@dataclass(eq=False)
class Place:
    """One request in the line or on the device."""

    session: str
    seen: float  # when it was last looked at, by the line's clock
    offer: Offer | None = None  # None: cannot be painted together with others
    started: float | None = None  # None: still waiting
    was_replaced: bool = False
    turn: Turn | None = None  # that it is part of, once started
    seat: int = 0  # in the turn
    is_taken_up: bool = False  # whether the one who waits has heard of it


class Line:
    """Gives the device to one request at a time, or to several that fit together.

    Args:
        max_waiting: places; who comes when all are taken is turned away.
        clock: seconds that go by.
        max_batch: pictures of several requests that are made together.
    """

    def __init__(
        self,
        max_waiting: int = MAX_QUEUE,
        clock: Callable[[], float] = time.monotonic,
        max_batch: int = 1,
    ):
        self.max_waiting = max_waiting
        self.max_batch = max_batch
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: list[Place] = []
        self._running: list[Place] = []
        self._started = 0.0  # when those on the device began
        self._is_closed = False
        self._durations: deque[float] = deque(maxlen=NUM_REMEMBERED)

    @property
    def num_waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """Requests on the device."""
        return len(self._running)

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._is_closed

    def enter(self, session: str, replaces: bool, offer: Offer | None = None) -> Place:
        """Take a place at the end of the line.

        Args:
            session: whose request it is.
            replaces: give up the place where a request of this session waits already.
            offer: says whether it fits together with others.

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
            if self._running and len(self._waiting) >= self.max_waiting:
                raise TurnedAway("full", self._full())
            place = Place(session, self._clock(), offer)
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
                place.is_taken_up = True
                return None
            if self._is_closed:
                raise TurnedAway("closing", texts.CLOSING)
            return self._where(place)

    def leave(self, place: Place) -> None:
        """Give up a place, or the device."""
        with self._changed:
            if place in self._waiting:
                self._waiting.remove(place)
            if place in self._running:
                self._remove(place)
            self._changed.notify_all()

    def close(self) -> None:
        """Turn away all who wait and all who come; the request on the device goes on."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until the device is free, at most so long; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _take(self, place: Place) -> None:
        """Give the device to a place if it is free and this is the first."""
        now = place.seen = self._clock()
        self._put_back_who_vanished(now)
        if self._running or self._is_closed or place not in self._waiting:
            return
        if next(other for other in self._waiting if self._is_here(other, now)) is place:
            self._begin_turn(now)

    def _begin_turn(self, now: float) -> None:
        """Give the device to the first, and to those right behind it that fit."""
        while True:
            first = next((place for place in self._waiting if self._is_here(place, now)), None)
            if first is None or not self._fits(self._running, first):
                break
            # Further requests of the same session wait behind those who came meanwhile.
            rest = [other for other in self._waiting if other is not first]
            later = [other for other in rest if other.session == first.session]
            self._waiting = [other for other in rest if other not in later] + later
            self._running.append(first)
        # A turn of one needs no offer; the seat is there all the same.
        turn = Turn([place.offer for place in self._running])
        for seat, place in enumerate(self._running):
            place.started, place.turn, place.seat = now, turn, seat
        self._started = now
        if len(self._running) > 1:
            self._changed.notify_all()

    def _fits(self, places: list[Place], place: Place) -> bool:
        if not places:
            return True
        if place.offer is None or places[0].offer is None:
            return False
        offers = [other.offer for other in (*places, place) if other.offer is not None]
        num_images = sum(offer.request.num_images for offer in offers)
        return place.offer.key == places[0].offer.key and num_images <= self.max_batch

    def _is_here(self, place: Place, now: float) -> bool:
        return now - place.seen < PATIENCE_SECONDS

    def _put_back_who_vanished(self, now: float) -> None:
        """Let nobody hold the device who was taken along and has not come for it."""
        for place in list(self._running):
            if not place.is_taken_up and not self._is_here(place, now):
                assert place.turn is not None, "who runs has a turn"
                place.turn.drop(place.seat)
                self._remove(place)
                place.started, place.turn, place.seat = None, None, 0
                self._waiting.insert(0, place)

    def _remove(self, place: Place) -> None:
        self._running.remove(place)
        if not self._running:
            self._durations.append(self._clock() - self._started)

    def _where(self, place: Place) -> Waiting:
        """Say how many come before; those who share the turn of this place do not."""
        turns: list[list[Place]] = []
        for other in self._waiting:
            if turns and self._fits(turns[-1], other):
                turns[-1].append(other)
            else:
                turns.append([other])
            if other is place:
                break
        earlier = turns[:-1]
        return Waiting(
            sum(len(turn) for turn in earlier) + self.num_running,
            self._seconds_until(len(earlier)),
        )

    def _seconds_until(self, turns: int) -> float | None:
        """Return the time until the device is free and so many turns are over."""
        if not self._durations:
            return None
        usual = sum(self._durations) / len(self._durations)
        rest = 0.0
        if self._running:
            rest = max(0.0, usual - (self._clock() - self._started))
        return rest + turns * usual

    def _full(self) -> str:
        seconds = self._seconds_until(0)
        when = texts.IN_A_MOMENT
        if seconds is not None and seconds >= 1:
            when = texts.IN_SECONDS.format(seconds=math.ceil(seconds))
        return texts.LINE_IS_FULL.format(waiting=len(self._waiting), when=when)
