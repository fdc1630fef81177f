"""Captions of a bank as token ids, composed before training so that a fast device never waits."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from gligen.world import Scene, compose_caption

CHUNK = 1000  # scenes captioned from one seed; part of the recipe


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return token ids padded to the tokenizer's full length, (N, L)."""
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids


def caption_ids(
    scenes: Sequence[Scene],
    tokenizer: CLIPTokenizer,
    captions_per_scene: int,
    location_share: float,
    seed: int,
) -> np.ndarray:
    """Compose several captions of each scene: int16 token ids (N, captions_per_scene, L)."""
    chunks = [scenes[start : start + CHUNK] for start in range(0, len(scenes), CHUNK)]
    seeds = [(seed, 2, index) for index in range(len(chunks))]
    compose = partial(_compose, count=captions_per_scene, location_share=location_share)
    parts = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for captions in pool.map(compose, chunks, seeds):
            # Each wording once: many are alike, and tokenizing is the slow part.
            distinct, places = np.unique(captions, return_inverse=True)
            ids = tokenize(tokenizer, distinct.tolist()).to(torch.int16).numpy()
            parts.append(ids[places].reshape(-1, captions_per_scene, ids.shape[1]))
    return np.concatenate(parts)


def _compose(
    scenes: Sequence[Scene], seed: tuple[int, ...], count: int, location_share: float
) -> list[str]:
    rng = np.random.default_rng(seed)
    return [compose_caption(scene, rng, location_share) for scene in scenes for _ in range(count)]
