"""Find the sprites of the synthetic world in a picture, by closed-form fits at every place.

For each size and place the picture's window is explained as the sprite over a flat background:

    I_c  ~  g A S_c + (1 - A) b_c        for the colour channels c

with the sprite's colour S and alpha A, a common brightness g and a background colour b. Pixels near
the sprite's outline and inside it count (weights W); the rest of the window does not. The score is
the share of the window's weighted variance that the fit explains (R2). All sums over all places are
correlations, computed together with one Fourier transform of the picture for each channel.

Shapes: T templates (sizes x aspects) of one sprite, H rows, W columns of the padded picture.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from gligen.layout import Box
from gligen.world import ALL_SPRITE_NAMES, IMAGE_SIZE, load_sprite, resized_sprite

# An object is taken as found from this share of explained variance on. On 1,000 drawn scenes the
# scores of objects that are there begin at 0.52 (1st percentile); after a blur of one pixel (what a
# model paints is softer than a drawing) at 0.29 (5th). Those of absent names end at 0.26 (95th).
THRESHOLD = 0.25

MATCH_IOU = 0.5  # an object counts as in its box from this overlap on

# Longer sides that are tried, pixels: those of the world's objects (19-48) and a little beyond.
SIDES = tuple(round(17 * 1.11**step) for step in range(11))
ASPECT_JITTERS = (math.exp(-0.17), 1.0, math.exp(0.17))  # times the sprite's own aspect

RIM = 1  # pixels around the sprite that count as its background; more of them blur the names apart
GAIN_RANGE = (0.85, 1.15)  # of the brightness g
# Variance of a channel in [0, 1] that is taken as noise, so that an even area explains nothing.
NOISE = 0.02**2

_PADDED = IMAGE_SIZE + 2 * RIM  # the picture continued at its edges


@dataclass(frozen=True)
class Detection:
    """Where an object was found."""

    name: str  # one of ALL_SPRITE_NAMES
    box: Box  # xyxy in [0, 1]
    score: float  # explained variance, at most 1


@dataclass(frozen=True)
class _Templates:
    """The correlation kernels of one sprite, in the frequency domain, and their constants."""

    sizes: tuple[tuple[int, int], ...]  # width, height of the sprite, pixels
    colour: Tensor  # T 3 F F: W A S_c
    background: Tensor  # T 1 F F: W (1 - A)
    weight: Tensor  # T 1 F F: W
    colour_energy: Tensor  # T: sum of W (A S_c)^2
    colour_background: Tensor  # T 3: sum of W A S_c (1 - A)
    background_energy: Tensor  # T: sum of W (1 - A)^2
    weight_sum: Tensor  # T: sum of W
    valid: Tensor  # T H W: whether the window fits there


@dataclass(frozen=True)
class Look:
    """What a picture shows of several sprites, found in one go."""

    best: tuple[Detection, ...]  # the best place for each name, however bad
    in_boxes: tuple[tuple[float, ...], ...]  # for each box the best score there, by name


def detect(picture: UInt8[np.ndarray, "64 64 3"], name: str) -> Detection | None:
    """Return the best place for the sprite `name`, or None if none explains `THRESHOLD`.

    Raises:
        ValueError: the picture is not uint8 (64, 64, 3), or there is no such sprite.
    """
    found = best_fit(picture, name)
    return found if found.score >= THRESHOLD else None


def detect_all(
    picture: UInt8[np.ndarray, "64 64 3"], names: Sequence[str] = ALL_SPRITE_NAMES
) -> list[Detection]:
    """Return the found sprites of every name, best score first; one place for each name."""
    found = look(picture, names).best
    return sorted((d for d in found if d.score >= THRESHOLD), key=lambda d: -d.score)


def best_fit(picture: UInt8[np.ndarray, "64 64 3"], name: str) -> Detection:
    """Return the best place for the sprite `name`, however bad the fit is.

    Raises:
        ValueError: as `detect`.
    """
    return look(picture, (name,)).best[0]


def look(
    picture: UInt8[np.ndarray, "64 64 3"], names: Sequence[str], boxes: Sequence[Box] = ()
) -> Look:
    """Look for each of `names`: anywhere, and in each of `boxes`.

    In a box means at places that overlap it by `MATCH_IOU` or more.

    Args:
        picture: what to look at.
        names: sprites to look for.
        boxes: xyxy in [0, 1] of the picture.

    Raises:
        ValueError: as `detect`.
    """
    if picture.shape != (IMAGE_SIZE, IMAGE_SIZE, 3) or picture.dtype != np.uint8:
        raise ValueError(
            f"The picture has shape {picture.shape} and type {picture.dtype}; the detector reads "
            f"uint8 pictures of shape ({IMAGE_SIZE}, {IMAGE_SIZE}, 3)."
        )
    spectra = _spectra(picture)
    best, in_boxes = [], []
    for name in names:
        templates = _templates(name)
        scores = explained_variance(spectra, templates)  # T H W
        best.append(_best_place(name, templates, scores))
        in_boxes.append([_best_in(box, templates, scores) for box in boxes])
    return Look(tuple(best), tuple(tuple(scores) for scores in zip(*in_boxes, strict=True)))


def _best_place(name: str, templates: _Templates, scores: Tensor) -> Detection:
    index = int(scores.argmax())
    template, place = divmod(index, _PADDED * _PADDED)
    y, x = divmod(place, _PADDED)
    width, height = templates.sizes[template]
    # In the padded picture the window begins RIM before the sprite, as the padding does.
    box = (x / IMAGE_SIZE, y / IMAGE_SIZE, (x + width) / IMAGE_SIZE, (y + height) / IMAGE_SIZE)
    return Detection(name, box, float(scores.flatten()[index]))


def _best_in(box: Box, templates: _Templates, scores: Tensor) -> float:
    """Return the best score among the places that overlap `box` enough; -1 if none does."""
    x0, y0, x1, y1 = (value * IMAGE_SIZE for value in box)
    area = (x1 - x0) * (y1 - y0)
    best = -1.0
    for index, (width, height) in enumerate(templates.sizes):
        if not MATCH_IOU <= width * height / area <= 1 / MATCH_IOU:
            continue
        across = _shared(IMAGE_SIZE - width + 1, width, x0, x1)
        down = _shared(IMAGE_SIZE - height + 1, height, y0, y1)
        shared = down[:, None] * across
        is_near = shared >= MATCH_IOU * (width * height + area - shared)
        if is_near.any():
            places = scores[index, : len(down), : len(across)]
            best = max(best, float(places[is_near].max()))
    return best


def _shared(count: int, length: int, low: float, high: float) -> Tensor:
    """Return how much [i, i + length] and [low, high] share, for i from 0 to `count` - 1."""
    start = torch.arange(count, dtype=torch.float32)
    return ((start + length).clamp(max=high) - start.clamp(min=low)).clamp(min=0)


def _spectra(picture: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return the transforms of the channels (3 H F) and of the summed squares (1 H F)."""
    pixels = torch.tensor(picture).permute(2, 0, 1).float()[None] / 255
    pixels = functional.pad(pixels, (RIM,) * 4, mode="replicate")[0]
    return torch.fft.rfft2(pixels), torch.fft.rfft2(pixels.square().sum(0, keepdim=True))


