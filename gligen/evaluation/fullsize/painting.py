"""From layouts to pictures: painted by the model, or the real ones that the layouts are of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from gligen.evaluation.fullsize.layouts import Asked, Selection, Series, crop_window
from gligen.evaluation.fullsize.options import CROP, Choice, Painting
from gligen.pictures.images import open_picture

REAL = "real"
OFF = "off"


def paint(
    pipeline: Any, batch: Sequence[Asked], series: Series, painting: Painting, real: "RealPictures"
) -> list[Image.Image]:
    """Return one picture for each layout, every one from its own seed, the id of its image.

    Args:
        pipeline: a `GligenPipeline` of the kind that `painting` names.
        batch: what is asked for.
        series: to which the batch belongs.
        painting: how.
        real: the pictures of the annotations, for inpainting and for the series "real".
    """
    if series.name == REAL:
        return [real.open(item, pipeline.image_size) for item in batch]
    common = {
        "num_inference_steps": painting.steps,
        "guidance_scale": painting.guidance_scale,
        "gligen_scheduled_sampling_beta": 0.0 if series.name == OFF else painting.tau,
        "sampler": painting.sampler,
    }
    if not painting.is_inpainting:
        return pipeline(
            [item.caption for item in batch],
            layout=[item.layout for item in batch],
            generator=[_noise(item) for item in batch],
            **common,
        ).images
    return [
        pipeline(
            item.caption,
            layout=item.layout,
            generator=_noise(item),
            gligen_inpaint_image=real.open(item, pipeline.image_size),
            **common,
        ).images[0]
        for item in batch
    ]


def _noise(item: Asked) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(item.id)


class RealPictures:
    """The pictures that the annotations are of, framed as the painted ones are.

    Raises:
        ValueError: they are needed and not found.
    """

    def __init__(self, choice: Choice, painting: Painting, selection: Selection):
        self._frame = choice.frame
        self._folder: Path | None = None
        if painting.is_inpainting or REAL in painting.modes:
            self._folder = _folder(choice, selection)

    def open(self, item: Asked, size: tuple[int, int]) -> Image.Image:
        """Return the picture of a layout, RGB, of that width and height.

        Raises:
            ValueError: it is missing or cannot be read.
        """
        assert self._folder is not None, "only runs that need pictures open them"
        return framed(open_picture(self._folder / item.file_name), self._frame, size)


def framed(picture: Image.Image, frame: str, size: tuple[int, int]) -> Image.Image:
    """Bring a real picture to the size of painted ones, its centre or the whole of it."""
    window = None
    if frame == CROP:
        x0, y0, x1, y1 = crop_window(picture.size)
        width, height = picture.size
        window = (x0 * width, y0 * height, x1 * width, y1 * height)
    return picture.resize(size, Image.Resampling.BICUBIC, box=window, reducing_gap=3.0)


def _folder(choice: Choice, selection: Selection) -> Path:
    """Return the folder of the pictures, after a look whether they are all there."""
    if choice.images is None:
        raise ValueError(
            "Inpainting and the mode real need the pictures of the annotations; name their folder "
            "with --images."
        )
    names = [item.file_name for series in selection.series for item in series.items]
    missing = [name for name in dict.fromkeys(names) if not (choice.images / name).is_file()]
    if missing:
        raise ValueError(
            f"Of the pictures in {str(choice.images)!r}, {len(missing)} are missing, the first is "
            f"{missing[0]!r}; check --images, or fetch them."
        )
    return choice.images
