"""The arithmetic of inpainting: holes, the area that is worked on, and putting the result back.

Pure functions on pictures and arrays; no model is loaded or called here. Three frames occur:

- picture: pixels of the input, or boxes as xyxy in [0, 1] of it;
- area: a rectangle of the picture around the hole, resized to a size that the model can paint;
- latent: the area at the resolution of the VAE's latents.

A *hole* is where something new is painted: True or white. A latent *mask* is the opposite, as in
the original code: 1 keeps, 0 generates. Shapes: N boxes, H rows, W columns.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gligen.layout import Box, Layout

Size = tuple[int, int]  # width, height in pixels

# The area is this many times as wide and high as the hole, so that the model sees its surroundings.
CONTEXT = 1.75
# The longer side of the working size, in training sizes; a longer picture is squeezed into it.
MAX_STRETCH = 2
# A pixel counts as white, "repaint", above this.
WHITE = 127
# Products like 0.07 x 100 = 7.000000000000001 must not reach into the next pixel.
_ROUNDING = 1e-6

_MASK_MODES = ("1", "L", "RGB", "P")


@dataclass(frozen=True)
class WorkArea:
    """The part of a picture that is repainted, and the size at which that is done."""

    picture_size: Size  # width, height of the whole picture, pixels
    crop: tuple[int, int, int, int]  # left, top, right, bottom in picture pixels, half-open
    size: Size  # width, height to which the crop is resized for the model, pixels

    @property
    def crop_size(self) -> Size:
        """Width and height of the crop in picture pixels."""
        left, top, right, bottom = self.crop
        return right - left, bottom - top


def masks_from_boxes(
    boxes: Float[Tensor, "N 4"], height: int, width: int
) -> Float[Tensor, "1 1 H W"]:
    """Return the latent mask of `boxes` by the original's rule: 1 keeps, 0 generates.

    Edges are truncated towards zero and half-open, so a box smaller than a cell, an empty and an
    inverted box mask nothing. Two errors of the original are not repeated: there x was scaled by
    the height and y by the width, and a negative coordinate counted from the far edge.

    Args:
        boxes: xyxy in [0, 1] of the mask; parts outside are cut off.
        height: rows of the mask.
        width: columns of the mask.

    Source: original `draw_masks_from_boxes`.
    """
    masks = torch.ones(1, 1, height, width)
    scale = torch.tensor([width, height, width, height], dtype=boxes.dtype)
    for x0, y0, x1, y1 in (boxes.cpu() * scale).int().clamp(min=0).tolist():
        masks[..., y0:y1, x0:x1] = 0
    return masks


def hole_from_boxes(boxes: Iterable[Box], picture_size: Size) -> Image.Image:
    """Draw the boxes (xyxy in [0, 1]) as a mask of mode L: white inside, black elsewhere.

    Every pixel that a box touches is white, and a box thinner than a pixel gets one: what was asked
    for is never lost to rounding.
    """
    width, height = picture_size
    hole = np.zeros((height, width), np.uint8)
    for box in boxes:
        x0, y0, x1, y1 = _pixels_touched(box, picture_size)
        hole[y0:y1, x0:x1] = 255
    return Image.fromarray(hole)


def _pixels_touched(box: Box, picture_size: Size) -> tuple[int, int, int, int]:
    """Return a box as the pixels that it touches: left, top, right, bottom, half-open."""
    width, height = picture_size
    x0 = min(math.floor(box[0] * width + _ROUNDING), width - 1)
    y0 = min(math.floor(box[1] * height + _ROUNDING), height - 1)
    x1 = max(math.ceil(box[2] * width - _ROUNDING), x0 + 1)
    y1 = max(math.ceil(box[3] * height - _ROUNDING), y0 + 1)
    return x0, y0, x1, y1


def check_mask(mask: object, picture_size: Size) -> Bool[np.ndarray, "H W"]:
    """Return a painted mask as a hole (True = repaint, where the mask is lighter than mid-grey).

    Args:
        mask: a picture (PIL) as large as the one to inpaint.
        picture_size: width, height in pixels.

    Raises:
        TypeError: `mask` is not a picture.
        ValueError: it has transparency, another size than the picture, or no white pixel.
    """
    if not isinstance(mask, Image.Image):
        raise TypeError(
            f"The mask must be a picture (PIL.Image), not {type(mask).__name__}: white where "
            "something new is to be painted, black elsewhere."
        )
    if mask.mode not in _MASK_MODES or "transparency" in mask.info:
        raise ValueError(
            f"The mask has mode {mask.mode}; a mask is black and white without transparency "
            "(mode L). Convert it so that white is what is to be repainted."
        )
    if mask.size != tuple(picture_size):
        raise ValueError(
            f"The mask is {mask.width} x {mask.height} pixels and the picture "
            f"{picture_size[0]} x {picture_size[1]}; make the mask as large as the picture."
        )
    hole = np.asarray(mask.convert("L")) > WHITE
    if not hole.any():
        raise ValueError(
            "The mask is empty: no pixel of it is white. Paint white over what is to be repainted, "
            "or leave the mask out, and the boxes are the hole."
        )
    return hole


def plan_work_area(
    picture_size: Size,
    hole: Image.Image | np.ndarray,
    train_size: int,
    multiple: int,
    boxes: Sequence[Box] = (),
    zoom: float = 1.0,
) -> WorkArea:
    """Choose the part of a picture to work on, and at which size.

    The crop holds the hole, every one of `boxes` that touches the hole, and context: it is
    `CONTEXT` times as large as these, at least `train_size / zoom` pixels, as near to square as
    the picture allows, and inside it. A large hole takes the whole picture. Without zoom a small
    hole is painted at the picture's own resolution, in few latents; with it, finer, and reduced
    afterwards.

    Args:
        picture_size: width, height in pixels.
        hole: where to paint, at picture size: array (H, W), nonzero = paint, or mode-L picture.
        train_size: side of the square pictures that the model was trained on, pixels.
        multiple: the model paints pictures whose sides are multiples of this, pixels.
        boxes: xyxy in [0, 1] of the picture; those of the grounded regions.
        zoom: how many times finer than the picture the area may be painted, 1 or more.

    Raises:
        ValueError: the hole is empty or has another size than the picture.
    """
    hole = _as_array(hole)
    width, height = picture_size
    if hole.shape != (height, width):
        raise ValueError(
            f"The hole is {hole.shape[1]} x {hole.shape[0]} pixels and the picture {width} x "
            f"{height}; they must be of one size."
        )
    if not hole.any():
        raise ValueError("The hole is empty: mark at least one pixel that is to be repainted.")
    x0, y0, x1, y1 = _extent(hole, boxes)
    # What each axis asks for by itself; then the shorter one grows towards a square.
    smallest = math.ceil(train_size / zoom)
    wanted_w = max(math.ceil((x1 - x0) * CONTEXT), smallest)
    wanted_h = max(math.ceil((y1 - y0) * CONTEXT), smallest)
    crop_w = min(width, max(wanted_w, min(wanted_h, height)))
    crop_h = min(height, max(wanted_h, min(wanted_w, width)))
    left = _centred(x0, x1, crop_w, width)
    top = _centred(y0, y1, crop_h, height)
    crop = (left, top, left + crop_w, top + crop_h)
    return WorkArea((width, height), crop, _working_size((crop_w, crop_h), train_size, multiple))


def _as_array(hole: Image.Image | np.ndarray) -> Bool[np.ndarray, "H W"]:
    if isinstance(hole, Image.Image):
        return np.asarray(hole.convert("L")) > WHITE
    return hole.astype(bool)


def _extent(hole: np.ndarray, boxes: Sequence[Box]) -> tuple[int, int, int, int]:
    """Return the bounding box, in pixels, of the hole and of all boxes that touch it."""
    columns, rows = np.flatnonzero(hole.any(axis=0)), np.flatnonzero(hole.any(axis=1))
    extents = [(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
    for box in boxes:
        x0, y0, x1, y1 = _pixels_touched(box, (hole.shape[1], hole.shape[0]))
        if hole[y0:y1, x0:x1].any():
            extents.append((x0, y0, x1, y1))
    starts, ends = np.array(extents)[:, :2].min(axis=0), np.array(extents)[:, 2:].max(axis=0)
    return int(starts[0]), int(starts[1]), int(ends[0]), int(ends[1])


def _centred(start: int, end: int, length: int, limit: int) -> int:
    """Return where a span of `length` begins that is centred on [start, end) inside [0, limit)."""
    return min(max((start + end - length) // 2, 0), limit - length)


def _working_size(crop_size: Size, train_size: int, multiple: int) -> Size:
    scale = train_size / min(crop_size)
    longest = MAX_STRETCH * train_size // multiple * multiple

    def side(length: int) -> int:
        return min(max(round(length * scale / multiple) * multiple, multiple), longest)

    return side(crop_size[0]), side(crop_size[1])


def boxes_in_area(boxes: Iterable[Box], area: WorkArea) -> list[Box | None]:
    """Map boxes (xyxy in [0, 1]) from the picture to the area.

    What lies outside the area is cut off; a box wholly outside becomes None.
    """
    width, height = area.picture_size
    left, top, _, _ = area.crop
    crop_w, crop_h = area.crop_size
    mapped = []
    for x0, y0, x1, y1 in boxes:
        columns = [min(max((x * width - left) / crop_w, 0.0), 1.0) for x in (x0, x1)]
        rows = [min(max((y * height - top) / crop_h, 0.0), 1.0) for y in (y0, y1)]
        inside = columns[0] < columns[1] and rows[0] < rows[1]
        mapped.append((columns[0], rows[0], columns[1], rows[1]) if inside else None)
    return mapped


def layout_in_area(layout: Layout, area: WorkArea) -> Layout:
    """Return the layout as seen in the area, without the regions that lie wholly outside it."""
    mapped = boxes_in_area(layout.boxes, area)
    regions = tuple(
        replace(region, box=box)
        for region, box in zip(layout, mapped, strict=True)
        if box is not None
    )
    return replace(layout, regions=regions)


def picture_in_area(picture: Image.Image, area: WorkArea) -> Image.Image:
    """Cut the area out of the picture and resize it to the working size."""
    return picture.crop(area.crop).resize(area.size, Image.Resampling.LANCZOS)


def hole_in_area(hole: Image.Image | np.ndarray, area: WorkArea) -> Bool[np.ndarray, "H W"]:
    """Cut the area out of the hole; H and W are those of the crop, in picture pixels."""
    left, top, right, bottom = area.crop
    return _as_array(hole)[top:bottom, left:right]


def latent_mask(
    hole: Bool[np.ndarray, "H W"], latent_height: int, latent_width: int
) -> Float[Tensor, "1 1 h w"]:
    """Return the latent mask of a hole: 1 keeps, 0 generates.

    A cell is generated if any pixel of it lies in the hole, so a small hole does not vanish; what
    this paints too much is undone by `composite`.

    Args:
        hole: of the area (see `hole_in_area`), at any resolution; True = paint.
        latent_height: rows of the latents.
        latent_width: columns of the latents.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(hole, np.float32))[None, None]
    return 1 - functional.adaptive_max_pool2d(pixels, (latent_height, latent_width))


