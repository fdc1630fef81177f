"""Captions of scenes: many paraphrases, with or without words for where things are."""

import numpy as np

from gligen.world.scenes import Scene, SceneObject

PHRASE_ARTICLES = {"apple": "an"}  # every other name takes "a"

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
    """Write a caption that names every object of `scene`.

    Args:
        scene: what the picture shows.
        rng: chooses the wording.
        location_share: probability that the caption says where each thing is. Captions used to
            judge grounding have none, so that only the boxes carry the places.

    About 15 % of the captions are bare nouns ("dog; sun"), which keeps the features of single
    phrases inside what the text encoder was trained on.
    """
    order = rng.permutation(len(scene.objects))
    objects = [scene.objects[i] for i in order]
    if rng.random() < 0.15:
        separator = ("; ", ", ")[rng.integers(2)]
        return separator.join(_noun(o, rng) for o in objects)
    with_location = rng.random() < location_share
    parts = [
        f"{with_article(o.name)} {describe_location(o)}" if with_location else with_article(o.name)
        for o in objects
    ]
    caption = _OPENINGS[rng.integers(len(_OPENINGS))] + _join(parts)
    if rng.random() < 0.8:
        caption += " " + _setting(scene.background, rng)
    return caption


def with_article(name: str) -> str:
    """Return "a dog" for "dog", "an apple" for "apple"."""
    return f"{PHRASE_ARTICLES.get(name, 'a')} {name}"


def describe_location(item: SceneObject) -> str:
    """Say in words where the centre of an object is: "at the top left", "in the middle", ..."""
    x, y = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
    column = "left" if x < 0.42 else "right" if x > 0.58 else ""
    row = "top" if y < 0.42 else "bottom" if y > 0.58 else ""
    if row:
        return f"at the {row} {column}".strip()
    return f"on the {column}" if column else "in the middle"


def _noun(item: SceneObject, rng: np.random.Generator) -> str:
    return item.name if rng.random() < 0.5 else with_article(item.name)


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _setting(background: str, rng: np.random.Generator) -> str:
    if background.startswith("plain "):
        return f"on a {background.removeprefix('plain ')} background"
    choices = _SETTINGS[background]
    return choices[rng.integers(len(choices))]
