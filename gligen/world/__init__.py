"""The synthetic world: emoji sprites pasted on procedural backgrounds, with captions and boxes.

The embedded model is trained on it, the evaluation scores against it, and the examples of the app
are drawn from it. Nothing here depends on torch.
"""

from gligen.world.captions import PHRASE_ARTICLES, compose_caption, describe_location
from gligen.world.scenes import IMAGE_SIZE, Scene, SceneObject, draw_scene, sample_scene
from gligen.world.sprites import SPRITE_NAMES, load_sprite, resized_sprite

__all__ = [
    "IMAGE_SIZE",
    "PHRASE_ARTICLES",
    "SPRITE_NAMES",
    "Scene",
    "SceneObject",
    "compose_caption",
    "describe_location",
    "draw_scene",
    "load_sprite",
    "resized_sprite",
    "sample_scene",
]
