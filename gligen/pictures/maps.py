"""From a user's picture to the map that a map kind reads.

What a map must look like: hed and canny, white edges on black; depth, near is white and far black
(relative inverse depth, as MiDaS predicts it); normal, the directions x, y, z from -1 to 1 as red,
green, blue; semantic, a label for each pixel (`gligen.pictures.ade`). That hed edges are white is
how detectors give them; the authors' code does not say.

Shapes: C channels, H and W pixels of the map.
"""

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gligen.kinds import KINDS, MAP, kind_named
from gligen.pictures.ade import NUM_LABELS, labels_of_colours
from gligen.pictures.canny import HIGH, LOW, canny_edges
from gligen.pictures.images import flattened

MAX_SIDE = 1024  # pixels of a map; the released models look at 256
# One-hot labels are 152 numbers per pixel: 160 MB at this size.
MAX_SEMANTIC_SIDE = 512

# How far apart, of 255, the channels of a grey picture may be on average; JPEG leaves about 2.
_GREY_TOLERANCE = 16


def prepare_map(
    picture: Image.Image, kind: str, size: tuple[int, int]
) -> Float32[np.ndarray, "C H W"]:
    """Return the map as the tokenizer and the downsampler of a map kind read it.

    The whole map is laid over the whole picture, so it is squeezed to that size where it differs:
    bicubic and smoothed, labels by the nearest, as for the original's 512 x 512 pictures. Only then
    does the model resize it for itself, by the nearest pixel: done on a large map at once, that
    would tear thin lines apart.

    Args:
        picture: upright after its EXIF orientation; 16-bit grey is brought to 8 bits; transparent
            means nothing there (black).
        kind: name of a map kind.
        size: (width, height) in pixels of the picture that is made; `MAX_SIDE` or
            `MAX_SEMANTIC_SIDE` at most is used.

    Returns:
        Values in [-1, 1], three channels (equal ones except for normal); semantic: one-hot, 152
        channels of 0 and 1.

    Raises:
        ValueError: the kind reads no map, or the picture is empty or no map of that kind; the
            sentence says why and what to do.
    """
    _check_kind(kind)
    limit = MAX_SEMANTIC_SIDE if kind == "semantic" else MAX_SIDE
    size = min(size[0], limit), min(size[1], limit)
    if kind == "semantic":
        labels = _resized(Image.fromarray(read_labels(picture)), size, Image.Resampling.NEAREST)
        one_hot = np.zeros((NUM_LABELS, size[1], size[0]), np.float32)
        np.put_along_axis(one_hot, np.array(labels, np.int64)[None], 1, axis=0)
        return one_hot
    rgb = flattened(picture, f"The {kind} map", background="black")
    if kind == "normal":
        _check_normals(rgb)
    else:
        rgb = _grey(rgb, kind).convert("RGB")
    pixels = np.array(_resized(rgb, size, Image.Resampling.BICUBIC), np.float32)
    return (pixels.transpose(2, 0, 1) / 255 - 0.5) / 0.5


def canny_map(
    photo: Image.Image, size: tuple[int, int], low: float = LOW, high: float = HIGH
) -> Image.Image:
    """Return the Canny edges of a photo at (width, height) of the picture that is made.

    The photo is resized before, not the edges after: lines stay one pixel thin and fully white.
    """
    size = min(size[0], MAX_SIDE), min(size[1], MAX_SIDE)
    rgb = flattened(photo, "The photo")
    return canny_edges(_resized(rgb, size, Image.Resampling.BICUBIC), low, high)


def read_labels(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the labels [height, width], 0 to 151, of a semantic map.

    Label pictures are grey, or have a palette, and their pixel values are the labels. Pictures in
    the usual colours of ADE20K's classes are understood, whatever the order of their palette.

    Raises:
        ValueError: the picture is empty, partly transparent, in other colours, or has a label
            above 151.
    """
    if 0 in picture.size:
        raise ValueError(f"The semantic map is empty ({picture.width} x {picture.height} pixels).")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("L", "I") or picture.mode.startswith("I;16"):
        return _checked_labels(np.asarray(picture))
    if picture.mode == "F":
        raise ValueError(
            "The semantic map has fractions (mode F) and labels are whole; save it with 8 bits."
        )
    rgba = np.asarray(picture.convert("RGBA"))
    if (rgba[..., 3] < 255).any():
        raise ValueError(
            "The semantic map is partly transparent, so it is unclear which label is there; save "
            "it without transparency."
        )
    labels = labels_of_colours(Image.fromarray(rgba[..., :3]))
    if labels is not None:
        return labels
    if picture.mode == "P":
        return _checked_labels(np.asarray(picture))
    if (rgba[..., :3] == rgba[..., :1]).all():  # labels that were saved, or opened, as RGB
        return _checked_labels(rgba[..., 0])
    raise ValueError(_strange_colour(rgba[..., :3]))


def _check_kind(kind: str) -> None:
    if kind_named(kind).modality != MAP:
        names = ", ".join(name for name in KINDS if kind_named(name).modality == MAP)
        raise ValueError(f"The kind {kind} does not read a map; those that do are {names}.")


def _resized(
    picture: Image.Image, size: tuple[int, int], resampling: Image.Resampling
) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, resampling)


def _grey(rgb: Image.Image, kind: str) -> Image.Image:
    """Return a map of one channel as mode L, or refuse what cannot be one."""
    pixels = np.asarray(rgb)
    spread = float((pixels.max(-1) - pixels.min(-1)).mean())
    if spread > _GREY_TOLERANCE:
        way_out = {
            "canny": "derive the edges from a photo (gligen.pictures.maps.canny_map)",
            "depth": "save the depth in grey, without a colour scale",
            "hed": "give the edges that a HED detector found in it",
        }[kind]
        raise ValueError(
            f"The {kind} map is a coloured picture (its channels differ by {spread:.0f} of 255 on "
            f"average); it must be grey: {way_out}."
        )
    grey = rgb.convert("L")
    brightness = float(np.asarray(grey).mean())
    if kind == "canny" and brightness > 127.5:
        raise ValueError(
            f"The canny map is mostly white (mean {brightness:.0f} of 255); its edges must be "
            "white on black. Invert it."
        )
    return grey


def _check_normals(rgb: Image.Image) -> None:
    pixels = np.asarray(rgb)
    if (pixels == pixels[..., :1]).all():
        raise ValueError(
            "The normal map has no colours; it must hold directions as red (x), green (y) and blue "
            "(z). A depth map goes to the kind depth."
        )


def _checked_labels(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= NUM_LABELS:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(
            f"The semantic map has the label {wrong}; labels go from 0 to {NUM_LABELS - 1}: 0 is "
            "unlabelled, 1 wall, 2 building and so on (gligen.pictures.ade.NAMES). Write 0 where "
            "the label is unknown."
        )
    return values.astype(np.uint8)


def _strange_colour(pixels: NDArray[np.uint8]) -> str:
    """Return the sentence about a coloured picture, with the place of its first strange colour."""
    strange = next(
        (red, green, blue)
        for red, green, blue in np.unique(pixels.reshape(-1, 3), axis=0).tolist()
        if labels_of_colours(Image.new("RGB", (1, 1), (red, green, blue))) is None
    )
    y, x = np.argwhere((pixels == strange).all(-1))[0].tolist()
    return (
        f"The semantic map is a colour picture, and its colour {strange} at pixel ({x}, {y}) is "
        "none of ADE20K's classes. Give the labels themselves (mode L or P, 0 to "
        f"{NUM_LABELS - 1}), or the exact colours of gligen.pictures.ade.COLOURS, saved without "
        "loss (PNG)."
    )
