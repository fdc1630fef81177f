import pytest
import torch
from safetensors.torch import save_file

from gligen.addons.textual_inversion import spell_out
from gligen.encoding import check_length, count_tokens, encode_phrases
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from tests.addon_models import LAYOUT, far, latents

PHRASE = Layout.from_lists(["<cat-toy>", "a cat"], LAYOUT.boxes)


def vectors(number: int = 1, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"<cat-toy>": torch.randn(number, 32, generator=generator)}


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize(
    "changes", [{"prompt": "a <cat-toy>"}, {"negative_prompt": "<cat-toy>"}, {"layout": PHRASE}]
)
def test_a_learned_word_acts_where_it_stands_and_leaves_nothing(pipeline, changes, number):
    before, without = latents(pipeline, **changes), latents(pipeline)
    pipeline.load_textual_inversion(vectors(number))
    loaded = latents(pipeline, **changes)
    assert far(loaded, before)
    assert torch.equal(latents(pipeline), without)
    pipeline.unload_textual_inversion()
    assert torch.equal(latents(pipeline, **changes), before)
    pipeline.load_textual_inversion(vectors(number, seed=1))
    assert far(latents(pipeline, **changes), loaded)


@pytest.mark.parametrize("where", ["prompt", "layout"])
def test_every_vector_of_a_word_is_read(pipeline, where):
    changes = {"prompt": {"prompt": "a <cat-toy>"}, "layout": {"layout": PHRASE}}[where]
    results = []
    for sign in (1, -1):
        values = vectors(3)["<cat-toy>"].clone()
        values[2] *= sign
        pipeline.load_textual_inversion({"<cat-toy>": values})
        results.append(latents(pipeline, **changes))
        pipeline.unload_textual_inversion()
    assert far(*results)


def test_a_request_reads_learned_words(pipeline):
    request = Request(prompt="a <cat-toy>", layout=PHRASE, num_inference_steps=2, seed=1)

    def last() -> torch.Tensor:
        *_, step, _ = pipeline.stream(request)
        return step.latents

    before = last()
    pipeline.load_textual_inversion(vectors(2))
    assert far(last(), before)
    pipeline.unload_textual_inversion()
    assert torch.equal(last(), before)


def test_the_feature_of_a_phrase_is_read_at_its_end_not_at_the_learned_word(pipeline):
    """In SD 1.x's configuration the end token is 2, and CLIP then looks for the largest id."""
    encoder, tokenizer = pipeline.text_encoder, pipeline.tokenizer
    pipeline.load_textual_inversion(vectors())

    def feature(phrase: str) -> torch.Tensor:
        with torch.no_grad():
            return encode_phrases(tokenizer, encoder, [phrase])[0]

    modern = feature("<cat-toy> in the sun")
    inner = getattr(encoder, "text_model", encoder)
    inner.eos_token_id = 2
    assert torch.equal(feature("<cat-toy> in the sun"), modern)
    # The word stands first, and CLIP's attention is causal: only the end has read the rest.
    assert far(feature("<cat-toy> in a cat"), modern)


def test_without_learned_words_the_feature_is_clips_pooled_one(pipeline):
    encoder, tokenizer = pipeline.text_encoder, pipeline.tokenizer
    phrases = ["a dog", "a cat in the sun"]
    encoded = tokenizer(phrases, padding=True, return_tensors="pt")
    with torch.no_grad():
        pooled = encoder(encoded.input_ids, attention_mask=encoded.attention_mask).pooler_output
        assert torch.equal(encode_phrases(tokenizer, encoder, phrases), pooled)


def test_spelling_out(pipeline):
    tokenizer = pipeline.tokenizer
    assert spell_out(tokenizer, "a <cat-toy>") == "a <cat-toy>"
    pipeline.load_textual_inversion(vectors(3))
    whole = "<cat-toy> <cat-toy>_1 <cat-toy>_2"
    assert spell_out(tokenizer, "a <cat-toy>, no dog") == f"a {whole}, no dog"
    assert spell_out(tokenizer, "<cat-toy> and <cat-toy>") == f"{whole} and {whole}"
    assert spell_out(tokenizer, f"a {whole}") == f"a {whole}"
    assert spell_out(tokenizer, "a dog") == "a dog"


def test_all_vectors_count_towards_the_length_of_a_prompt(pipeline):
    tokenizer = pipeline.tokenizer
    pipeline.load_textual_inversion(vectors(5))
    assert count_tokens(tokenizer, "<cat-toy>") == 5 + 2
    check_length(tokenizer, "<cat-toy> " * 4, "The prompt")
    with pytest.raises(ValueError, match="25 tokens"):
        check_length(tokenizer, "<cat-toy> " * 5, "The prompt")


@pytest.mark.parametrize("form", ["diffusers", "automatic1111", "pickle"])
def test_files_of_every_form(pipeline, tmp_path, form):
    before = latents(pipeline, prompt="a <cat-toy>")
    pipeline.load_textual_inversion(vectors(2))
    expected = latents(pipeline, prompt="a <cat-toy>")
    pipeline.unload_textual_inversion()
    values = vectors(2)["<cat-toy>"]
    if form == "diffusers":
        save_file({"<cat-toy>": values}, tmp_path / "learned_embeds.safetensors")
        pipeline.load_textual_inversion(tmp_path)
    elif form == "automatic1111":
        a1111 = {"string_to_param": {"*": values}, "name": "<cat-toy>", "step": 1}
        torch.save(a1111, tmp_path / "toy.pt")
        pipeline.load_textual_inversion(tmp_path, weight_name="toy.pt")
    else:
        torch.save(values, tmp_path / "toy.bin")
        pipeline.load_textual_inversion(tmp_path, weight_name="toy.bin", token="<cat-toy>")
    assert torch.equal(latents(pipeline, prompt="a <cat-toy>"), expected)
    pipeline.unload_textual_inversion("<cat-toy>")
    assert torch.equal(latents(pipeline, prompt="a <cat-toy>"), before)


def test_a_pipeline_whose_word_was_unloaded_can_be_saved(pipeline, tmp_path):
    pipeline.load_textual_inversion(vectors())
    pipeline.unload_textual_inversion()
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(latents(again), latents(pipeline))


def test_a_word_that_is_known_is_refused(pipeline):
    pipeline.load_textual_inversion(vectors())
    with pytest.raises(ValueError, match="already in tokenizer vocabulary"):
        pipeline.load_textual_inversion(vectors())
