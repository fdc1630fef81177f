"""Series of pictures: one for each held-out layout, made one way, and looked at one way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from gligen.evaluation.layouts import HeldOut
from gligen.evaluation.options import WorldOptions
from gligen.evaluation.subject import fingerprint
from gligen.world import IMAGE_SIZE, draw_scene

Picture = np.ndarray  # uint8 (H, W, 3)
Painter = Callable[[Sequence[HeldOut]], list[Picture]]
Record = dict[str, Any]  # what was seen in a picture, plain JSON values
Examiner = Callable[[HeldOut, Picture], Record]


@dataclass(frozen=True)
class Series:
    """Pictures of several layouts, and what is to be seen in each."""

    name: str  # of its folder; series of one name are one series
    items: tuple[HeldOut, ...]
    paint: Painter  # a batch of pictures
    examine: Examiner  # one picture
    identity: dict[str, Any]  # what the pictures depend on; plain JSON values


def generated(
    name: str,
    items: Sequence[HeldOut],
    pipeline: Any,
    options: WorldOptions,
    examine: Examiner,
    tau: float | None = None,
) -> Series:
    """Return the series that `pipeline` paints; `tau` goes before that of the options."""
    arguments = options.call_arguments(tau)

    def paint(batch: Sequence[HeldOut]) -> list[Picture]:
        generators = [torch.Generator("cpu").manual_seed(item.seed) for item in batch]
        images = pipeline(
            [item.caption for item in batch],
            layout=[item.layout for item in batch],
            generator=generators,
            **arguments,
        ).images
        return [_at_world_size(image) for image in images]

    identity = {"weights": fingerprint(pipeline.unet), **arguments}
    return Series(name, tuple(items), paint, examine, identity)


def repainted(
    name: str,
    items: Sequence[HeldOut],
    pipeline: Any,
    options: WorldOptions,
    examine: Examiner,
    zoom: float,
) -> Series:
    """Return the series in which `pipeline` repaints the boxes of each item's own picture.

    A small hole is painted up to `zoom` times finer than its picture.
    """
    arguments = {**options.call_arguments(None), "hole_zoom": zoom}

    def paint(batch: Sequence[HeldOut]) -> list[Picture]:
        # A call has one hole, so the pictures are made one by one.
        return [np.asarray(_repaint(pipeline, item, arguments)) for item in batch]

    identity = {"weights": fingerprint(pipeline.unet), **arguments}
    return Series(name, tuple(items), paint, examine, identity)


def drawn(name: str, items: Sequence[HeldOut], examine: Examiner, size: int = IMAGE_SIZE) -> Series:
    """Return the series of the scenes themselves: what a perfect model would paint."""

    def paint(batch: Sequence[HeldOut]) -> list[Picture]:
        return [draw_item(item, size) for item in batch]

    return Series(name, tuple(items), paint, examine, {"drawn": size})


def draw_item(item: HeldOut, size: int = IMAGE_SIZE) -> Picture:
    """Draw the scene of a held-out layout, the same each time: uint8 (size, size, 3)."""
    return draw_scene(item.scene, np.random.default_rng([item.seed, 1]), size)


def _repaint(pipeline: Any, item: HeldOut, arguments: dict[str, Any]) -> Image.Image:
    return pipeline(
        item.caption,
        layout=item.layout,
        gligen_inpaint_image=item.picture,
        generator=torch.Generator("cpu").manual_seed(item.seed),
        **arguments,
    ).images[0]


def _at_world_size(image: Image.Image) -> Picture:
    """Return a picture at the world's own size, which the detectors know."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BOX))
