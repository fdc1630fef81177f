"""What stage 2 sees of a bank: captions, and regions with the features of their phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.encoding import encode_phrases, encode_prompts
from gligen.layout import MAX_REGIONS
from gligen.tokenizers import BoxGrounding
from gligen.training.autoencoder import NUM_VALIDATION
from gligen.training.bank import World, load_scenes
from gligen.training.masks import random_hole
from gligen.world import ALL_SPRITE_NAMES, SPRITE_NAMES, Scene, SceneObject, compose_caption
from gligen.world.captions import with_article

# Known to a base of the larger world and left out of grounded training: placing them all the same
# is the open-set claim.
OPEN_SET_NAMES = ALL_SPRITE_NAMES[len(SPRITE_NAMES) :]


@dataclass(frozen=True)
class GroundingRecipe:
    """The settings of stage 2."""

    kind: str = "generation_text_box"
    num_steps: int = 1900
    batch_size: int = 32
    learning_rate: float = 1.2e-3  # peak, after 100 warm-up steps
    caption_dropout: float = 0.6  # picture from the regions alone
    grounding_dropout: float = 0.1  # null tokens in every slot
    early_share: float = 0.75  # samples with t >= early_from, where layout is decided
    early_from: int = 500
    max_objects: int = 4  # only scenes with at most so many; one or two make a start easier
    held_out: tuple[str, ...] = ()  # names that grounded training never sees, in word or picture
    seed: int = 0


class Vocabulary:
    """Features of the phrases that name sprites and persons: "dog" and "a dog"."""

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        names: Sequence[str] = SPRITE_NAMES,
    ):
        self.phrases = [*names, *(with_article(name) for name in names)]
        with torch.no_grad():
            self.features = encode_phrases(tokenizer, text_encoder, self.phrases)
        self._index = {phrase: i for i, phrase in enumerate(self.phrases)}

    def feature(self, phrase: str) -> Tensor:
        """Return the feature of a phrase, shape (D,).

        Raises:
            ValueError: the phrase is not one of this vocabulary's, held out from it perhaps.
        """
        if phrase not in self._index:
            raise ValueError(
                f"Grounded training met the phrase {phrase!r}, which its vocabulary does not hold; "
                f"it holds: {', '.join(self.phrases)}."
            )
        return self.features[self._index[phrase]]


@dataclass(frozen=True)
class Batch:
    """One batch of stage 2, on the device."""

    clean: Tensor  # [B, c, h, w] latents
    captions: list[str]
    grounding: BoxGrounding
    mask: Tensor | None  # [B, 1, h, w], 1 = known; None: generation


def mirrored(grounding: BoxGrounding) -> BoxGrounding:
    """Return the grounding with every box reflected through the middle of the picture."""
    boxes = 1 - grounding.boxes[..., [2, 3, 0, 1]]
    return BoxGrounding(boxes, grounding.masks, grounding.phrase_features)


def grounded_names(world: World, recipe: GroundingRecipe) -> tuple[str, ...]:
    """Return what regions of grounded training may show.

    Raises:
        ValueError: a name is held out that the world does not have.
    """
    names = (*world.names, "person") if world.person_share else world.names
    unknown = [name for name in recipe.held_out if name not in names]
    if unknown:
        raise ValueError(
            f"{unknown[0]!r} cannot be held out: the bank's scenes show {', '.join(names)}."
        )
    return tuple(name for name in names if name not in recipe.held_out)


class SceneBatches:
    """Batches of the bank as stage 2 sees them; the same step always gives the same batch."""

    def __init__(self, bank: Path, vocabulary: Vocabulary, recipe: GroundingRecipe, device: str):
        self.latents = np.load(bank / "latents.npy", mmap_mode="r")
        self.scenes = load_scenes(bank)
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.device = device
        seen = [
            not any(thing.name in recipe.held_out for thing in scene.things)
            for scene in self.scenes
        ]
        few = [len(scene.things) <= recipe.max_objects for scene in self.scenes]
        self._usable = np.flatnonzero(np.logical_and(seen, few)[:-NUM_VALIDATION])
        first = max(0, len(self.scenes) - NUM_VALIDATION)
        self._validation = first + np.flatnonzero(seen[-NUM_VALIDATION:])
        if not len(self._usable) or not len(self._validation):
            raise ValueError(
                f"No scene of {bank} is left to train on without {', '.join(recipe.held_out)} and "
                f"with at most {recipe.max_objects} things."
            )

    def training(self, step: int) -> Batch:
        """Draw the batch of a step."""
        rng = np.random.default_rng([self.recipe.seed, 3, step])
        chosen = np.sort(rng.choice(self._usable, self.recipe.batch_size))
        return self._batch(chosen, rng, self.recipe.caption_dropout, self.recipe.grounding_dropout)

    def validation(self, size: int = 128) -> Batch:
        """Return the fixed batch for the paired loss (at most `size`): all captions, all boxes."""
        chosen = self._validation[-size:]
        return self._batch(chosen, np.random.default_rng(0), 0.0, 0.0)

    def _batch(
        self,
        chosen: np.ndarray,
        rng: np.random.Generator,
        caption_dropout: float,
        grounding_dropout: float,
    ) -> Batch:
        clean = torch.from_numpy(self.latents[chosen]).float().to(self.device)
        boxes = torch.zeros(len(chosen), MAX_REGIONS, 4)
        masks = torch.zeros(len(chosen), MAX_REGIONS)
        features = torch.zeros(len(chosen), MAX_REGIONS, self.vocabulary.features.shape[1])
        captions, holes = [], []
        for row, index in enumerate(chosen):
            scene = self.scenes[index]
            objects = list(scene.things)
            if self.recipe.kind.startswith("inpainting"):
                places = [item.box for item in objects]
                hole, covered = random_hole(places, (clean.shape[2], clean.shape[3]), rng)
                objects = [objects[place] for place in covered]
                holes.append(hole)
            captions.append(self._caption(scene, objects, rng, caption_dropout))
            if rng.random() < grounding_dropout:
                continue
            for slot, item in enumerate(objects):
                phrase = item.name if rng.random() < 0.5 else with_article(item.name)
                boxes[row, slot] = torch.tensor(item.box)
                masks[row, slot] = 1
                features[row, slot] = self.vocabulary.feature(phrase)
        grounding = BoxGrounding(
            boxes.to(self.device), masks.to(self.device), features.to(self.device)
        )
        mask = None
        if holes:
            mask = 1 - torch.from_numpy(np.stack(holes)).float()[:, None].to(self.device)
        return Batch(clean, captions, grounding, mask)

    def _caption(
        self, scene: Scene, objects: list[SceneObject], rng: np.random.Generator, dropout: float
    ) -> str:
        if rng.random() < dropout:
            return ""
        # A person who repaints a hole often writes only what goes there.
        if len(objects) < len(scene.things) and rng.random() < 0.5 and objects:
            scene = Scene(scene.background, tuple(objects))
        return compose_caption(scene, rng)


@torch.no_grad()
def encode(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Encode captions, each different one once."""
    distinct = list(dict.fromkeys(captions))
    encoded = encode_prompts(tokenizer, text_encoder, distinct)
    return encoded[[distinct.index(caption) for caption in captions]]
