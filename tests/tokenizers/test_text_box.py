"""Phrases in boxes. The recorded figures are checked in `tests/test_parity.py`."""

import pytest
import torch

from gligen.attention import Grounding
from gligen.tokenizers import BoxGrounding, TextBoxTokenizer, tokenizer_like
from tests.tokenizers.filled import filled, random


def grounding(**changes) -> BoxGrounding:
    masks = torch.tensor([[1.0, 1, 0, 0], [1, 0, 0, 0]])
    fields = {"boxes": random(2, 4, 4), "masks": masks, "phrase_features": random(2, 4, 6, seed=1)}
    return BoxGrounding(**fields | changes)


@pytest.fixture
def tokenizer() -> TextBoxTokenizer:
    return filled(TextBoxTokenizer(6, 5))


def test_one_token_for_each_slot(tokenizer):
    tokens = tokenizer.tokens(grounding())
    assert tokens.shape == (2, 4, 5)
    assert torch.equal(tokens[0, 2], tokens[1, 3])  # padded slots are all alike
    assert not torch.equal(tokens[0, 0], tokens[0, 2])


@pytest.mark.parametrize("changed", ["boxes", "phrase_features"])
def test_a_token_depends_on_its_own_slot_alone(tokenizer, changed):
    before = grounding()
    values = getattr(before, changed).clone()
    values[0, 1] += 0.1
    after = tokenizer.tokens(grounding(**{changed: values}))
    moved = (after != tokenizer.tokens(before)).any(-1)
    assert moved.tolist() == [[False, True, False, False], [False] * 4]


def test_half_a_mask_lies_between(tokenizer):
    full, half = grounding().masks, grounding().masks / 2
    tokens = [tokenizer.tokens(grounding(masks=m))[0, 0] for m in (full, half, 0 * full)]
    assert not torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens[1], tokens[2])


def test_null_is_a_layout_without_regions(tokenizer):
    null = tokenizer.tokens(grounding().null())
    assert torch.equal(null, tokenizer.tokens(grounding())[0, 3].expand(2, 4, -1))


def test_it_answers_diffusers_arguments(tokenizer):
    given = grounding()
    answered = tokenizer(
        boxes=given.boxes, masks=given.masks, positive_embeddings=given.phrase_features
    )
    assert torch.equal(answered.tokens, tokenizer.tokens(given))
    assert answered.gate_scale == 1.0
    ready = Grounding(given.phrase_features, 0.5)
    assert tokenizer(ready) is ready
    with pytest.raises(ValueError, match="part of a layout"):
        tokenizer(boxes=given.boxes)


def test_its_sizes_are_read_off_its_weights(tokenizer):
    state = {f"position_net.{key}": value for key, value in tokenizer.state_dict().items()}
    copy = tokenizer_like(state)
    copy.load_state_dict(tokenizer.state_dict())
    assert torch.equal(copy.tokens(grounding()), tokenizer.tokens(grounding()))
    del state["position_net.linears.4.weight"]
    with pytest.raises(ValueError, match=r"linears.4.weight' is missing"):
        tokenizer_like(state)
    with pytest.raises(ValueError, match="of no known kind"):
        tokenizer_like({"position_net.linears.0.weight": torch.zeros(2, 2)})
