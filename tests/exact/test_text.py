"""All texts of a request in one pass, kept for the next request with the same texts."""

import gc

import pytest
import torch

from gligen.encoding import encode_phrases, encode_prompts
from gligen.exact import text as exact_text
from gligen.exact.text import KEPT_BATCHES, read_texts
from gligen.layout import Layout
from gligen.request import Request
from tests.conftest import small_pipeline

LAYOUT = Layout.from_lists(["a dog", "a cat"], [(0.1, 0.1, 0.6, 0.6), (0.5, 0.4, 1, 1)])


@pytest.fixture
def pipeline():
    return small_pipeline()


@pytest.fixture
def passes(pipeline):
    """Count the passes of the text encoder, by the number of texts in each."""
    counted = []
    pipeline.text_encoder.register_forward_hook(
        lambda module, args, kwargs, output: counted.append(len(output.last_hidden_state)),
        with_kwargs=True,
    )
    return counted


def request(prompt: str = "a sun", **changes) -> Request:
    return Request(prompt, LAYOUT, num_inference_steps=1, seed=1, **changes)


def test_a_request_needs_one_pass(pipeline, passes):
    pipeline.generate(request(negative_prompt="a cat"))
    assert passes == [3]  # "a cat" is negative prompt and phrase


def test_the_same_texts_need_none_again(pipeline, passes):
    first = pipeline.generate(request())
    again = pipeline.generate(request())
    assert passes == [4]
    assert first.images[0].tobytes() == again.images[0].tobytes()
    pipeline.generate(request("a moon"))
    assert passes == [4, 4]


def test_texts_are_as_they_are_alone(pipeline):
    models = pipeline.tokenizer, pipeline.text_encoder
    texts = ["a dog", "", "a sun"]
    batch = read_texts(*models, ["a sun", ""], ["a dog", "a sun"])
    assert torch.allclose(batch.prompts(texts), encode_prompts(*models, texts), atol=1e-6)
    words = ["a sun", "a dog"]
    assert torch.allclose(batch.phrases(words), encode_phrases(*models, words), atol=1e-6)
    skipped = read_texts(*models, texts, texts, clip_skip=1)
    expected = encode_prompts(*models, texts, clip_skip=1)
    assert torch.allclose(skipped.prompts(texts), expected, atol=1e-6)
    assert torch.allclose(skipped.phrases(words), encode_phrases(*models, words), atol=1e-6)
    assert not torch.allclose(skipped.prompts(texts), batch.prompts(texts), atol=1e-3)


def test_a_changed_encoder_reads_anew(pipeline, passes):
    models = pipeline.tokenizer, pipeline.text_encoder
    before = read_texts(*models, ["a sun"], [])
    next(pipeline.text_encoder.parameters()).data.mul_(1.5)
    assert not torch.equal(before.states, read_texts(*models, ["a sun"], []).states)
    assert passes == [1, 1]


def test_other_settings_are_other_batches(pipeline, passes):
    models = pipeline.tokenizer, pipeline.text_encoder
    for settings in ({}, {"clip_skip": 1}, {"lora_strength": 0.5}, {}):
        read_texts(*models, ["a sun"], [], **settings)
    assert passes == [1, 1, 1]


def test_only_the_last_batches_are_kept(pipeline, passes):
    models = pipeline.tokenizer, pipeline.text_encoder
    for index in range(KEPT_BATCHES + 1):
        read_texts(*models, [f"a sun {index}"], [])
    read_texts(*models, [f"a sun {KEPT_BATCHES}"], [])
    assert len(passes) == KEPT_BATCHES + 1
    read_texts(*models, ["a sun 0"], [])
    assert len(passes) == KEPT_BATCHES + 2
    assert len(exact_text._kept[pipeline.text_encoder]) == KEPT_BATCHES


def test_batches_go_with_their_encoder():
    pipeline = small_pipeline()
    read_texts(pipeline.tokenizer, pipeline.text_encoder, ["a sun"], [])
    known = len(exact_text._kept)
    del pipeline
    gc.collect()
    assert len(exact_text._kept) < known


def test_a_phrase_that_is_too_long_is_refused_and_a_prompt_is_cut(pipeline, caplog):
    models, long = (pipeline.tokenizer, pipeline.text_encoder), "dog " * 40
    with pytest.raises(ValueError, match="has 40 tokens; the text encoder reads at most 22"):
        read_texts(*models, ["a sun"], [long])
    read_texts(*models, [long], [])
    assert "this was cut off" in caplog.text