def explained_variance(
    spectra: tuple[Tensor, Tensor], templates: _Templates
) -> Float[Tensor, "T H W"]:
    """Return R2 of every template with its corner at every place; -1 where it sticks out."""
    channels, squares = spectra
    # Weighted sums over the window, at every place.
    by_colour = (channels * templates.colour).sum(1, keepdim=True)
    products = [by_colour, channels * templates.background, channels * templates.weight]
    products.append(squares * templates.weight)
    sums = torch.fft.irfft2(torch.cat(products, 1), s=(_PADDED, _PADDED))
    with_colour, with_background, with_weight, energy = sums.split([1, 3, 3, 1], dim=1)
    with_colour, energy = with_colour[:, 0], energy[:, 0]

    # The background colour b is eliminated; what remains is a line fit of the gain g.
    per_background = 1 / templates.background_energy[:, None, None]
    mixed = templates.colour_background[:, :, None, None]
    left = energy - with_background.square().sum(1) * per_background
    shared = with_colour - (with_background * mixed).sum(1) * per_background
    own = (
        templates.colour_energy
        - templates.colour_background.square().sum(1) / templates.background_energy
    )[:, None, None]
    gain = (shared / own).clamp(*GAIN_RANGE)
    residual = left - 2 * gain * shared + gain.square() * own

    weight_sum = templates.weight_sum[:, None, None]
    variance = energy - with_weight.square().sum(1) / weight_sum + 3 * NOISE * weight_sum
    return torch.where(templates.valid, 1 - residual / variance, -1.0)


@lru_cache(maxsize=len(ALL_SPRITE_NAMES))
def _templates(name: str) -> _Templates:
    sprite = load_sprite(name)
    sizes = sorted(
        {_size(sprite.width / sprite.height * j, side) for side in SIDES for j in ASPECT_JITTERS}
    )
    kernels = [_kernel(name, width, height) for width, height in sizes]
    colour, alpha, weight = (torch.stack(parts) for parts in zip(*kernels, strict=True))
    background = weight * (1 - alpha)
    valid = torch.zeros(len(sizes), _PADDED, _PADDED, dtype=torch.bool)
    for index, (width, height) in enumerate(sizes):
        valid[index, : IMAGE_SIZE - height + 1, : IMAGE_SIZE - width + 1] = True
    # A correlation is a product with the conjugate transform.
    return _Templates(
        tuple(sizes),
        torch.fft.rfft2(weight * colour).conj().resolve_conj(),
        torch.fft.rfft2(background).conj().resolve_conj(),
        torch.fft.rfft2(weight).conj().resolve_conj(),
        (weight * colour.square()).sum((1, 2, 3)),
        (background * colour).sum((2, 3)),
        (weight * (1 - alpha).square()).sum((1, 2, 3)),
        weight.sum((1, 2, 3)),
        valid,
    )


def _size(aspect: float, side: int) -> tuple[int, int]:
    return round(side * min(1, aspect)), round(side / max(1, aspect))


def _kernel(name: str, width: int, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return A S (3 H W), A (1 H W) and the weights (1 H W), the sprite's corner at (RIM, RIM)."""
    rgba = torch.tensor(resized_sprite(name, width, height)).permute(2, 0, 1)
    padded = torch.zeros(4, _PADDED, _PADDED)
    padded[:, RIM : RIM + height, RIM : RIM + width] = rgba
    alpha = padded[3:]
    weight = functional.max_pool2d(alpha, 2 * RIM + 1, stride=1, padding=RIM)
    return padded[:3] * alpha, alpha, weight
