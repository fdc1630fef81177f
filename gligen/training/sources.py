"""Where the examples of a training come from: the user's own pictures, or the synthetic world."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image

from gligen.data import Dataset, Sample, open_dataset
from gligen.data.augment import CENTRE, RANDOM, Augmentation, View, augment
from gligen.kinds import MAP, TEXT_IMAGE_BOX, kind_named
from gligen.layout import Layout, Region
from gligen.pictures.images import flattened
from gligen.request import Request
from gligen.training.examples import Example, ExampleSource
from gligen.training.masks import random_hole
from gligen.training.settings import TrainingSettings

WORLD = "world:"  # what `data` begins with for a bank of the synthetic world
NUM_SAMPLES = 4  # pictures on a sheet of samples
SAMPLE_STEPS = 20
LARGEST_CROP = 448  # pixels of a reference picture's longer side; twice what CLIP reads


class FileExamples:
    """Examples of a dataset of the user's own pictures.

    Args:
        dataset: of samples that the kind can be trained on.
        settings: how pictures are cut and flipped.
        image_size: pixels, both sides of what is trained on.
        pixels_per_latent: of the autoencoder.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: TrainingSettings,
        image_size: int,
        pixels_per_latent: int,
    ):
        side = image_size // pixels_per_latent
        self.latent_size = (side, side)
        self.label_names = ()  # a dataset's own numbers come without names
        self._dataset = dataset
        self._kind = kind_named(settings.kind)
        self._options = Augmentation(
            size=(image_size, image_size),
            flip=0.5 if settings.flip else 0.0,
            crop=RANDOM if settings.crop else CENTRE,
            map_kind=settings.kind if self._kind.modality == MAP else None,
        )

    def __len__(self) -> int:
        return len(self._dataset)

    def example(self, index: int, rng: np.random.Generator) -> Example:
        """Open a picture, cut a view, and for inpainting draw a hole."""
        sample = self._dataset[index]
        caption = sample.caption(rng)
        view = self._view(sample, self._options, rng, caption)
        layout, hole = view.layout, None
        if self._kind.is_inpainting:
            hole, layout = hole_in(layout, self.latent_size, rng)
        return Example(caption, layout, pixels=as_pixels(view.picture), hole=hole)

    def validation(self) -> list[Example]:
        """Return none: all of the user's pictures are trained on."""
        return []

    def requests(self, seed: int) -> list[Request]:
        """Return what to paint as samples: the first pictures' captions and layouts, uncropped."""
        still = replace(self._options, flip=0.0, crop=CENTRE)
        requests = []
        for index in range(min(NUM_SAMPLES, len(self))):
            sample = self._dataset[index]
            rng = np.random.default_rng([seed, 13, index])
            caption = sample.caption(rng)
            view = self._view(sample, still, rng, caption)
            layout = view.layout
            is_paintable = (
                bool(layout.regions) if self._kind.is_inpainting else bool(caption.strip())
            )
            if is_paintable or (layout and not self._kind.is_inpainting):
                requests.append(
                    Request(
                        caption,
                        layout,
                        num_inference_steps=SAMPLE_STEPS,
                        sampler="dpm++",
                        seed=index,
                        inpaint_image=view.picture if self._kind.is_inpainting else None,
                    )
                )
        return requests

    def _view(
        self, sample: Sample, options: Augmentation, rng: np.random.Generator, caption: str
    ) -> View:
        """Cut a view of a sample, with what the kind reads of its layout."""
        modality = self._kind.modality
        layout = sample.open_layout() if modality == MAP else sample.layout
        layout = layout_for(modality, layout)
        picture = sample.open_picture()
        if modality == TEXT_IMAGE_BOX:
            # Of the whole picture, not of the view: finer, and the same in every epoch, so that
            # their features can be kept.
            layout = with_crops(layout, picture)
        return augment(picture, layout, options, rng, (caption,))


def open_examples(
    settings: TrainingSettings, image_size: int, pixels_per_latent: int
) -> ExampleSource:
    """Open the data that the settings name: files, or `world:FOLDER`, a bank of drawn scenes.

    Raises:
        ValueError: it cannot be read, or has nothing that the kind can be trained on.
    """
    if settings.data.startswith(WORLD):
        from gligen.training.world_examples import WorldExamples

        return WorldExamples(Path(settings.data.removeprefix(WORLD)), settings)
    dataset = open_dataset(Path(settings.data)).for_kind(settings.kind)
    return FileExamples(dataset, settings, image_size, pixels_per_latent)


def layout_for(modality: str, layout: Layout) -> Layout:
    """Return the part of a layout that a modality reads."""
    if modality == MAP:
        return Layout(map=layout.map)
    if modality == "keypoint":
        return Layout(persons=layout.persons)
    return Layout(tuple(region for region in layout if region.phrase))


def with_crops(layout: Layout, picture: Image.Image) -> Layout:
    """Give every region what the picture shows there as its reference picture."""
    regions = []
    for region in layout:
        x0, y0, x1, y1 = region.box
        left, top = int(x0 * picture.width), int(y0 * picture.height)
        right = max(left + 1, round(x1 * picture.width))
        bottom = max(top + 1, round(y1 * picture.height))
        crop = picture.crop((left, top, right, bottom))
        crop.thumbnail((LARGEST_CROP, LARGEST_CROP), Image.Resampling.BICUBIC)
        regions.append(Region(region.phrase, region.box, crop))
    return Layout(tuple(regions))


def hole_in(
    layout: Layout, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "h w"], Layout]:
    """Draw a hole, and return the layout of what belongs into it."""
    hole, chosen = random_hole(layout.boxes, size, rng)
    return hole, Layout(tuple(layout.regions[index] for index in chosen))


def as_pixels(picture: Image.Image) -> torch.Tensor:
    """Return an RGB picture as [3, H, W] in [-1, 1]."""
    pixels = np.asarray(flattened(picture, "The picture"), np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1
