"""Semantic maps of scenes: which thing each pixel shows.

Labels: 0 is the background, 1 and up the sprites in the order of `ALL_SPRITE_NAMES`, then persons.
"""

import numpy as np

from gligen.world.people import figure_mask
from gligen.world.scenes import IMAGE_SIZE, Scene
from gligen.world.sprites import ALL_SPRITE_NAMES, resized_sprite

PERSON_LABEL = len(ALL_SPRITE_NAMES) + 1
LABEL_NAMES = ("background", *ALL_SPRITE_NAMES, "person")
NUM_LABELS = len(LABEL_NAMES)


def label_of(name: str) -> int:
    """Return the label of a sprite, or of "person"."""
    return LABEL_NAMES.index(name)


def draw_labels(scene: Scene, size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw the semantic map of a scene, uint8 (size, size); later things hide earlier ones."""
    labels = np.zeros((size, size), np.uint8)
    for item in scene.objects:
        x0, y0, x1, y1 = (round(v * size) for v in item.box)
        alpha = resized_sprite(item.name, max(1, x1 - x0), max(1, y1 - y0))[..., 3]
        window = labels[y0:y1, x0:x1]
        window[alpha[: window.shape[0], : window.shape[1]] > 0.5] = label_of(item.name)
    for person in scene.persons:
        labels[figure_mask(person, size) > 0.5] = PERSON_LABEL
    return labels
