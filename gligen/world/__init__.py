"""The synthetic world: emoji sprites and simple figures on procedural backgrounds, with captions.

The embedded model is trained on it, the evaluation scores against it, and the examples of the app
are drawn from it. Nothing here depends on torch.
"""

from gligen.world.captions import PHRASE_ARTICLES, compose_caption, describe_location
from gligen.world.people import ScenePerson, draw_person
from gligen.world.scenes import IMAGE_SIZE, Scene, SceneObject, draw_scene, sample_scene
from gligen.world.sprites import ALL_SPRITE_NAMES, SPRITE_NAMES, load_sprite, resized_sprite

__all__ = [
    "ALL_SPRITE_NAMES",
    "IMAGE_SIZE",
    "PHRASE_ARTICLES",
    "SPRITE_NAMES",
    "Scene",
    "SceneObject",
    "ScenePerson",
    "compose_caption",
    "describe_location",
    "draw_person",
    "draw_scene",
    "load_sprite",
    "resized_sprite",
    "sample_scene",
]
