"""Pictures in and out: reading untrusted files, and drawing layouts and contact sheets for people.

What goes into a PNG beside the pixels lives in `gligen.pictures.metadata`.
"""

import io
import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from gligen.layout import Box, Layout
from gligen.pictures.skeletons import draw_persons

MAX_PIXELS = 40_000_000

# Formats whose readers are part of Pillow; EPS, for one, would start an external interpreter.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

BinaryFile = io.BytesIO | io.BufferedReader
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Colours of the regions in order, starting again after the last; distinct on light and dark.
REGION_COLOURS = (
    (230, 57, 70),
    (29, 120, 214),
    (34, 139, 75),
    (240, 140, 0),
    (142, 68, 173),
    (0, 150, 160),
    (214, 51, 132),
    (120, 90, 40),
)

# What Pillow's readers raise on damaged data, besides its own errors.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error)


class PictureError(ValueError):
    """A picture that was read but cannot be used; the message is meant for its owner."""


def open_picture(
    source: str | os.PathLike[str] | BinaryFile, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read a picture file as RGB, upright, on white where it was transparent.

    The size is checked on the header, before anything is decoded. Of an animation the first frame
    is read.

    Args:
        source: a path, or a binary file positioned at the picture's start.
        max_pixels: the most pixels (width x height) that are accepted.

    Raises:
        ValueError: the file is missing, no picture, damaged or too large; one sentence says which,
            and what to do.
    """
    return flattened(_read(source, max_pixels), _name(source))


def open_map(
    source: str | os.PathLike[str] | BinaryFile, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read a picture file upright, its pixels as they are stored: indices stay indices.

    For maps (`gligen.pictures.maps`), where a palette or 16 bits must not become a colour.

    Raises:
        ValueError: as `open_picture`.
    """
    return _read(source, max_pixels)


def _read(source: str | os.PathLike[str] | BinaryFile, max_pixels: int) -> Image.Image:
    name = _name(source)
    try:
        with Image.open(source, formats=FORMATS) as picture:
            _check_size(picture.size, max_pixels, name)
            picture.load()
            return ImageOps.exif_transpose(picture)
    except FileNotFoundError:
        raise ValueError(f"There is no file {name}; check the path.") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ValueError(
            f"{name} cannot be read ({error.strerror}); give the path of a picture file."
        ) from None
    except UnidentifiedImageError:
        raise ValueError(
            f"{name} is not a picture that can be read; save it as one of {', '.join(FORMATS)}."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(
            f"{name} is far larger than the {max_pixels:,} pixels that are accepted; "
            "make it smaller first."
        ) from None
    except PictureError:
        raise
    except _DAMAGE as error:
        raise ValueError(
            f"{name} is damaged or incomplete ({error}); save or upload the picture again."
        ) from None


def _name(source: str | os.PathLike[str] | BinaryFile) -> str:
    if isinstance(source, str | os.PathLike):
        return f"'{os.fspath(source)}'"
    name = getattr(source, "name", None)
    return f"'{Path(name).name}'" if isinstance(name, str) else "The uploaded file"


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height <= max_pixels:
        return
    scale = math.sqrt(max_pixels / (width * height))
    raise PictureError(
        f"{name} is {width} x {height} pixels ({width * height / 1e6:.0f} megapixels) and at most "
        f"{max_pixels / 1e6:g} are accepted; make it {math.floor(width * scale)} x "
        f"{math.floor(height * scale)} or smaller."
    )


def flattened(
    picture: Image.Image, name: str = "The picture", background: str = "white"
) -> Image.Image:
    """Return any picture as RGB, upright, on `background` where it is transparent.

    Args:
        picture: is not changed.
        name: how a sentence about it begins.
        background: what shows through transparency.

    Raises:
        ValueError: it has no pixels, or 32-bit ones, whose range is unknown.
    """
    if 0 in picture.size:
        raise PictureError(f"{name} is empty ({picture.width} x {picture.height} pixels).")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):
        # Pillow would clip 16-bit grey at 255 instead of scaling it.
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise PictureError(
            f"{name} has 32-bit pixels of unknown range (mode {picture.mode}); save it with 8 bits "
            "a channel."
        )
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, background)
    return Image.alpha_composite(ground, rgba).convert("RGB")


def draw_layout(image: Image.Image, layout: Layout) -> Image.Image:
    """Return a copy of `image` with everything that has a place in the layout drawn over it.

    Reference pictures stand small in the lower right corner of their boxes, below the persons;
    boxes and phrases are as in `draw_boxes`. The map and the style picture are not drawn.
    """
    overlay = image.convert("RGB")
    for region in layout:
        if region.image is not None:
            _paste_thumbnail(overlay, region.image, region.box)
    return draw_boxes(draw_persons(overlay, layout.persons), layout)


