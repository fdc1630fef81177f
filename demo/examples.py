"""Examples that fill a tab in one click; they use what the embedded model has learned to paint."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo.components.canvas import Drawing
from gligen.layout import Box, Layout
from gligen.person import Person
from gligen.pictures.maps import canny_map
from gligen.world import Scene, SceneObject, draw_scene
from gligen.world.labels import draw_labels
from gligen.world.people import moved, sample_person

PHOTO_SIDE = 512  # pixels


@dataclass(frozen=True)
class Example:
    """One click's worth of settings."""

    title: str
    prompt: str
    regions: tuple[tuple[str, Box], ...]
    scene: Scene | None = None  # the photo to repaint, drawn when asked for

    def drawing(self) -> Drawing:
        """Return what the canvas shows."""
        phrases = [phrase for phrase, _ in self.regions]
        layout = Layout.from_lists(phrases, [box for _, box in self.regions])
        if self.scene is None:
            return Drawing(layout)
        pixels = draw_scene(self.scene, np.random.default_rng(0), PHOTO_SIDE)
        return Drawing(layout, photo=Image.fromarray(pixels))


@dataclass(frozen=True)
class PeopleExample:
    """One click's worth of people."""

    title: str
    prompt: str
    places: tuple[tuple[float, float, float], ...]  # of each: left and top end, and height
    poses: int  # which of the random poses

    def drawing(self) -> tuple[Person, ...]:
        """Return the people that the editor shows."""
        rng = np.random.default_rng(self.poses)
        figures = [moved(sample_person(rng, high), x, y) for x, y, high in self.places]
        return tuple(Person(figure.joints) for figure in figures)


@dataclass(frozen=True)
class MapExample:
    """One click's worth of map."""

    title: str
    prompt: str
    kind: str  # "canny" or "semantic"
    scene: Scene

    def drawing(self) -> Image.Image:
        """Return the map: edges, or a label for each pixel."""
        if self.kind == "semantic":
            return Image.fromarray(draw_labels(self.scene))
        pixels = draw_scene(self.scene, np.random.default_rng(0), PHOTO_SIDE)
        return canny_map(Image.fromarray(pixels), (PHOTO_SIDE // 8, PHOTO_SIDE // 8))


GENERATE = (
    Example(
        "Sun; Comet",
        "a sun and a comet at night",
        (("sun", (0.05, 0.08, 0.5, 0.53)), ("comet", (0.52, 0.48, 0.95, 0.91))),
    ),
    Example(
        "Dog and apple",
        "a dog and an apple in a room",
        (("dog", (0.05, 0.35, 0.55, 0.9)), ("apple", (0.6, 0.5, 0.95, 0.88))),
    ),
    Example(
        "House by the tree",
        "a house and a tree in a field",
        (("house", (0.05, 0.3, 0.52, 0.8)), ("tree", (0.55, 0.2, 0.95, 0.8))),
    ),
    Example(
        "Two pandas, one phrase",
        "a panda and a panda in the snow",
        (("panda", (0.06, 0.08, 0.46, 0.5)), ("panda", (0.53, 0.48, 0.95, 0.92))),
    ),
    Example(
        "Four things",
        "a pig, a frog, a rocket and a donut on a beach",
        (
            ("pig", (0.05, 0.54, 0.46, 0.95)),
            ("frog", (0.55, 0.55, 0.95, 0.95)),
            ("rocket", (0.06, 0.05, 0.44, 0.43)),
            ("donut", (0.57, 0.07, 0.93, 0.43)),
        ),
    ),
)

INPAINT = (
    Example(
        "Apple to frog",
        "",
        (("frog", (0.52, 0.45, 0.92, 0.87)),),
        Scene(
            "field",
            (
                SceneObject("panda", (0.06, 0.36, 0.48, 0.86)),
                SceneObject("apple", (0.55, 0.48, 0.9, 0.85)),
            ),
        ),
    ),
    Example(
        "A sun above the house",
        "a sun and a house on a beach",
        (("sun", (0.55, 0.04, 0.95, 0.44)),),
        Scene("beach", (SceneObject("house", (0.08, 0.3, 0.54, 0.82)),)),
    ),
    Example(
        "Take the banana away",
        "a room",
        (("", (0.52, 0.5, 0.9, 0.9)),),
        Scene(
            "room",
            (
                SceneObject("dog", (0.06, 0.36, 0.48, 0.86)),
                SceneObject("banana", (0.56, 0.54, 0.87, 0.86)),
            ),
        ),
    ),
)

KEYPOINTS = (
    PeopleExample(
        "Two friends", "two persons in a field", ((0.08, 0.2, 0.6), (0.5, 0.2, 0.6)), poses=5
    ),
    PeopleExample("One on the beach", "a person on a beach", ((0.25, 0.1, 0.8),), poses=2),
    PeopleExample(
        "A pair in the snow",
        "two persons in the snow",
        ((0.05, 0.25, 0.62), (0.5, 0.3, 0.5)),
        poses=8,
    ),
)

MAPS = (
    MapExample(
        "House and tree, painted",
        "a house and a tree in a field",
        "semantic",
        Scene(
            "field",
            (
                SceneObject("house", (0.06, 0.34, 0.5, 0.84)),
                SceneObject("tree", (0.54, 0.22, 0.94, 0.84)),
            ),
        ),
    ),
    MapExample(
        "Frog and apple, painted",
        "a frog and an apple on a beach",
        "semantic",
        Scene(
            "beach",
            (
                SceneObject("frog", (0.05, 0.1, 0.5, 0.52)),
                SceneObject("apple", (0.5, 0.5, 0.92, 0.94)),
            ),
        ),
    ),
    MapExample(
        "Edges of a panda and a sun",
        "a panda and a sun in the snow",
        "canny",
        Scene(
            "snow",
            (
                SceneObject("panda", (0.06, 0.3, 0.56, 0.85)),
                SceneObject("sun", (0.56, 0.06, 0.95, 0.45)),
            ),
        ),
    ),
)
