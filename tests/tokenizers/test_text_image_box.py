"""Phrases and pictures in boxes. The recorded figures are checked in `tests/test_parity.py`."""

import pytest
import torch

from gligen.tokenizers import TextImageBoxTokenizer, TextImageGrounding, tokenizer_like
from tests.tokenizers.filled import filled, random

MASKS = torch.tensor([[1.0, 1, 1, 0]])
PHRASES = torch.tensor([[1.0, 0, 0, 0]])
IMAGES = torch.tensor([[0.0, 1, 0, 0]])


def grounding(**changes) -> TextImageGrounding:
    fields = {
        "boxes": random(1, 4, 4),
        "masks": MASKS,
        "phrase_masks": PHRASES,
        "image_masks": IMAGES,
        "phrase_features": random(1, 4, 6, seed=1),
        "image_features": random(1, 4, 6, seed=2),
    }
    return TextImageGrounding(**fields | changes)


@pytest.fixture
def tokenizer() -> TextImageBoxTokenizer:
    return filled(TextImageBoxTokenizer(6, 5))


@pytest.mark.parametrize(
    ("changed", "tokens"),
    [
        # Slots 0-3 give phrase tokens 0-3 and picture tokens 4-7; only what masks show counts.
        ("phrase_features", [0]),
        ("image_features", [5]),
        ("boxes", [0, 1, 2, 4, 5, 6]),
    ],
)
def test_each_input_reaches_its_tokens(tokenizer, changed, tokens):
    before = grounding()
    after = grounding(**{changed: getattr(before, changed) + 0.1})
    moved = (tokenizer.tokens(before) != tokenizer.tokens(after)).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == tokens


def test_a_region_with_neither_still_has_its_box(tokenizer):
    tokens = tokenizer.tokens(grounding())[0]
    assert not torch.equal(tokens[2], tokens[3])
    assert not torch.equal(tokens[6], tokens[7])


def test_null_is_a_layout_without_regions(tokenizer):
    null = tokenizer.tokens(grounding().null())[0]
    tokens = tokenizer.tokens(grounding())[0]
    assert torch.equal(null[0], tokens[3])
    assert torch.equal(null[4], tokens[7])
    assert not torch.equal(null[0], null[4])


def test_it_answers_diffusers_arguments(tokenizer):
    given = grounding()
    arguments = {
        "boxes": given.boxes,
        "masks": given.masks,
        "phrases_embeddings": given.phrase_features,
        "image_embeddings": given.image_features,
    }
    every = tokenizer(**arguments).tokens
    assert torch.equal(every, tokenizer.tokens(grounding(phrase_masks=MASKS, image_masks=MASKS)))
    some = tokenizer(**arguments, phrases_masks=PHRASES, image_masks=IMAGES).tokens
    assert torch.equal(some, tokenizer.tokens(given))
    with pytest.raises(ValueError, match="part of a layout"):
        tokenizer(boxes=given.boxes)


def test_its_sizes_are_read_off_its_weights(tokenizer):
    state = {f"position_net.{key}": value for key, value in tokenizer.state_dict().items()}
    copy = tokenizer_like(state)
    copy.load_state_dict(tokenizer.state_dict())
    assert torch.equal(copy.tokens(grounding()), tokenizer.tokens(grounding()))
