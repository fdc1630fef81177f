"""PNG files that carry the settings they were made with, and reading those back.

The settings stand as JSON in a text chunk named "gligen"; a second chunk, "parameters", says the
same in the words that other tools show.
"""

import json
import os
from collections.abc import Mapping
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from gligen.pictures.images import MAX_PIXELS

SETTINGS_KEY = "gligen"
READABLE_KEY = "parameters"


def save_png(
    image: Image.Image, path_or_file: str | Path | BufferedIOBase, settings: Mapping[str, Any]
) -> None:
    """Write a picture as PNG with its settings inside.

    A file appears under its name whole or not at all.

    Args:
        image: any mode that PNG can hold.
        path_or_file: a path, or a binary file open for writing.
        settings: plain JSON values.

    Raises:
        TypeError: a setting is not a JSON value.
        ValueError: the folder does not exist or cannot be written to.
    """
    info = PngInfo()
    # iTXt holds any language; compression is off so that other tools can search the file.
    info.add_itxt(SETTINGS_KEY, json.dumps(settings, ensure_ascii=False, allow_nan=False))
    info.add_itxt(READABLE_KEY, readable(settings))
    buffer = BytesIO()
    image.save(buffer, "PNG", pnginfo=info)
    if not isinstance(path_or_file, (str, Path)):
        path_or_file.write(buffer.getvalue())
        return
    path = Path(path_or_file)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    except OSError as error:
        raise ValueError(
            f"The picture cannot be written to {str(path)!r} ({error.strerror or error}); choose a "
            "folder that exists and can be written to."
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def read_settings(path_or_file: str | Path | BufferedIOBase) -> dict[str, Any]:
    """Return the settings inside a PNG that `save_png` wrote.

    Raises:
        ValueError: there is no such file, it is not a PNG, or it carries no readable settings.
    """
    shown = repr(str(path_or_file)) if isinstance(path_or_file, (str, Path)) else "given"
    try:
        with Image.open(cast("IO[bytes]", path_or_file), formats=("PNG",)) as image:
            # Before anything is decoded: a small file may unfold to gigabytes.
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(
                    f"it has {image.width} x {image.height} pixels, and at most "
                    f"{MAX_PIXELS / 1e6:g} million are accepted"
                )
            image.load()
            texts = dict(image.info)
    except FileNotFoundError:
        raise ValueError(f"There is no file {shown}; check the path.") from None
    except (
        Image.DecompressionBombError,
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise ValueError(f"The file {shown} is not a readable PNG ({error}).") from None
    if SETTINGS_KEY not in texts:
        raise ValueError(
            f"The picture {shown} carries no settings; only PNG files saved by gligen do, and some "
            "programs and web sites remove them."
        )
    try:
        settings = json.loads(texts[SETTINGS_KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"The settings inside the picture {shown} are damaged: not valid JSON ({error})."
        ) from None
    if not isinstance(settings, dict):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The settings inside the picture {shown} are damaged: not a JSON object but "
            f"{type(settings).__name__}."
        )
    return settings


def readable(settings: Mapping[str, Any]) -> str:
    """Return the settings as text: the prompt, the negative prompt, then the rest on one line."""
    rest = {
        key: value
        for key, value in settings.items()
        if key not in ("prompt", "negative_prompt") and value not in (None, "", [], {})
    }
    lines = [str(settings.get("prompt", ""))]
    if settings.get("negative_prompt"):
        lines.append(f"Negative prompt: {settings['negative_prompt']}")
    lines.append(", ".join(f"{key}: {_shown(value)}" for key, value in rest.items()))
    return "\n".join(line for line in lines if line)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
