"""Writes finished pictures as files, with their settings, and says what the page shows of them."""

import io
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from demo.components.canvas import Drawing
from demo.components.results import Gallery, Picture
from demo.handlers import enlarge
from demo.texts.results import ENLARGED, NO_SUCH_RESULT, REDUCED, SEED
from gligen.pictures.metadata import save_png
from gligen.request import Result

# Pixels of the longer side; larger pictures are made smaller for the page, which shows them in a
# column or in a window. Only the page ever sees these.
MAX_SHOWN_SIDE = 1600


@contextmanager
def output_folder(kept: Path | None) -> Iterator[Path]:
    """Give the folder for a run's files: the kept one, or one that is removed afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="gligen-") as folder:
        yield Path(folder)


def new_stem() -> str:
    """Return the beginning of the file names of a run, which no other run has."""
    return f"gligen-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"


def write_gallery(
    result: Result, folder: Path, notes: list[str], numbers: tuple[int, ...]
) -> Gallery:
    """Save the pictures of a result in `folder` and return what the page shows.

    Args:
        result: the pictures.
        folder: where the files go.
        notes: sentences for the page.
        numbers: of the regions on the canvas.
    """
    captions = [SEED.format(seed=seed) for seed in result.seeds]
    before = result.request.inpaint_image
    # Nothing is said about a prompt that is not there: a hole may be filled without one.
    prompt = [f"Prompt used: {result.prompt}"] if result.prompt else ["Made without a prompt."]
    timing = f"Made with {result.model} in {result.seconds:.1f} s."
    return Gallery(
        tuple(write_pictures(result, captions, folder, new_stem())),
        result.request.layout,
        numbers,
        note=describe_size(result.images[0]),
        facts=(*prompt, *notes, timing),
        before=None if before is None else png(shown_form(before)),
    )


def write_pictures(
    result: Result, captions: Sequence[str], folder: Path, stem: str
) -> list[Picture]:
    """Save the pictures of a result, each with its settings, and return what the page shows.

    Args:
        result: the pictures.
        captions: one for each.
        folder: where the files go.
        stem: how their names begin; the seed follows.
    """
    pictures = []
    for index, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True)):
        file = folder / f"{stem}-seed{seed}.png"
        settings = result.settings(index)
        save_png(image, file, settings)
        form = shown_form(image)
        shown = None if form is image else png(form, settings)
        pictures.append(Picture(captions[index], image.size, file, shown))
    return pictures


def shown_form(image: Image.Image) -> Image.Image:
    """Return a picture as the page shows it: enlarged and smoothed, made smaller, or itself."""
    if max(image.size) <= MAX_SHOWN_SIDE:
        return enlarge(image)
    form = image.copy()
    form.thumbnail((MAX_SHOWN_SIDE, MAX_SHOWN_SIDE), Image.Resampling.LANCZOS)
    return form


def describe_size(image: Image.Image) -> str:
    """Say so if the page does not show a picture at its own size."""
    form = shown_form(image)
    if form is image:
        return ""
    sentence = ENLARGED if form.width > image.width else REDUCED
    return sentence.format(width=image.width, height=image.height)


def png(image: Image.Image, settings: Mapping[str, Any] | None = None) -> bytes:
    """Return a picture as PNG with settings in it."""
    buffer = io.BytesIO()
    save_png(image, buffer, settings or {})
    return buffer.getvalue()


def result_as_photo(files: Sequence[Path], index: Any) -> Drawing:
    """Return a drawing that starts from a finished picture, for another round of inpainting.

    The file itself is the photo, so that nothing outside the holes changes in any round.

    Args:
        files: of the finished pictures.
        index: which of them, from 0; comes from the page.

    Raises:
        ValueError: there is no such picture.
    """
    if type(index) is not int or not 0 <= index < len(files):
        raise ValueError(NO_SUCH_RESULT.format(index=index, count=len(files)))
    return Drawing(photo=files[index])
