"""Scenes of the synthetic world: what is where, and how it is drawn.

Boxes are xyxy in [0, 1] of the picture, x to the right and y down. Pictures are uint8 HWC.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gligen.world.people import ScenePerson, draw_person, moved, sample_person
from gligen.world.sprites import SPRITE_NAMES, load_sprite, resized_sprite

Box = tuple[float, float, float, float]  # xyxy in [0, 1]
Colour = tuple[int, int, int]  # RGB, 0-255

IMAGE_SIZE = 64  # pixels, both sides

# Range of the longer side of an object, as a share of the picture, by number of objects in it.
OBJECT_SIDES = {1: (0.42, 0.75), 2: (0.38, 0.58), 3: (0.34, 0.48), 4: (0.30, 0.44)}
ASPECT_JITTER = 0.25  # aspect ratio = the sprite's own x exp(U(-jitter, jitter))
# Range of the longer side of a person, by number of things (persons and objects) in the picture.
PERSON_SIDES = {1: (0.55, 0.88), 2: (0.48, 0.68), 3: (0.45, 0.58), 4: (0.45, 0.5)}
TWO_PERSONS_SHARE = 0.35  # of the scenes with persons
MAX_OVERLAP = 0.12  # of the smaller of two boxes
PLACEMENT_TRIES = 40

PLAIN_COLOURS = {
    "red": (200, 60, 55),
    "orange": (235, 150, 70),
    "yellow": (240, 220, 120),
    "green": (110, 175, 105),
    "blue": (90, 140, 210),
    "purple": (150, 110, 185),
    "pink": (240, 175, 195),
    "white": (242, 242, 240),
    "gray": (150, 152, 155),
    "black": (32, 32, 36),
}
SCENERY = ("sky", "night", "beach", "field", "snow", "room", "sea")
BACKGROUNDS = SCENERY + tuple(f"plain {colour}" for colour in PLAIN_COLOURS)


@dataclass(frozen=True)
class SceneObject:
    """One sprite in a scene."""

    name: str  # one of ALL_SPRITE_NAMES
    box: Box  # xyxy in [0, 1]


@dataclass(frozen=True)
class Scene:
    """What a picture shows; `draw_scene` turns it into pixels."""

    background: str  # one of BACKGROUNDS
    objects: tuple[SceneObject, ...]  # 1-4 (0-2 beside persons), pasted in this order
    persons: tuple[ScenePerson, ...] = ()  # 0-2, drawn over the objects

    @property
    def things(self) -> tuple[SceneObject, ...]:
        """All that a box can be given for: the objects, and the persons under the name "person"."""
        return self.objects + tuple(SceneObject("person", p.box) for p in self.persons)


def sample_scene(
    rng: np.random.Generator,
    num_objects: int | None = None,
    names: Sequence[str] = SPRITE_NAMES,
    person_share: float = 0.0,
) -> Scene:
    """Draw a random scene.

    Things overlap by at most `MAX_OVERLAP` of the smaller one; a scene that cannot be packed is
    drawn anew.

    Args:
        rng: all randomness.
        num_objects: how many different sprites; default: 1-4, equally likely, and 0-2 beside
            persons.
        names: the sprites to choose from.
        person_share: probability that the scene shows one or two persons.
    """
    if rng.random() < 0.7:
        background = SCENERY[rng.integers(len(SCENERY))]
    else:
        background = BACKGROUNDS[len(SCENERY) + rng.integers(len(PLAIN_COLOURS))]
    num_persons = 0
    # Without persons nothing is drawn from `rng`, so that the scenes of a seed stay what they were.
    if person_share and rng.random() < person_share:
        num_persons = 2 if rng.random() < TWO_PERSONS_SHARE else 1
    if num_objects is None:
        num_objects = int(rng.integers(0, 3) if num_persons else rng.integers(1, 5))
    chosen = [names[int(i)] for i in rng.choice(len(names), num_objects, replace=False)]
    total = num_objects + num_persons
    while True:
        persons = _place_persons(rng, num_persons, PERSON_SIDES[total])
        objects = _place_objects(rng, chosen, [p.box for p in persons], OBJECT_SIDES[total])
        if len(persons) == num_persons and len(objects) == num_objects:
            return Scene(background, tuple(objects), tuple(persons))


def _place_persons(
    rng: np.random.Generator, count: int, sides: tuple[float, float]
) -> list[ScenePerson]:
    """Place persons one by one until one finds no room."""
    persons: list[ScenePerson] = []
    for _ in range(count):
        person = _place_person(rng, [other.box for other in persons], sides)
        if person is None:
            break
        persons.append(person)
    return persons


def _place_person(
    rng: np.random.Generator, others: list[Box], sides: tuple[float, float]
) -> ScenePerson | None:
    for _ in range(PLACEMENT_TRIES):
        person = sample_person(rng, rng.uniform(*sides))
        _, _, width, height = person.box
        person = moved(person, rng.uniform(0, 1 - width), rng.uniform(0, 1 - height))
        if all(_overlap(person.box, other) <= MAX_OVERLAP for other in others):
            return person
    return None


def _place_objects(
    rng: np.random.Generator, names: list[str], others: list[Box], sides: tuple[float, float]
) -> list[SceneObject]:
    """Place sprites one by one until one finds no room."""
    objects: list[SceneObject] = []
    for name in names:
        box = _place(rng, name, [*others, *(o.box for o in objects)], sides)
        if box is None:
            break
        objects.append(SceneObject(name, box))
    return objects


def _place(
    rng: np.random.Generator, name: str, others: list[Box], sides: tuple[float, float]
) -> Box | None:
    sprite = load_sprite(name)
    for _ in range(PLACEMENT_TRIES):
        # The longer side keeps to the range; width / height = native aspect with jitter.
        aspect = sprite.width / sprite.height
        aspect *= math.exp(rng.uniform(-ASPECT_JITTER, ASPECT_JITTER))
        side = rng.uniform(*sides)
        width, height = side * min(1, aspect), side / max(1, aspect)
        # Whole pixels, so that the box says exactly where the sprite is.
        w, h = round(width * IMAGE_SIZE), round(height * IMAGE_SIZE)
        x = int(rng.integers(0, IMAGE_SIZE - w + 1))
        y = int(rng.integers(0, IMAGE_SIZE - h + 1))
        x0, y0, x1, y1 = (v / IMAGE_SIZE for v in (x, y, x + w, y + h))
        box = (x0, y0, x1, y1)
        if all(_overlap(box, other) <= MAX_OVERLAP for other in others):
            return box
    return None


def _overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes as a share of the smaller one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / min(areas)


def draw_scene(scene: Scene, rng: np.random.Generator, size: int = IMAGE_SIZE) -> np.ndarray:
    """Draw `scene` as uint8 (size, size, 3); `rng` varies the background only."""
    canvas = draw_background(scene.background, rng, size)
    for item in scene.objects:
        x0, y0, x1, y1 = (round(v * size) for v in item.box)
        sprite = resized_sprite(item.name, max(1, x1 - x0), max(1, y1 - y0))
        # A box given by hand may reach over the edge by a rounding: cut the sprite to what is left.
        window = canvas[y0:y1, x0:x1]
        sprite = sprite[: window.shape[0], : window.shape[1]]
        alpha = sprite[..., 3:]
        window += alpha * (sprite[..., :3] * 255 - window)
    for person in scene.persons:
        draw_person(canvas, person)
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def draw_background(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a background as float32 (size, size, 3) in [0, 255], colours slightly varied."""
    tint = rng.normal(0, 6, 3).astype(np.float32)
    if name.startswith("plain "):
        colour = np.array(PLAIN_COLOURS[name.removeprefix("plain ")], np.float32)
        return np.broadcast_to(colour + tint, (size, size, 3)).copy()
    canvas = _scenery(name, rng, size)
    return np.clip(canvas + tint, 0, 255)


