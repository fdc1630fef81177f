"""Random holes for training the inpainting kinds."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from gligen.layout import Box

BOX_SHARE = 0.7  # holes made of boxes (where there are any); the rest are strokes


def random_hole(
    boxes: Sequence[Box], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "h w"], list[int]]:
    """Draw a hole and say which things belong into it.

    Args:
        boxes: of the things in the picture, xyxy in [0, 1].
        size: height and width of the hole's grid.
        rng: all randomness.

    Returns:
        The hole, True = paint, and the indices of the boxes that it covers; regions of others must
        not be given, since those stay as they are.
    """
    height, width = size
    if rng.random() < BOX_SHARE and len(boxes):
        chosen = [index for index in range(len(boxes)) if rng.random() < 0.6]
        chosen = chosen or [int(rng.integers(len(boxes)))]
        hole = np.zeros(size, bool)
        for index in chosen:
            hole |= _inside(boxes[index], size, rng.uniform(0, 0.04))
        return hole, chosen
    hole = _stroke(height, width, rng)
    return hole, [index for index, box in enumerate(boxes) if _covered(box, hole) > 0.6]


def _inside(box: Box, size: tuple[int, int], margin: float) -> Bool[np.ndarray, "h w"]:
    height, width = size
    x0, y0, x1, y1 = box
    inside = np.zeros(size, bool)
    rows = slice(int(max(0, y0 - margin) * height), int(np.ceil(min(1, y1 + margin) * height)))
    columns = slice(int(max(0, x0 - margin) * width), int(np.ceil(min(1, x1 + margin) * width)))
    inside[rows, columns] = True
    return inside


def _stroke(height: int, width: int, rng: np.random.Generator) -> Bool[np.ndarray, "h w"]:
    """Paint a thick wandering line."""
    rows, columns = np.ogrid[:height, :width]
    hole = np.zeros((height, width), bool)
    point = rng.uniform(0.15, 0.85, 2) * (height, width)
    radius = rng.uniform(0.1, 0.25) * height
    for _ in range(rng.integers(3, 9)):
        hole |= (rows - point[0]) ** 2 + (columns - point[1]) ** 2 <= radius**2
        point = np.clip(point + rng.normal(0, 0.12, 2) * (height, width), 0, (height, width))
    return hole


def _covered(box: Box, hole: Bool[np.ndarray, "h w"]) -> float:
    """Return the share of a box that lies in the hole."""
    inside = _inside(box, (hole.shape[0], hole.shape[1]), 0.0)
    return float((inside & hole).sum() / inside.sum())
