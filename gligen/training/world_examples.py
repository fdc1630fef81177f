"""Examples of the synthetic world for grounded training, from a bank of drawn scenes."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gligen.kinds import KEYPOINT, MAP, TEXT_IMAGE_BOX, kind_named
from gligen.layout import Layout, Region
from gligen.person import Person
from gligen.pictures.maps import canny_map
from gligen.request import Request
from gligen.training.bank import load_images, load_scenes
from gligen.training.examples import Example
from gligen.training.settings import TrainingSettings
from gligen.training.sources import hole_in, with_crops
from gligen.world import Scene, compose_caption
from gligen.world.captions import with_article
from gligen.world.labels import LABEL_NAMES, draw_labels

NUM_VALIDATION = 256  # scenes at the end of a bank that are never trained on
NUM_SAMPLES = 4
NUM_WATCHED = 128  # of them, for the paired loss
MAP_KINDS = ("semantic", "canny")  # that can be derived from a scene


class WorldExamples:
    """Scenes of a bank with their latents.

    Args:
        bank: folder that `gligen.training.bank` filled and the autoencoder encoded.
        settings: of the run.

    Raises:
        ValueError: the bank is not there or has no latents, or has nothing for the kind.
    """

    def __init__(self, bank: Path, settings: TrainingSettings):
        if not (bank / "latents.npy").is_file():
            raise ValueError(
                f"The bank {str(bank)!r} has no latents; draw it with python -m "
                "gligen.training.bank and encode it with python -m gligen.training.autoencoder."
            )
        self._kind = kind_named(settings.kind)
        self.label_names = LABEL_NAMES if settings.kind == "semantic" else ()
        if self._kind.modality == MAP and self._kind.name not in MAP_KINDS:
            raise ValueError(
                f"The world has no maps of the kind {self._kind.name}; it has "
                f"{' and '.join(MAP_KINDS)}."
            )
        self._latents = np.load(bank / "latents.npy", mmap_mode="r")
        self._images = load_images(bank)
        self._scenes = load_scenes(bank)
        self.latent_size = (self._latents.shape[2], self._latents.shape[3])
        last = len(self._scenes) - NUM_VALIDATION
        self._usable = [i for i in range(last) if self._is_usable(self._scenes[i])]
        self._held_out = [
            i for i in range(max(0, last), len(self._scenes)) if self._is_usable(self._scenes[i])
        ]
        if not self._usable:
            raise ValueError(f"No scene of {str(bank)!r} can be used for the kind {settings.kind}.")

    def __len__(self) -> int:
        return len(self._usable)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Return a scene with a new caption and new words for its regions."""
        return self._example(self._usable[index], rng)

    def validation(self) -> list[Example]:
        """Return scenes of the held-out end of the bank."""
        held_out = self._held_out[:NUM_WATCHED]
        return [self._example(number, np.random.default_rng([19, number])) for number in held_out]

    def _example(self, number: int, rng: np.random.Generator) -> Example:
        scene = self._scenes[number]
        layout, hole = self._layout(number, rng), None
        if self._kind.is_inpainting:
            hole, inside = hole_in(layout, self.latent_size, rng)
            # Who repaints a hole often writes only what goes there.
            if inside.regions and len(inside) < len(layout) and rng.random() < 0.5:
                kept = {region.box for region in inside}
                objects = tuple(item for item in scene.objects if item.box in kept)
                persons = tuple(person for person in scene.persons if person.box in kept)
                scene = Scene(scene.background, objects, persons)
            layout = inside
        latents = torch.from_numpy(self._latents[number].astype(np.float32))
        return Example(compose_caption(scene, rng), layout, latents=latents, hole=hole)

    def requests(self, seed: int) -> list[Request]:
        """Return scenes of the held-out end of the bank, to be painted as samples."""
        rng = np.random.default_rng([seed, 13])
        requests = []
        for number in self._held_out[:NUM_SAMPLES]:
            layout = self._layout(number, rng)
            picture = Image.fromarray(self._images[number]) if self._kind.is_inpainting else None
            caption = compose_caption(self._scenes[number], rng)
            requests.append(
                Request(
                    caption,
                    layout,
                    num_inference_steps=20,
                    sampler="dpm++",
                    gate_schedule=1.0,
                    seed=number,
                    inpaint_image=picture,
                )
            )
        return requests

    def _is_usable(self, scene: Scene) -> bool:
        return bool(scene.persons if self._kind.modality == KEYPOINT else scene.things)

    def _layout(self, number: int, rng: np.random.Generator) -> Layout:
        scene = self._scenes[number]
        if self._kind.modality == KEYPOINT:
            return Layout(persons=tuple(Person(clipped(p.joints)) for p in scene.persons))
        if self._kind.modality == MAP:
            return Layout(map=self._map(number))
        regions = tuple(
            Region(item.name if rng.random() < 0.5 else with_article(item.name), item.box)
            for item in scene.things
        )
        layout = Layout(regions)
        if self._kind.modality == TEXT_IMAGE_BOX:
            return with_crops(layout, Image.fromarray(self._images[number]))
        return layout

    def _map(self, number: int) -> Image.Image:
        if self._kind.name == "semantic":
            return Image.fromarray(draw_labels(self._scenes[number]))
        picture = Image.fromarray(self._images[number])
        return canny_map(picture, picture.size)


def clipped(
    joints: tuple[tuple[float, float], ...],
) -> tuple[tuple[float, float] | None, ...]:
    """Return the joints, None where one lies outside the picture."""
    return tuple(
        (x, y) if 0 <= x <= 1 and 0 <= y <= 1 and (x, y) != (0, 0) else None for x, y in joints
    )
