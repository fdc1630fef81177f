"""Stand-ins for pipelines that know what a perfect picture is, for the tests of the evaluation."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from gligen.evaluation.layouts import HeldOut, mirrored_item
from gligen.evaluation.series import draw_item
from gligen.inpainting import hole_from_boxes


class Painter:
    """Paints the scene behind a layout; without grounding, another scene.

    Args:
        items: what may be asked for; told apart by their layouts.
        parts: a pipeline whose autoencoder, UNet and text encoder are to be had.
        fail_after: pictures after which it is interrupted.
        mirrors: paint everything mirrored.
    """

    def __init__(self, items=(), parts=None, fail_after=None, mirrors=False):
        self.items = list(items)
        self.parts, self.fail_after, self.mirrors = parts, fail_after, mirrors
        self.unet = parts.unet if parts else torch.nn.Conv2d(1, 1, 1)
        if parts is None:
            torch.nn.init.constant_(self.unet.weight, 0.5)
            torch.nn.init.zeros_(self.unet.bias)
            self.unet.device = torch.device("cpu")
        self.calls = []

    def __getattr__(self, name):
        if name == "parts" or self.parts is None:
            raise AttributeError(name)
        return getattr(self.parts, name)

    def __call__(self, prompt, *, layout, generator, gligen_inpaint_image=None, **options):
        prompts, layouts, generators = (
            value if isinstance(value, list) else [value] for value in (prompt, layout, generator)
        )
        images = []
        for caption, given, source in zip(prompts, layouts, generators, strict=True):
            if self.fail_after is not None and len(self.calls) == self.fail_after:
                raise KeyboardInterrupt
            self.calls.append(options | {"caption": caption, "seed": source.initial_seed()})
            item = self._item(given)
            if options.get("gligen_scheduled_sampling_beta") == 0:
                item = mirrored_item(replace(item, scene=replace(item.scene, persons=())))
            images.append(self._paint(item, gligen_inpaint_image))
        return SimpleNamespace(images=images)

    def _item(self, layout) -> HeldOut:
        return next(item for item in self.items if item.layout is layout or item.layout == layout)

    def _paint(self, item: HeldOut, before: Image.Image | None) -> Image.Image:
        if self.mirrors:
            item = mirrored_item(item)
        if before is None:
            return Image.fromarray(draw_item(item))
        painted = Image.fromarray(draw_item(item, before.width))
        return Image.composite(painted, before, hole_from_boxes(item.boxes[-1:], before.size))


class Blank(Painter):
    """Paints nothing but grey."""

    def _paint(self, item, before):
        size = (64, 64) if before is None else before.size
        return Image.fromarray(np.full((*size, 3), 128, np.uint8))
