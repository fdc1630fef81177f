"""The layouts that grounding is judged on: held out from training, and fixed for good.

Layout i is drawn from its own seed, so the first 50 of 500 are the 50 of a shorter run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from gligen.layout import Box, Layout, Region
from gligen.training.bank import HELD_OUT_SEED
from gligen.world import SPRITE_NAMES, Scene, compose_caption, sample_scene
from gligen.world.captions import with_article


@dataclass(frozen=True)
class HeldOut:
    """One picture to be asked for."""

    index: int
    scene: Scene  # what a perfect picture shows
    caption: str  # names things and no place
    layout: Layout  # what the model is given, besides the caption
    seed: int  # of the picture's noise, the same whatever the layout
    picture: Image.Image | None = None  # whose hole is repainted; None: a new picture is made

    @property
    def names(self) -> tuple[str, ...]:
        """The sprites asked for, in the order of the scene's objects."""
        return tuple(item.name for item in self.scene.objects)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Where they shall be, xyxy in [0, 1]."""
        return tuple(item.box for item in self.scene.objects)


def held_out_layouts(num_layouts: int, names: Sequence[str] = SPRITE_NAMES) -> list[HeldOut]:
    """Return the first `num_layouts` held-out layouts of 1-4 different sprites from `names`.

    The captions have no location words: where things go is said by the boxes alone.
    """
    items = held_out_scenes(num_layouts, names)
    return [replace(item, layout=_regions(item.scene)) for item in items]


def held_out_scenes(
    num_layouts: int, names: Sequence[str] = SPRITE_NAMES, person_share: float = 0.0
) -> list[HeldOut]:
    """Return held-out scenes and their captions, without a layout.

    Args:
        num_layouts: how many.
        names: sprites to choose from.
        person_share: of the scenes that show one or two persons, beside 0-2 sprites.
    """
    items = []
    for index in range(num_layouts):
        rng = np.random.default_rng(HELD_OUT_SEED + index)
        count = None if len(names) >= 4 else int(rng.integers(1, len(names) + 1))
        scene = sample_scene(rng, count, names, person_share)
        caption = compose_caption(scene, rng, location_share=0.0)
        items.append(HeldOut(index, scene, caption, Layout(), seed=index))
    return items


def mirrored(layout: Layout) -> Layout:
    """Mirror every box at the centre of the picture: x becomes 1 - x, and y 1 - y."""
    return Layout(tuple(replace(region, box=_mirrored(region.box)) for region in layout))


def mirrored_item(item: HeldOut) -> HeldOut:
    """Mirror the boxes of an item, and the sprites of its scene with them."""
    objects = tuple(replace(thing, box=_mirrored(thing.box)) for thing in item.scene.objects)
    scene = replace(item.scene, objects=objects)
    regions = mirrored(item.layout).regions
    return replace(item, scene=scene, layout=replace(item.layout, regions=regions))


def _regions(scene: Scene) -> Layout:
    return Layout(tuple(Region(with_article(thing.name), thing.box) for thing in scene.objects))


def _mirrored(box: Box) -> Box:
    return 1 - box[2], 1 - box[3], 1 - box[0], 1 - box[1]
