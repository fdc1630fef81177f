"""Captions of scenes: many paraphrases, with or without words for where things are."""

import numpy as np

from gligen.world.people import ScenePerson
from gligen.world.scenes import Scene, SceneObject

PHRASE_ARTICLES = {"apple": "an"}  # every other name takes "a"

# By number of persons: in a sentence, and as a bare noun.
_PERSONS = {1: ("a person", "person"), 2: ("two persons", "persons")}

_SETTINGS = {
    "sky": ("in the sky", "under a blue sky", "with clouds"),
    "night": ("at night", "in the night sky", "with stars"),
    "beach": ("on a beach", "at the beach"),
    "field": ("in a field", "in a green field", "on the grass"),
    "snow": ("in the snow", "in winter"),
    "room": ("in a room", "indoors"),
    "sea": ("at sea", "on the water"),
}
_OPENINGS = (
    "",
    "",
    "",
    "a photo of ",
    "a picture of ",
    "an image of ",
    "a painting of ",
    "there is ",
)


def compose_caption(scene: Scene, rng: np.random.Generator, location_share: float = 0.0) -> str:
    """Write a caption that names every object of `scene`, and its persons.

    Args:
        scene: what the picture shows.
        rng: chooses the wording.
        location_share: probability that the caption says where each thing is. Captions used to
            judge grounding have none, so that only the boxes carry the places.

    About 15 % of the captions are bare nouns ("dog; sun"), which keeps the features of single
    phrases inside what the text encoder was trained on.
    """
    # Persons together are one more thing to name.
    order = rng.permutation(len(scene.objects) + bool(scene.persons))
    things = [scene.objects[i] if i < len(scene.objects) else scene.persons for i in order]
    if rng.random() < 0.15:
        separator = ("; ", ", ")[rng.integers(2)]
        return separator.join(_noun(thing, rng) for thing in things)
    with_location = rng.random() < location_share
    parts = [part for thing in things for part in _parts(thing, with_location)]
    caption = _OPENINGS[rng.integers(len(_OPENINGS))] + _join(parts)
    if rng.random() < 0.8:
        caption += " " + _setting(scene.background, rng)
    return caption


def with_article(name: str) -> str:
    """Return "a dog" for "dog", "an apple" for "apple"."""
    return f"{PHRASE_ARTICLES.get(name, 'a')} {name}"


def describe_location(item: SceneObject | ScenePerson) -> str:
    """Say in words where the centre of an object is: "at the top left", "in the middle", ..."""
    x, y = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
    column = "left" if x < 0.42 else "right" if x > 0.58 else ""
    row = "top" if y < 0.42 else "bottom" if y > 0.58 else ""
    if row:
        return f"at the {row} {column}".strip()
    return f"on the {column}" if column else "in the middle"


Thing = SceneObject | tuple[ScenePerson, ...]  # a sprite, or all persons


def _noun(thing: Thing, rng: np.random.Generator) -> str:
    if isinstance(thing, SceneObject):
        return thing.name if rng.random() < 0.5 else with_article(thing.name)
    return _PERSONS[len(thing)][rng.integers(2)]


def _parts(thing: Thing, with_location: bool) -> list[str]:
    """Name a thing; with their places, persons are named one by one."""
    if isinstance(thing, SceneObject):
        name = with_article(thing.name)
        return [f"{name} {describe_location(thing)}" if with_location else name]
    if with_location:
        return [f"a person {describe_location(person)}" for person in thing]
    return [_PERSONS[len(thing)][0]]


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _setting(background: str, rng: np.random.Generator) -> str:
    if background.startswith("plain "):
        return f"on a {background.removeprefix('plain ')} background"
    choices = _SETTINGS[background]
    return choices[rng.integers(len(choices))]
