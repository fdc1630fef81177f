"""The embedded model's tokenizer and text encoder: CLIP's form, a small vocabulary."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from gligen.training.bank import FIRST_WORLD, World
from gligen.world import compose_caption, sample_scene

START, END = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 48
WIDTH = 192

# Words that people write and captions do not contain; each becomes one token.
EXTRA_WORDS = [
    "the",
    "with",
    "two",
    "three",
    "and",
    "near",
    "beside",
    "above",
    "below",
    "under",
    "over",
    "big",
    "small",
    "large",
    "little",
    "happy",
    "cute",
    "bright",
    "dark",
    "beautiful",
    "photo",
    "picture",
    "drawing",
    "painting",
    "illustration",
    "style",
    "emoji",
    "cartoon",
    "scene",
    "background",
    "foreground",
    "left",
    "right",
    "top",
    "bottom",
    "middle",
    "center",
    "corner",
    "sky",
    "night",
    "day",
    "evening",
    "morning",
    "sunset",
    "sunrise",
    "sand",
    "grass",
    "snow",
    "winter",
    "summer",
    "water",
    "sea",
    "ocean",
    "room",
    "indoors",
    "floor",
    "wall",
    "stars",
    "cloud",
    "clouds",
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "white",
    "gray",
    "black",
    "brown",
]


PERSON_WORDS = ["person", "persons", "people", "man", "woman", "child"]


def known_words(world: World) -> list[str]:
    """Return the words that become one token each in the vocabulary for `world`."""
    names = " ".join(world.names).split()
    return [*names, *EXTRA_WORDS, *(PERSON_WORDS if world.person_share else [])]


def make_tokenizer(world: World = FIRST_WORLD) -> CLIPTokenizer:
    """Learn byte-pair merges until every known word is one token; other words fall into letters."""
    rng = np.random.default_rng(0)
    scenes = (
        sample_scene(rng, names=world.names, person_share=world.person_share) for _ in range(3000)
    )
    captions = [compose_caption(scene, rng, 0.5).lower() for scene in scenes]
    captions += [" ".join(world.names)] * 20 + [" ".join(EXTRA_WORDS)] * 20
    if world.person_share:
        captions += [" ".join(PERSON_WORDS)] * 20
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=2000, min_frequency=2, end_of_word_suffix="</w>")
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]

    # CLIP's order: bytes, bytes that end a word, merges, the two special tokens.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = alphabet + [byte + "</w>" for byte in alphabet]
    pieces += [left + right for left, right in merges]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, START, END]))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the untrained text encoder for `tokenizer`."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=6,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=WIDTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def save_text(folder: Path, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel) -> None:
    """Save both in the folders that a diffusers pipeline expects."""
    tokenizer.save_pretrained(folder / "tokenizer")
    text_encoder.save_pretrained(folder / "text_encoder")
