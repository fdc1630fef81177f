"""Random holes for training the inpainting kind."""

import numpy as np

from gligen.world import Scene, SceneObject

BOX_SHARE = 0.7  # holes made of objects' boxes; the rest are strokes


def random_hole(
    scene: Scene, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, list[SceneObject]]:
    """Draw a hole and say which objects belong into it.

    Args:
        scene: the picture's content.
        size: height and width of the hole's grid.
        rng: all randomness.

    Returns:
        The hole, bool (height, width), True = paint, and the objects and persons that it covers;
        regions of others must not be given, since those stay as they are.
    """
    height, width = size
    if rng.random() < BOX_SHARE:
        chosen = [item for item in scene.things if rng.random() < 0.6]
        chosen = chosen or [scene.things[rng.integers(len(scene.things))]]
        hole = np.zeros(size, bool)
        for item in chosen:
            hole |= _box(item, size, rng.uniform(0, 0.04))
        return hole, chosen
    hole = _stroke(height, width, rng)
    return hole, [item for item in scene.things if _covered(item, hole) > 0.6]


def _box(item: SceneObject, size: tuple[int, int], margin: float) -> np.ndarray:
    height, width = size
    x0, y0, x1, y1 = item.box
    hole = np.zeros(size, bool)
    rows = slice(int(max(0, y0 - margin) * height), int(np.ceil(min(1, y1 + margin) * height)))
    columns = slice(int(max(0, x0 - margin) * width), int(np.ceil(min(1, x1 + margin) * width)))
    hole[rows, columns] = True
    return hole


def _stroke(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Paint a thick wandering line."""
    rows, columns = np.ogrid[:height, :width]
    hole = np.zeros((height, width), bool)
    point = rng.uniform(0.15, 0.85, 2) * (height, width)
    radius = rng.uniform(0.1, 0.25) * height
    for _ in range(rng.integers(3, 9)):
        hole |= (rows - point[0]) ** 2 + (columns - point[1]) ** 2 <= radius**2
        point = np.clip(point + rng.normal(0, 0.12, 2) * (height, width), 0, (height, width))
    return hole


def _covered(item: SceneObject, hole: np.ndarray) -> float:
    """Return the share of an object's box that lies in the hole."""
    box = _box(item, hole.shape, 0.0)
    return float((box & hole).sum() / box.sum())
