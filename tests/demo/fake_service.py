"""A service without a model, for tests of the page: it paints each box in one colour."""

import time
from collections.abc import Hashable, Iterator, Sequence

import torch
from PIL import Image, ImageDraw

from demo.service import GENERATION, INPAINTING, ModelCard
from gligen.batching import Event, Failed
from gligen.request import Request, Result
from gligen.sampling import Step

SIDE = 64


class FakeService:
    """Counts its steps and remembers whether its stream was closed before the end."""

    is_ready = True

    def __init__(
        self, kinds=(GENERATION, INPAINTING), step_seconds=0.0, fails_at=None, shares=False
    ):
        self.card = ModelCard("fake", "It is for tests.", "cpu", dict.fromkeys(kinds, (SIDE, SIDE)))
        self.step_seconds = step_seconds
        self.fails_at = fails_at
        self.shares = shares  # whether requests of the same number of steps are painted together
        self.batches: list[list[Request]] = []
        self.requests: list[tuple[str, Request]] = []
        self.steps_done = 0
        self.was_closed_early = False

    def stream(self, kind: str, request: Request) -> Iterator[Step | Result]:
        """Yield steps without content, then pictures of the boxes."""
        self.requests.append((kind, request))
        self.steps_done = 0
        try:
            for index in range(1, request.num_steps + 1):
                time.sleep(self.step_seconds)
                if index == self.fails_at:
                    raise RuntimeError("the device is on fire")
                self.steps_done = index
                nothing = torch.zeros(request.num_images, 4, 8, 8)
                yield Step(index, request.num_steps, 0, 1.0, nothing, nothing)
        except GeneratorExit:
            self.was_closed_early = True
            raise
        first = 1234 if request.seed is None else request.seed
        yield Result(
            images=[self._paint(request) for _ in range(request.num_images)],
            seeds=[first + i for i in range(request.num_images)],
            prompt=request.full_prompt,
            request=request,
            model="fake",
            seconds=0.5,
            kind=kind,
        )

    def preview(self, kind: str, step: Step) -> list[Image.Image]:
        """Return grey pictures that grow lighter."""
        level = round(255 * step.index / step.num_steps)
        return [Image.new("RGB", (SIDE, SIDE), (level, level, level)) for _ in step.predicted]

    def sharing(self, kind: str, request: Request) -> Hashable | None:
        """Return the number of steps where requests are painted together at all."""
        return request.num_inference_steps if self.shares else None

    def stream_together(self, kind: str, requests: Sequence[Request]) -> "FakeTogether":
        """Paint several requests in lockstep; a prompt "fail" fails."""
        self.batches.append(list(requests))
        return FakeTogether(self, kind, requests)

    def _paint(self, request: Request) -> Image.Image:
        image = request.inpaint_image
        image = Image.new("RGB", (SIDE, SIDE), "white") if image is None else image.copy()
        draw = ImageDraw.Draw(image)
        for x0, y0, x1, y1 in request.layout.boxes:
            corners = (
                x0 * image.width,
                y0 * image.height,
                x1 * image.width - 1,
                y1 * image.height - 1,
            )
            draw.rectangle(corners, fill="teal")
        return image


class FakeTogether:
    """Goes on with all streams by turns, and notices who is painted though nobody wants it."""

    def __init__(self, service: FakeService, kind: str, requests: Sequence[Request]):
        self.left: set[int] = set()
        self.is_closed = False
        self._requests = requests
        self._streams = dict(enumerate(service.stream(kind, r) for r in requests))
        self._events = self._run()

    def __next__(self) -> Event:
        while True:
            number, event = next(self._events)
            if number not in self.left:
                return number, event

    def leave(self, number: int) -> None:
        self.left.add(number)

    def close(self) -> None:
        self.is_closed = True
        for stream in self._streams.values():
            stream.close()
        self._events.close()

    def _run(self) -> Iterator[Event]:
        while self._streams:
            for number, stream in list(self._streams.items()):
                if self._requests[number].prompt == "fail":
                    yield number, Failed(ValueError("This cannot be painted."))
                    del self._streams[number]
                    continue
                event = next(stream)
                if isinstance(event, Result):
                    del self._streams[number]
                yield number, event