def _paste_thumbnail(overlay: Image.Image, picture: Image.Image, box: Box) -> None:
    """Paste the whole picture into the box's lower right corner, a third of its sides at most."""
    right, bottom = round(box[2] * overlay.width), round(box[3] * overlay.height)
    width, height = right - box[0] * overlay.width, bottom - box[1] * overlay.height
    side = max(1, round(width / 3)), max(1, round(height / 3))
    thumbnail = ImageOps.contain(flattened(picture, "The reference picture"), side)
    overlay.paste(thumbnail, (right - thumbnail.width, bottom - thumbnail.height))


def draw_boxes(image: Image.Image, layout: Layout) -> Image.Image:
    """Return a copy of `image` with every region's box, number and phrase drawn over it.

    Lines and letters grow with the picture; enlarge one of fewer than about 200 pixels first.
    """
    overlay = image.convert("RGB")
    draw = ImageDraw.Draw(overlay)
    width, height = overlay.size
    line = max(1, round(min(width, height) / 160))
    font = ImageFont.load_default(max(10, min(width, height) / 24))
    corners = []
    for index, (x0, y0, x1, y1) in enumerate(layout.boxes):
        colour = REGION_COLOURS[index % len(REGION_COLOURS)]
        left, top = round(x0 * width), round(y0 * height)
        # PIL draws the last pixel too; a box of no width on screen still shows as a line.
        right = max(left, round(x1 * width) - 1)
        bottom = max(top, round(y1 * height) - 1)
        draw.rectangle((left, top, right, bottom), outline=colour, width=line)
        corners.append((left, top))
    # Labels last, so that no later box runs through an earlier phrase.
    for index, (region, corner) in enumerate(zip(layout, corners, strict=True)):
        colour = REGION_COLOURS[index % len(REGION_COLOURS)]
        _draw_label(draw, f"{index + 1} {region.phrase}".strip(), corner, colour, font)
    return overlay


def _draw_label(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    font: Font,
) -> None:
    """Write white text on a coloured bar whose corner is at `corner`, moved to stay inside."""
    x0, y0, x1, y1 = draw.textbbox((0, 0), text, font=font)
    pad = max(1, round((y1 - y0) / 4))
    bar_width, bar_height = math.ceil(x1 - x0) + 2 * pad, math.ceil(y1 - y0) + 2 * pad
    width, height = draw.im.size
    left = max(0, min(corner[0], width - bar_width))
    top = max(0, min(corner[1], height - bar_height))
    draw.rectangle((left, top, left + bar_width - 1, top + bar_height - 1), fill=colour)
    draw.text((left + pad - x0, top + pad - y0), text, fill="white", font=font)


def contact_sheet(
    images: Sequence[Image.Image],
    columns: int,
    captions: Sequence[str] | None = None,
    gap: int = 8,
) -> Image.Image:
    """Arrange pictures in rows of `columns`, each with its caption (if given) below it.

    Args:
        images: at least one; the cells are as large as the largest.
        columns: pictures in a row.
        captions: one line for each picture, cut where the cell ends.
        gap: pixels between the cells and around them.

    Raises:
        ValueError: there are no pictures, `columns` is below 1, or a caption is missing.
    """
    if not images:
        raise ValueError("A contact sheet needs at least one picture.")
    if columns < 1:
        raise ValueError(f"A contact sheet cannot have {columns} columns; give 1 or more.")
    if captions is not None and len(captions) != len(images):
        raise ValueError(
            f"There are {len(images)} pictures and {len(captions)} captions; give one for each."
        )
    cell_width = max(image.width for image in images)
    cell_height = max(image.height for image in images)
    font_size = max(10, cell_width / 18)
    font = ImageFont.load_default(font_size)
    text_height = 0 if captions is None else math.ceil(font_size * 1.5)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    step_x, step_y = cell_width + gap, cell_height + text_height + gap
    sheet = Image.new("RGB", (gap + columns * step_x, gap + rows * step_y), "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        corner = (gap + column * step_x, gap + row * step_y)
        sheet.paste(image, corner)
        if captions is not None:
            text = _shortened(captions[index], cell_width, draw, font)
            draw.text((corner[0], corner[1] + cell_height), text, fill="black", font=font)
    return sheet


def _shortened(text: str, width: int, draw: ImageDraw.ImageDraw, font: Font) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "...", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "..."
