"""Features of a batch: each phrase once, pictures together, and kept on disk where asked."""

import pytest
import torch

from gligen.encoding import encode_phrases
from gligen.references import encode_references
from gligen.training import frozen
from gligen.training.frozen import FrozenEncoders
from tests.conftest import small_pipeline
from tests.test_grounding import picture

KIND = "generation_text_image_box"


@pytest.fixture
def components():
    return small_pipeline(KIND)._components


def counted(monkeypatch, name):
    """Count what an encoder of the module is asked for."""
    seen = []
    real = getattr(frozen, name)

    def count(*args):
        seen.append(args[-1])
        return real(*args)

    monkeypatch.setattr(frozen, name, count)
    return seen


def test_a_phrase_is_encoded_once_in_a_run(components, monkeypatch):
    seen = counted(monkeypatch, "encode_phrases")
    encoders = FrozenEncoders(components)
    first = encoders.phrases(["a dog", "a sun"])
    again = encoders.phrases(["a sun", "a cat", "a dog"])
    assert seen == [["a dog"], ["a sun"], ["a cat"]]
    assert torch.equal(first[0], again[2])
    with torch.no_grad():
        expected = encode_phrases(components.tokenizer, components.text_encoder, ["a dog", "a sun"])
    assert torch.allclose(first, expected, atol=1e-5)


def test_memory_is_bounded(components, monkeypatch):
    monkeypatch.setattr(frozen, "MOST_PHRASES", 2)
    encoders = FrozenEncoders(components)
    for phrase in ("a", "b", "c"):
        encoders.phrases([phrase])
    assert set(encoders._phrases) == {"c"}


def test_pictures_together_are_as_one_by_one(components):
    pictures = [picture(1, (40, 30)), picture(2, (12, 50))]
    parts = components.image_encoder, components.image_project, components.processor
    expected = encode_references(*parts, pictures)
    found = FrozenEncoders(components).pictures(pictures)
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found[0], found[1], atol=1e-2)


def test_features_are_kept_until_the_encoder_changes(components, monkeypatch, tmp_path):
    encoders = FrozenEncoders(components, tmp_path)
    pictures = [picture(1), picture(2)]
    expected = encoders.phrases(["a dog"]), encoders.pictures(pictures)
    words = counted(monkeypatch, "encode_phrases")
    looks = counted(monkeypatch, "encode_references")
    later = FrozenEncoders(components, tmp_path)
    assert torch.equal(later.phrases(["a dog"]), expected[0])
    assert torch.equal(later.pictures(pictures), expected[1])
    assert not words
    assert not looks
    with torch.no_grad():
        components.text_encoder.get_parameter("final_layer_norm.bias").add_(1.0)
        components.image_project.project.weight.mul_(-1)
    changed = FrozenEncoders(components, tmp_path)
    assert not torch.allclose(changed.phrases(["a dog"]), expected[0])
    assert torch.allclose(changed.pictures(pictures), -expected[1], atol=1e-5)


def test_without_eyes_it_says_so():
    with pytest.raises(ValueError, match="nothing to read them with; set image_encoder"):
        FrozenEncoders(small_pipeline()._components).pictures([picture(1)])