def _scenery(name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    horizon = int(size * rng.uniform(0.5, 0.68))
    match name:
        case "sky":
            canvas = _gradient((95, 160, 235), (195, 225, 250), size)
            for _ in range(rng.integers(1, 4)):
                _cloud(canvas, rng)
        case "night":
            canvas = _gradient((14, 18, 52), (44, 48, 98), size)
            for y, x in rng.integers(0, size, (rng.integers(12, 25), 2)):
                canvas[y, x] = (235, 235, 215)
        case "beach":
            canvas = _gradient((120, 190, 240), (190, 225, 245), size)
            canvas[horizon:] = (60, 150, 190)
            canvas[horizon + size // 8 :] = (228, 205, 150)
        case "field":
            canvas = _gradient((135, 195, 240), (205, 230, 248), size)
            canvas[horizon:] = _gradient((120, 180, 80), (75, 140, 55), size - horizon, size)
        case "snow":
            canvas = _gradient((165, 185, 210), (205, 215, 230), size)
            canvas[horizon:] = (240, 244, 250)
        case "room":
            canvas = _gradient((222, 205, 180), (210, 190, 165), size)
            canvas[horizon:] = (140, 95, 62)
            canvas[horizon : horizon + max(1, size // 32)] = (110, 72, 46)
        case "sea":
            canvas = _gradient((150, 200, 235), (205, 230, 245), size)
            canvas[horizon:] = _gradient((45, 115, 180), (20, 70, 130), size - horizon, size)
        case _:
            raise ValueError(
                f"There is no background {name!r}; there are: {', '.join(BACKGROUNDS)}."
            )
    return canvas


def _gradient(top: Colour, bottom: Colour, height: int, width: int | None = None) -> np.ndarray:
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.array(top, np.float32) * (1 - ramp) + np.array(bottom, np.float32) * ramp
    return np.repeat(column, width or height, axis=1)


def _cloud(canvas: np.ndarray, rng: np.random.Generator) -> None:
    size = canvas.shape[0]
    y, x = np.ogrid[:size, :size]
    centre = rng.uniform(0, size, 2)
    radii = size * rng.uniform(0.05, 0.09), size * rng.uniform(0.10, 0.22)
    inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2
    canvas += (np.clip(1.3 - inside, 0, 1) * 0.7)[..., None] * (250 - canvas)
