"""A service without a model, for tests of the page: it paints each box in one colour."""

import time
from collections.abc import Iterator

import torch
from PIL import Image, ImageDraw

from demo.service import GENERATION, INPAINTING, ModelCard
from gligen.request import Request, Result
from gligen.sampling import Step

SIDE = 64


class FakeService:
    """Counts its steps and remembers whether its stream was closed before the end."""

    def __init__(self, kinds=(GENERATION, INPAINTING), step_seconds=0.0, fails_at=None):
        self.card = ModelCard("fake", "It is for tests.", "cpu", dict.fromkeys(kinds, (SIDE, SIDE)))
        self.step_seconds = step_seconds
        self.fails_at = fails_at
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
