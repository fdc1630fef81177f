"""The layouts that grounding is judged on: held out from training, and fixed for good.

Layout i is drawn from its own seed, so the first 50 of 500 are the 50 of a shorter run.
"""

from dataclasses import dataclass, replace

import numpy as np

from gligen.layout import Layout, Region
from gligen.training.bank import HELD_OUT_SEED
from gligen.world import Scene, compose_caption, sample_scene
from gligen.world.captions import with_article


@dataclass(frozen=True)
class HeldOut:
    """One picture to be asked for."""

    index: int
    scene: Scene  # names and places of its objects; 1-4 different sprites
    caption: str  # names every object and no place
    layout: Layout  # the objects' boxes, in the order of the scene
    seed: int  # of the picture's noise, the same whatever the boxes

    @property
    def names(self) -> tuple[str, ...]:
        """The sprites asked for, in the order of the layout's regions."""
        return tuple(item.name for item in self.scene.objects)


def held_out_layouts(num_layouts: int) -> list[HeldOut]:
    """Return the first `num_layouts` held-out layouts.

    The captions have no location words: where things go is said by the boxes alone.
    """
    return [_held_out(index) for index in range(num_layouts)]


def _held_out(index: int) -> HeldOut:
    rng = np.random.default_rng(HELD_OUT_SEED + index)
    scene = sample_scene(rng)
    caption = compose_caption(scene, rng, location_share=0.0)
    regions = tuple(Region(with_article(item.name), item.box) for item in scene.objects)
    return HeldOut(index, scene, caption, Layout(regions), seed=index)


def mirrored(layout: Layout) -> Layout:
    """Mirror every box at the centre of the picture: x becomes 1 - x, and y 1 - y."""
    return Layout(
        tuple(
            replace(r, box=(1 - r.box[2], 1 - r.box[3], 1 - r.box[0], 1 - r.box[1])) for r in layout
        )
    )
