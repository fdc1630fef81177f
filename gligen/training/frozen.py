"""Features of the phrases and pictures of a batch, from encoders that no training changes.

A phrase is encoded once in a run, alone, so that its feature does not depend, in its last bits, on
what else was in the batch: a run that was cut goes on with the same numbers. Pictures are seldom
seen twice (in the world each scene shows its own), so they are encoded together; where they are
(crops of the user's files), a folder keeps their features.

Shapes: N phrases or pictures, D width of a feature.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.components import Components
from gligen.data.features import FeatureCache, fingerprint
from gligen.encoding import encode_phrases
from gligen.references import REFERENCE_NORM, encode_references, square_picture

MOST_PHRASES = 20_000  # kept in memory; of 768 numbers each they take 61 MB


class FrozenEncoders:
    """What a training asks for the features of phrases and pictures.

    Args:
        components: of the model that is trained.
        folder: keeps features on disk from run to run, under keys of their content and of the
            encoder's weights; None: nothing is kept.
    """

    def __init__(self, components: Components, folder: Path | None = None):
        self._components = components
        self._phrases: dict[str, Tensor] = {}
        self._texts = self._pictures = None
        if folder is not None:
            vocabulary = sorted(components.tokenizer.get_vocab().items())
            of_texts = fingerprint(components.text_encoder, vocabulary, "phrase")
            self._texts = FeatureCache(folder, of_texts, batch_size=1)
        if folder is not None and components.image_encoder is not None:
            projection = components.image_project
            assert projection is not None, "comes with the image encoder"
            both = fingerprint(projection), repr(components.processor), REFERENCE_NORM
            self._pictures = FeatureCache(
                folder, fingerprint(components.image_encoder, *both), batch_size=1
            )

    @torch.no_grad()
    def phrases(self, phrases: Sequence[str]) -> Float[Tensor, "N D"]:
        """Return the feature of each phrase; see `gligen.encoding.encode_phrases`."""
        for phrase in phrases:
            if phrase not in self._phrases:
                if len(self._phrases) >= MOST_PHRASES:
                    self._phrases.clear()
                self._phrases[phrase] = self._phrase(phrase)
        return torch.stack([self._phrases[phrase] for phrase in phrases])

    def _phrase(self, phrase: str) -> Float[Tensor, " D"]:
        models = self._components.tokenizer, self._components.text_encoder
        if self._texts is None:
            return encode_phrases(*models, [phrase])[0]
        feature = self._texts.of_texts([phrase], lambda texts: encode_phrases(*models, texts))[0]
        return feature.to(self._components.device)

    @torch.no_grad()
    def pictures(self, pictures: Sequence[Image.Image]) -> Float[Tensor, "N D"]:
        """Return the feature of each picture, as `gligen.references.encode_references` does."""
        if self._pictures is None:
            return encode_together(self._components, pictures)
        parts = _reading(self._components)
        features = self._pictures.of_pictures(
            pictures, lambda found: encode_references(*parts, found)
        )
        return features.to(self._components.device)


def encode_together(
    components: Components, pictures: Sequence[Image.Image]
) -> Float[Tensor, "N D"]:
    """Return what `encode_references` does but for the last bits, from one call of the encoder."""
    encoder, projection, processor = _reading(components)
    side = encoder.config.image_size
    squares = [square_picture(picture, side, crop=False) for picture in pictures]
    normaliser = getattr(processor, "image_processor", processor)
    inputs = normaliser(images=squares, do_resize=False, do_center_crop=False, return_tensors="pt")
    pixels = inputs["pixel_values"].to(encoder.device, encoder.dtype)
    features = projection(encoder(pixels).image_embeds.to(projection.dtype)).float()
    return features / features.norm(dim=1, keepdim=True) * REFERENCE_NORM


def _reading(components: Components) -> tuple[Any, CLIPImageProjection, Any]:
    """Return image encoder, projection and processor.

    Raises:
        ValueError: the model has none.
    """
    encoder, projection = components.image_encoder, components.image_project
    if encoder is None or not isinstance(projection, CLIPImageProjection):
        raise ValueError(
            "The layouts have reference pictures, and the model nothing to read them with; set "
            "image_encoder and projection, or give a base that has them."
        )
    return encoder, projection, components.processor
