"""A service whose model is still being loaded, so that the page need not wait for it."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING

from PIL import Image

from demo.service import ModelCard, PictureService, SharedStream
from gligen.request import Request, Result

if TYPE_CHECKING:  # it imports torch
    from gligen.sampling import Step


class ArrivingService:
    """Makes pictures with a model that is on its way; who asks for one before waits for it.

    Args:
        card: of the model, known beforehand.
    """

    def __init__(self, card: ModelCard):
        self.card = card
        self._arrived: Future[PictureService] = Future()

    def load(
        self, load: Callable[[], PictureService], failed: Callable[[Exception], None]
    ) -> Thread:
        """Begin to load the model in a thread of its own, which is returned.

        Args:
            load: returns a service with the model.
            failed: is told why there is none.
        """

        def work() -> None:
            try:
                self._arrived.set_result(load())
            except Exception as error:  # noqa: BLE001 (whoever waits gets it)
                self._arrived.set_exception(error)
                failed(error)

        thread = Thread(target=work, name="loading", daemon=True)
        thread.start()
        return thread

    @property
    def is_ready(self) -> bool:
        """Whether the model is there."""
        return self._arrived.done() and self._arrived.exception() is None

    def stream(self, kind: str, request: Request) -> Iterator["Step | Result"]:
        """See `PictureService.stream`."""
        return self._arrived.result().stream(kind, request)

    def preview(self, kind: str, step: "Step") -> list[Image.Image]:
        """See `PictureService.preview`."""
        return self._arrived.result().preview(kind, step)

    def sharing(self, kind: str, request: Request) -> Hashable | None:
        """See `PictureService.sharing`."""
        return self._arrived.result().sharing(kind, request)

    def stream_together(self, kind: str, requests: Sequence[Request]) -> SharedStream:
        """See `PictureService.stream_together`."""
        return self._arrived.result().stream_together(kind, requests)
