"""Finding pictures on disk, and their sizes from the first bytes alone."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import ExifTags, Image, UnidentifiedImageError

from gligen.pictures.images import FORMATS, MAX_PIXELS

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_TOO_LARGE = f"{{}} has more than the {MAX_PIXELS:,} pixels that are accepted; make it smaller."
_NUM_TRIED = 20  # names that are looked for in a folder before the next one is tried


def find_folder(candidates: Sequence[Path], names: Sequence[str]) -> Path:
    """Return the first folder that holds one of the first pictures.

    Raises:
        ValueError: none does; the sentence lists where it was looked.
    """
    for folder in candidates:
        if any((folder / name).is_file() for name in names[:_NUM_TRIED]):
            return folder
    looked = ", ".join(f"'{folder}'" for folder in candidates)
    raise ValueError(
        f"The pictures were not found: {names[0]!r} and the next ones are in none of {looked}. "
        "Say where they are (images=FOLDER, on the command line --images FOLDER)."
    )


def size_of(source: Path | bytes) -> tuple[int, int]:
    """Return (width, height) of a picture when upright; its pixels are not decoded.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture of a format that is read, or larger than is read.
    """
    name = "The picture" if isinstance(source, bytes) else f"'{source}'"
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=FORMATS) as picture:
            width, height = picture.size
            orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except FileNotFoundError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise ValueError(f"{name} is not a picture; save it as one of {formats}.") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{name} cannot be read ({error}); save the picture again.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(_TOO_LARGE.format(name)) from None
    if width * height > MAX_PIXELS:
        raise ValueError(_TOO_LARGE.format(name))
    return (height, width) if orientation in _SIDEWAYS else (width, height)
