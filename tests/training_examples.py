"""A small base on disk and random examples of every kind, for tests of the training."""

from pathlib import Path

import numpy as np
import torch

from gligen.kinds import kind_named
from gligen.layout import Layout
from gligen.person import Person
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.training.examples import Example
from tests.conftest import image_parts, small_pipeline, small_unet
from tests.test_grounding import layout_for, map_of, picture

CAPTIONS = ("a dog", "a sun and a cat", "a field", "")


class RandomExamples:
    """Noise with layouts; what an example is depends on its index alone."""

    def __init__(self, kind: str, size: int = 12):
        self.kind = kind_named(kind)
        self.latent_size = (8, 8)
        self.label_names = ("background", "thing") if kind == "semantic" else ()
        self._size = size

    def __len__(self) -> int:
        return self._size

    def example(self, index: int, rng: np.random.Generator) -> Example:
        own = np.random.default_rng([5, index])
        return Example(
            caption=CAPTIONS[rng.integers(len(CAPTIONS))],
            layout=self._layout(index, own),
            latents=torch.from_numpy(own.standard_normal((4, 8, 8), np.float32)),
            hole=own.random((8, 8)) < 0.5 if self.kind.is_inpainting else None,
        )

    def validation(self) -> list[Example]:
        return [self.example(index, np.random.default_rng(index)) for index in range(3)]

    def requests(self, seed: int) -> list[Request]:
        return [
            Request("a dog", layout_for(self.kind.name), num_inference_steps=1, seed=seed)
            for _ in range(2)
        ]

    def _layout(self, index: int, rng: np.random.Generator) -> Layout:
        if self.kind.modality == "keypoint":
            return Layout(persons=(Person(tuple(map(tuple, rng.random((17, 2)).tolist()))),))
        if self.kind.modality == "map":
            return Layout(map=map_of(self.kind.name, index))
        layout = Layout.from_lists(["a dog", "a sun"], [sorted_box(rng), sorted_box(rng)])
        if self.kind.modality != "text_image_box":
            return layout
        regions = [
            type(region)(region.phrase, region.box, picture(index + i))
            for i, region in enumerate(layout)
        ]
        return Layout(tuple(regions))


def sorted_box(rng: np.random.Generator) -> tuple[float, ...]:
    """Return a random box of some size."""
    x0, y0 = rng.random(2) * 0.5
    return (x0, y0, x0 + 0.1 + rng.random() * 0.4, y0 + 0.1 + rng.random() * 0.4)


def save_plain_base(folder: Path) -> Path:
    """Write a small plain Stable Diffusion as a diffusers folder."""
    model = small_pipeline()
    GligenPipeline(
        model.vae, model.text_encoder, model.tokenizer, small_unet(), model.scheduler
    ).save_pretrained(folder)
    return folder


def save_reading_parts(folder: Path) -> Path:
    """Write what reads reference pictures beside each other, as a training of it does."""
    for name, part in image_parts("generation_text_image_box").items():
        part.save_pretrained(folder / name)
    return folder
