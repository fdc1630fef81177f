"""Joints of persons. The recorded figures are checked in `tests/test_parity.py`."""

import pytest
import torch

from gligen.tokenizers import KeypointGrounding, KeypointTokenizer, tokenizer_like
from tests.tokenizers.filled import filled, random


def grounding(num_persons: int = 2) -> KeypointGrounding:
    masks = torch.zeros(1, 34)
    masks[0, : 17 * num_persons] = 1
    masks[0, 3] = 0
    return KeypointGrounding(random(1, 34, 2), masks)


@pytest.fixture
def tokenizer() -> KeypointTokenizer:
    return filled(KeypointTokenizer(2, 6))


def test_a_joint_moves_its_own_token(tokenizer):
    before = grounding()
    points = before.points.clone()
    points[0, 20, 1] += 0.1
    points[0, 3] += 0.1  # not seen
    after = tokenizer.tokens(KeypointGrounding(points, before.masks))
    moved = (after != tokenizer.tokens(before)).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [20]


def test_person_and_joint_are_told_apart(tokenizer):
    here = KeypointGrounding(torch.full((1, 34, 2), 0.5), torch.ones(1, 34))
    tokens = tokenizer.tokens(here)[0]
    assert len(tokens.unique(dim=0)) == 34


def test_an_unseen_joint_loses_everything(tokenizer):
    tokens = tokenizer.tokens(grounding(num_persons=1))[0]
    assert torch.equal(tokens[3], tokens[20])
    null = tokenizer.tokens(grounding().null())[0]
    assert torch.equal(null, tokens[3].expand(34, -1))


def test_its_sizes_are_read_off_its_weights(tokenizer):
    state = {f"position_net.{key}": value for key, value in tokenizer.state_dict().items()}
    copy = tokenizer_like(state)
    assert isinstance(copy, KeypointTokenizer)
    assert copy.max_persons == 2
    copy.load_state_dict(tokenizer.state_dict())
    assert torch.equal(copy.tokens(grounding()), tokenizer.tokens(grounding()))
