"""Reading the pictures that a canvas or a call brings along: reference pictures and styles."""

import base64
import binascii
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from gligen.pictures.images import open_picture

MAX_REFERENCE_SIDE = 1024  # pixels; the model looks at 224, and thirty pictures have to be held
MAX_ADDRESS_CHARACTERS = 27_000_000  # of a data address: 20 MB in base64

_ORIENTATION = 0x0112  # EXIF

# What Gradio marks the files with that it has checked to lie among the uploads.
_FILE_MARK = {"_type": "gradio.FileData"}


def read_reference(value: Any, owner: str) -> Image.Image | None:
    """Return a reference picture as RGB, at most `MAX_REFERENCE_SIDE` pixels a side.

    Args:
        value: an uploaded file as Gradio describes it, a data address, or None.
        owner: what the picture belongs to, for the sentence that refuses it.

    Raises:
        ValueError: it cannot be read as a picture.
        TypeError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, Mapping) and value.get("meta") == _FILE_MARK:
        source = value["path"]
    elif isinstance(value, str) and value.startswith("data:image/"):
        source = _decoded(value, owner)
    else:
        raise TypeError(
            f"The picture of {owner} must be an uploaded file or a data address such as "
            '"data:image/png;base64,...".'
        )
    return open_reference(source, owner)


def open_reference(source: str | Path | io.BytesIO, owner: str) -> Image.Image:
    """Read a reference picture from a file; see `read_reference`."""
    try:
        picture = open_picture(source)
    except ValueError as error:
        raise ValueError(f"The picture of {owner} cannot be used: {error}") from None
    picture.thumbnail((MAX_REFERENCE_SIDE, MAX_REFERENCE_SIDE), Image.Resampling.LANCZOS)
    return picture


def upright_size(path: Path) -> tuple[int, int]:
    """Return width and height of a picture file as it is shown, without decoding it.

    Raises:
        ValueError: it cannot be read as a picture.
    """
    try:
        with Image.open(path) as picture:
            is_on_its_side = picture.getexif().get(_ORIENTATION, 1) >= 5
            return picture.size[::-1] if is_on_its_side else picture.size
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"The photo cannot be read ({error}); choose it again.") from None


def _decoded(address: str, owner: str) -> io.BytesIO:
    if len(address) > MAX_ADDRESS_CHARACTERS:
        raise ValueError(
            f"The picture of {owner} has {len(address)} characters; the limit is "
            f"{MAX_ADDRESS_CHARACTERS}. Make it smaller."
        )
    _, _, content = address.partition(";base64,")
    try:
        return io.BytesIO(base64.b64decode(content, validate=True))
    except binascii.Error as error:
        raise ValueError(f"The picture of {owner} is not in base64 ({error}).") from None