def composite(
    original: Image.Image,
    generated: Image.Image,
    area: WorkArea,
    hole: Image.Image | np.ndarray,
    feather: int = 0,
) -> Image.Image:
    """Put what was painted into the hole of the original.

    Outside the hole the result equals the original pixel for pixel.

    Args:
        original: RGB, at picture size.
        generated: RGB, the area at its working size.
        area: as planned by `plan_work_area` for this hole.
        hole: where to paint, at picture size; all of it lies in the area.
        feather: width of the soft edge, picture pixels. It lies inside the hole, and stops at the
            middle of a hole that is narrower; the picture's own border stays hard.

    Raises:
        ValueError: a picture is not RGB or has a wrong size, or `feather` is negative.
    """
    _check_rgb(original, area.picture_size, "picture to inpaint")
    _check_rgb(generated, area.size, "painted area")
    if feather < 0:
        raise ValueError(f"The feather is {feather} pixels; it must be 0 (a hard edge) or more.")
    left, top, right, bottom = area.crop
    result = np.array(original)
    window = result[top:bottom, left:right]
    painted = generated.resize(area.crop_size, Image.Resampling.LANCZOS)
    inside = hole_in_area(hole, area)
    opacity = _feathered(inside, feather)[inside][:, None]
    mixed = window[inside] * (1 - opacity) + np.asarray(painted)[inside] * opacity
    window[inside] = np.rint(mixed).astype(np.uint8)
    return Image.fromarray(result)


