"""One job from start to end, for pages and endpoints: its turn, its pictures, its log line."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from demo import log
from demo.comparing import Comparing, ComparisonStopped, VariantMade
from demo.desk import Desk
from demo.handlers import Asked, Finished, Running, Stopped, follow, request_for
from demo.line import Place, TurnedAway, Waiting
from demo.service import PictureService
from demo.session import StopSignal
from demo.turns import Offer, SeatedService
from gligen.request import Request, Result

WAIT_SECONDS = 1.0  # between two looks at the line


@dataclass(frozen=True)
class Made:
    """The pictures, and what was asked for."""

    asked: Asked
    result: Result


JobEvent = Waiting | Running | Stopped | Made
Painted = Running | Stopped | Made | Comparing | ComparisonStopped | VariantMade


@dataclass(frozen=True)
class Task:
    """What is done when a turn has come."""

    kind: str  # of the model
    request: Request
    paint: Callable[[Place], Iterator[Painted]]  # given its place, whose turn has come
    offer: Offer | None = None  # None: is painted alone


@dataclass(frozen=True)
class Caller:
    """Who asks for pictures."""

    session: str  # of the page, or of the program
    signal: StopSignal  # set when the job is to stop; knows the network address
    is_page: bool = True  # a page's new request takes the place of one that still waits


@dataclass
class _Account:
    """What the log line will say."""

    outcome: str = "left"  # as it stays if the generator is closed from outside
    facts: dict[str, Any] = field(default_factory=dict)
    private: dict[str, Any] = field(default_factory=dict)
    fault: BaseException | None = None


class Replaced(Exception):  # noqa: N818 (not a fault)
    """Another request of the same person has taken the place of this one."""


def work(
    desk: Desk, service: PictureService, caller: Caller, read: Callable[[], Asked]
) -> Iterator[JobEvent]:
    """Wait for a turn, make the pictures, and say all the while how far it is.

    Args:
        desk: limits and the line.
        service: makes the pictures.
        caller: who asks.
        read: returns what is asked for.

    Raises:
        ValueError: what is asked for breaks a rule, or (`TurnedAway`) there is no turn to be had.
        TypeError: a part of it has the wrong type.
        Replaced: the same person asked for something else meanwhile.
    """

    def task() -> Task:
        asked = read()
        request = request_for(service.card, asked)

        def paint(place: Place) -> Iterator[Painted]:
            signal, painter = caller.signal, service
            if place.turn is not None and len(place.turn) > 1:
                painter = SeatedService(service, place.turn, place.seat)
            with closing(follow(painter, asked.kind, request, signal.is_set)) as events:
                for event in events:
                    yield Made(asked, event.result) if isinstance(event, Finished) else event

        key = service.sharing(asked.kind, request)
        offer = None if key is None else Offer((asked.kind, key), request)
        return Task(asked.kind, request, paint, offer)

    yield from take_turn(desk, caller, task)


def take_turn(desk: Desk, caller: Caller, read: Callable[[], Task]) -> Iterator[Any]:
    """Wait for a turn, do the task, and write the job's line into the log.

    Args:
        desk: limits and the line.
        caller: who asks.
        read: returns what is to be done.

    Yields:
        `Waiting`, then `Stopped` at step 0 or `Running` at step 0, then what the task yields.

    Raises:
        ValueError: see `work`.
        TypeError: see `work`.
        Replaced: see `work`.
    """
    account = _Account()
    began = time.monotonic()
    try:
        desk.rate.count((f"session {caller.session}", caller.signal.address))
        task = read()
        request = task.request
        account.facts |= log.facts_of(task.kind, request)
        account.private |= log.words_of(request)
        place = desk.line.enter(caller.session, caller.is_page, task.offer)
        try:
            yield from _wait(desk, place, caller.signal)
            account.facts["waited"] = round(time.monotonic() - began, 2)
            if caller.signal.is_set():
                account.outcome = caller.signal.reason
                yield Stopped(0, request.num_steps)
                return
            yield Running(0, request.num_steps, None)
            if place.turn is not None:
                account.facts["together"] = len(place.turn)
            with closing(task.paint(place)) as events:
                for event in events:
                    _note(account, event, caller.signal)
                    yield event
        finally:
            if place.turn is not None:
                place.turn.leave(place.seat)
            desk.line.leave(place)
    except TurnedAway as error:
        account.outcome = error.outcome
        raise
    except Replaced:
        account.outcome = "replaced"
        raise
    except (ValueError, TypeError) as error:
        account.outcome, account.private["refusal"] = "refused", str(error)
        raise
    except Exception as error:
        account.outcome, account.fault = "failed", error
        raise
    finally:
        account.facts |= {
            "outcome": account.outcome,
            "seconds": round(time.monotonic() - began, 2),
            "queue": desk.line.num_waiting,
        }
        log.say("job", account.facts, account.private, account.fault)


def _wait(desk: Desk, place: Place, signal: StopSignal) -> Iterator[Waiting]:
    """Yield where the job is in the line, each time that this changes, until its turn comes."""
    shown = None
    while not signal.is_set() and (now := desk.line.wait(place, WAIT_SECONDS)) is not None:
        if place.was_replaced:
            raise Replaced
        if now != shown:
            shown = now
            yield now


def _note(account: _Account, event: Painted, signal: StopSignal) -> None:
    if isinstance(event, (Made, VariantMade)):
        width, height = event.result.images[0].size
        account.outcome = "finished"
        account.facts |= {"width": width, "height": height}
        account.facts["steps_done"] = account.facts["steps"]
    elif isinstance(event, (Stopped, ComparisonStopped)):
        account.outcome, account.facts["steps_done"] = signal.reason, event.step
    else:
        account.facts["steps_done"] = event.step
