"""Canny edges of a picture, for the kind of that name; without OpenCV, and equal to it."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gligen.pictures.images import flattened

# OpenCV's usual pair for 8-bit pictures, on the sum of both absolute Sobel derivatives.
LOW, HIGH = 100, 200

Pixels = NDArray[np.floating[Any]]

_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def canny_edges(
    picture: Image.Image, low: float = LOW, high: float = HIGH, sigma: float = 0.0
) -> Image.Image:
    """Return the edges of a picture as mode L of the same size: 255 on the edges, else 0.

    Lines are one pixel thin, so run it at the size at which the map is used (`gligen.pictures.maps`
    does); a megapixel takes less than a second.

    Args:
        picture: in colour, where the strongest channel counts at each pixel, or grey.
        low: an edge of at least this strength is kept if it hangs together with a stronger one.
        high: an edge above this strength is always kept. Strength goes up to 2040.
        sigma: pixels, Gaussian blur before; 0: none, as in OpenCV; about 1 calms a grainy photo.

    Raises:
        ValueError: not 0 <= low <= high, sigma is negative, or the picture is empty.
    """
    if not 0 <= low <= high < math.inf:
        raise ValueError(
            f"The thresholds are {low:g} and {high:g}; they must be 0 <= low <= high, for example "
            f"{LOW} and {HIGH}."
        )
    if not 0 <= sigma <= 50:
        raise ValueError(f"The blur is {sigma:g} pixels; give 0 (none) to 50.")
    pixels = np.asarray(flattened(picture), np.float32)
    if sigma > 0:
        pixels = gaussian_blur(pixels, sigma)
    across, down = _strongest_channel(*_sobel(pixels))
    strength = np.abs(across) + np.abs(down)
    ridges = _ridges(strength, across, down) & (strength > low)
    return Image.fromarray(_connected(ridges, strength > high).astype(np.uint8) * 255)


def gaussian_blur(pixels: Pixels, sigma: float) -> Pixels:
    """Blur an array [height, width, channels]; its border pixels go on outside."""
    radius = math.ceil(3 * sigma)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2)).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        margins = [(0, 0)] * pixels.ndim
        margins[axis] = (radius, radius)
        padded = np.pad(pixels, margins, mode="edge")
        length = pixels.shape[axis]
        pixels = np.zeros_like(pixels)
        for start, weight in enumerate(weights):
            pixels += weight * padded.take(range(start, start + length), axis)
    return pixels


def _sobel(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Return the derivatives to the right and downwards, of the same shape."""
    p = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    smooth_down = p[:-2] + 2 * p[1:-1] + p[2:]
    smooth_across = p[:, :-2] + 2 * p[:, 1:-1] + p[:, 2:]
    return smooth_down[:, 2:] - smooth_down[:, :-2], smooth_across[2:] - smooth_across[:-2]


def _strongest_channel(across: Pixels, down: Pixels) -> tuple[Pixels, Pixels]:
    """Return the derivatives [height, width] of the channel that changes most at each pixel."""
    channel = (np.abs(across) + np.abs(down)).argmax(-1)[..., None]
    return (
        np.take_along_axis(across, channel, -1)[..., 0],
        np.take_along_axis(down, channel, -1)[..., 0],
    )


def _ridges(strength: Pixels, across: Pixels, down: Pixels) -> NDArray[np.bool_]:
    """Tell where the strength is largest along its own direction, rounded to 45 degrees."""
    padded = np.pad(strength, 1)
    height, width = strength.shape

    def neighbour(dy: int, dx: int) -> Pixels:
        return padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    # On a plateau of two pixels the first one is the edge; diagonals want a true maximum.
    sideways = (strength > neighbour(0, -1)) & (strength >= neighbour(0, 1))
    upright = (strength > neighbour(-1, 0)) & (strength >= neighbour(1, 0))
    falling = (strength > neighbour(-1, -1)) & (strength > neighbour(1, 1))
    rising = (strength > neighbour(-1, 1)) & (strength > neighbour(1, -1))
    slope = math.tan(math.pi / 8)  # the border between two directions lies at 22.5 degrees
    is_sideways = np.abs(down) < slope * np.abs(across)
    is_upright = np.abs(across) < slope * np.abs(down)
    diagonal = np.where(across * down < 0, rising, falling)
    return np.where(is_sideways, sideways, np.where(is_upright, upright, diagonal))


def _connected(candidates: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the candidates that hang together, also over corners, with a strong one."""
    height, width = candidates.shape
    # A margin without candidates, so that neighbours need no bounds.
    open_pixels = np.pad(candidates, 1).ravel()
    kept = np.zeros_like(open_pixels)
    steps = np.array([dy * (width + 2) + dx for dy, dx in _NEIGHBOURS])
    front = np.flatnonzero(np.pad(candidates & strong, 1))
    while front.size:
        kept[front] = True
        around = (front[:, None] + steps).ravel()
        front = np.unique(around[open_pixels[around] & ~kept[around]])
    return kept.reshape(height + 2, width + 2)[1:-1, 1:-1]
