"""A turn on the device: one request, or several that are painted together.

Whoever of them asks for news while there are none moves the work one event on, for all. So there is
no thread that could go on without anybody, and the work goes on while anybody is there.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from demo.service import ModelCard, PictureService, SharedStream
from gligen.request import Request, Result

if TYPE_CHECKING:  # they import torch, and the page is served before it is there
    from gligen.batching import Failed
    from gligen.sampling import Step


@dataclass(frozen=True)
class Offer:
    """What says whether a request can be painted together with others."""

    key: Hashable  # those with the same fit together
    request: Request


class Turn:
    """The requests that have the device together, in the order of the line.

    Args:
        offers: one for each seat; None: of a request that is painted alone.
    """

    def __init__(self, offers: Sequence[Offer | None]):
        self._offers = offers
        self._lock = threading.Lock()  # held while something is computed
        self._stream: SharedStream | None = None
        self._news: list[deque[Step | Result | Failed]] = [deque() for _ in offers]
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._offers)

    def request_of(self, seat: int) -> Request | None:
        """Return the request of a seat; None: it was not offered to others."""
        offer = self._offers[seat]
        return None if offer is None else offer.request

    def events(
        self, seat: int, start: Callable[[list[Request]], SharedStream]
    ) -> Iterator["Step | Result"]:
        """Yield what concerns one seat; closing the iterator gives up the seat.

        Steps that nobody looked at in time are passed over for newer ones.

        Args:
            seat: number of the request.
            start: begins to paint all requests; called for the first seat that gets here.
        """
        from gligen.batching import Failed

        news = self._news[seat]
        try:
            while True:
                with self._lock:
                    while not news:
                        self._advance(start)
                    event = news.popleft()
                if isinstance(event, Failed):
                    raise event.error
                yield event
                if isinstance(event, Result):
                    return
        finally:
            self.leave(seat)

    def undisturbed(self) -> threading.Lock:
        """Return the lock under which nothing else is computed."""
        return self._lock

    def leave(self, seat: int) -> None:
        """Give up a seat; the others go on, and the work ends with the last."""
        self.drop(seat)
        if len(self._gone) == len(self._offers):
            with self._lock:
                if self._stream is not None:
                    self._stream.close()

    def drop(self, seat: int) -> None:
        """Give up a seat without waiting for anything, for one who has vanished."""
        self._gone.add(seat)
        stream = self._stream
        if stream is not None:
            stream.leave(seat)

    def _advance(self, start: Callable[[list[Request]], SharedStream]) -> None:
        from gligen.sampling import Step

        if self._stream is None:
            stream = start([offer.request for offer in self._offers if offer is not None])
            for seat in list(self._gone):
                stream.leave(seat)
            self._stream = stream
            for seat in list(self._gone):  # who went in between
                stream.leave(seat)
        seat, event = next(self._stream)
        news = self._news[seat]
        if isinstance(event, Step):
            with suppress(IndexError):
                if isinstance(news[-1], Step):
                    news.pop()
        news.append(event)


@dataclass(frozen=True)
class SeatedService:
    """Makes the pictures of one seat, as if there were no other."""

    service: PictureService
    turn: Turn
    seat: int

    @property
    def card(self) -> ModelCard:
        """See `PictureService.card`."""
        return self.service.card

    @property
    def is_ready(self) -> bool:
        """See `PictureService.is_ready`."""
        return self.service.is_ready

    def stream(self, kind: str, request: Request) -> Iterator["Step | Result"]:
        """See `PictureService.stream`; the request is that of the seat."""
        assert request is self.turn.request_of(self.seat), "a seat has one request"
        return self.turn.events(self.seat, partial(self.service.stream_together, kind))

    def preview(self, kind: str, step: "Step") -> list[Image.Image]:
        """See `PictureService.preview`."""
        with self.turn.undisturbed():
            return self.service.preview(kind, step)

    def sharing(self, kind: str, request: Request) -> Hashable | None:
        """See `PictureService.sharing`."""
        return self.service.sharing(kind, request)

    def stream_together(self, kind: str, requests: Sequence[Request]) -> SharedStream:
        """See `PictureService.stream_together`."""
        return self.service.stream_together(kind, requests)