def _check_rgb(picture: Image.Image, size: Size, name: str) -> None:
    if picture.mode != "RGB" or picture.size != size:
        raise ValueError(
            f"The {name} is {picture.width} x {picture.height} pixels of mode {picture.mode}; it "
            f"must be {size[0]} x {size[1]} of mode RGB."
        )


def _feathered(hole: Bool[np.ndarray, "H W"], feather: int) -> Float[np.ndarray, "H W"]:
    """Return the opacity of the painted pixels: rising from the hole's edge to 1 `feather` inside.

    The depth of a pixel is the number of erosions that it survives. Erosions with 4 and with 8
    neighbours alternate, which keeps round edges nearly round.
    """
    depth = hole.astype(np.float32)
    remaining = hole
    for turn in range(feather):
        remaining = _eroded(remaining, diagonal=turn % 2 == 1)
        if not remaining.any():
            break
        depth += remaining
    return depth / max(depth.max(), 1)


def _eroded(hole: Bool[np.ndarray, "H W"], diagonal: bool) -> Bool[np.ndarray, "H W"]:
    """Remove the pixels of the hole that have a neighbour outside it."""
    # The hole goes on beyond the border. A planned area ends away from its hole, except where the
    # picture ends, so this concerns the picture's border alone.
    padded = np.pad(hole, 1, mode="edge")
    rows = padded[:-2] & padded[1:-1] & padded[2:]
    columns = padded[:, :-2] & padded[:, 1:-1] & padded[:, 2:]
    if diagonal:
        return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return rows[:, 1:-1] & columns[1:-1]
