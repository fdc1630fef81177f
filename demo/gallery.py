"""Writes finished pictures as files, with their settings, and says what the page shows of them."""

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.components.results import Gallery, Picture
from demo.handlers import enlarge
from gligen.pictures.metadata import save_png
from gligen.request import Result


@contextmanager
def output_folder(kept: Path | None) -> Iterator[Path]:
    """Give the folder for a run's files: the kept one, or one that is removed afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="gligen-") as folder:
        yield Path(folder)


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
    stem = f"gligen-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    pictures, note = [], ""
    for index, (image, seed) in enumerate(zip(result.images, result.seeds, strict=True)):
        file = shown = folder / f"{stem}-seed{seed}.png"
        save_png(image, file, result.settings(index))
        enlarged = enlarge(image)
        if enlarged is not image:
            shown = folder / f"{stem}-seed{seed}-shown.png"
            save_png(enlarged, shown, result.settings(index))
            note = (
                f"The model paints {image.width} x {image.height} pixels. It is shown enlarged to "
                f"{enlarged.width} x {enlarged.height}; the download has the original size."
            )
        pictures.append(Picture(file, shown, f"Seed {seed}"))
    # Nothing is said about a prompt that is not there: a hole may be filled without one.
    prompt = [f"Prompt used: {result.prompt}"] if result.prompt else ["Made without a prompt."]
    timing = f"Made with {result.model} in {result.seconds:.1f} s."
    return Gallery(tuple(pictures), result.request.layout, numbers, note, (*prompt, *notes, timing))
