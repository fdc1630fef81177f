"""Pipelines from every source, and the sharing between them."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionGLIGENPipeline
from safetensors.torch import save_file

from gligen import loading
from gligen.kinds import KINDS
from gligen.loading import load_pipeline, load_pipelines
from gligen.request import Request
from gligen.weights.checkpoints import save_adapter
from gligen.weights.released import ReleasedModel, released_model
from tests.conftest import small_pipeline, small_tokenizer
from tests.loading.requests import GENERATION, INPAINTING, REQUEST, TEXT_KINDS, pixels
from tests.model_files import (
    adapter_state,
    official,
    official_shapes,
)


def test_a_base_with_adapters_gives_every_kind_on_one_base(base):
    folder, generation, _ = base
    loaded = load_pipelines(folder, device="cpu")
    assert list(loaded) == list(TEXT_KINDS)
    one, other = loaded[GENERATION], loaded[INPAINTING]
    assert (one.kind, other.kind) == TEXT_KINDS
    assert one.vae is other.vae
    assert one.text_encoder is other.text_encoder
    shared = {p.data_ptr() for p in one.unet.parameters()}
    shared &= {p.data_ptr() for p in other.unet.parameters()}
    frozen = [
        n for n, _ in generation.unet.named_parameters() if "fuser" not in n and "position" not in n
    ]
    assert len(shared) == len(frozen) - 2  # all but the first convolution
    assert np.array_equal(pixels(one), pixels(generation))
    assert one.model_name == str(folder)


def test_one_kind_of_many(base):
    folder = base[0]
    assert load_pipeline(folder, INPAINTING, device="cpu").kind == INPAINTING
    assert list(load_pipelines(folder, [INPAINTING], device="cpu")) == [INPAINTING]


def test_an_adapter_file_on_a_base(base, tmp_path):
    folder, generation, _ = base
    save_adapter(tmp_path / "some.file", generation.unet, GENERATION)
    loaded = load_pipeline(tmp_path / "some.file", base=folder, device="cpu")
    assert np.array_equal(pixels(loaded), pixels(generation))
    assert loaded.model_name == f"{tmp_path / 'some.file'} on {folder}"


def test_a_gligen_folder_and_its_layers_on_another_base(base, tmp_path):
    folder, generation, _ = base
    generation.save_pretrained(tmp_path / "gligen")
    loaded = load_pipeline(tmp_path / "gligen", device="cpu")
    assert np.array_equal(pixels(loaded), pixels(generation))
    moved = load_pipeline(tmp_path / "gligen", base=folder, device="cpu")
    assert np.array_equal(pixels(moved), pixels(generation))


def test_a_folder_that_diffusers_wrote(base, tmp_path):
    _, generation, _ = base
    ours = tmp_path / "ours"
    generation.save_pretrained(ours)
    theirs = StableDiffusionGLIGENPipeline.from_pretrained(
        ours, safety_checker=None, requires_safety_checker=False
    )
    theirs.save_pretrained(tmp_path / "theirs")
    loaded = load_pipeline(tmp_path / "theirs", device="cpu")
    assert np.array_equal(pixels(loaded), pixels(generation))


def test_folders_in_half_precision_only(base, tmp_path):
    _, generation, _ = base
    small_pipeline().to(torch.float16).save_pretrained(tmp_path / "half", variant="fp16")
    loaded = load_pipeline(tmp_path / "half", device="cpu")
    assert loaded.unet.dtype == torch.float32
    assert loaded.unet.conv_out.weight.shape == generation.unet.conv_out.weight.shape


def test_an_official_checkpoint(official_file):
    path, tokenizer = official_file
    loaded = load_pipeline(path, tokenizer=tokenizer, device="cpu")
    assert loaded.kind == GENERATION
    expected = official()["model"]["out.2.weight"]
    assert torch.equal(loaded.unet.conv_out.weight, expected)
    assert loaded.unet.config.attention_type == "gated"
    request = Request("a dog", REQUEST.layout, num_inference_steps=1, width=64, height=64, seed=0)
    assert pixels(loaded, request).shape == (64, 64, 3)
    assert loaded.scheduler.config.beta_schedule == "scaled_linear"


def test_a_pruned_adapter_on_an_official_checkpoint(official_file, tmp_path):
    _, tokenizer = official_file
    changed = adapter_state()
    changed["position_net.null_position_feature"] += 1
    plain = official()
    plain["model"] = {
        key: value
        for key, value in plain["model"].items()
        if ".fuser." not in key and not key.startswith("position_net.")
    }
    torch.save(plain, tmp_path / "plain.bin")
    save_file(changed, tmp_path / "pruned.safetensors")
    loaded = load_pipeline(
        tmp_path / "pruned.safetensors",
        base=tmp_path / "plain.bin",
        tokenizer=tokenizer,
        device="cpu",
    )
    tokens = loaded.unet.position_net
    assert torch.equal(tokens.null_position_feature, changed["position_net.null_position_feature"])


def test_the_released_models_come_from_the_hub_ids_of_configs(base, monkeypatch):
    folder = base[0]
    asked = []
    monkeypatch.setattr(loading, "fetch_model", lambda name: asked.append(name) or folder)
    assert list(load_pipelines("official", device="cpu")) == list(TEXT_KINDS)
    assert asked == [released_model(kind).diffusers_id for kind in TEXT_KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_configs_agree_with_the_released_weights(kind):
    released = released_model(kind)
    model = official_shapes(kind)["model"]
    assert released.kind == kind
    assert released.in_channels == model["input_blocks.0.0.weight"][1]
    last = "linears_text.4" if "text_image" in kind else "linears.4"
    assert released.token_width == model[f"position_net.{last}.weight"][0]
    if kind == "keypoint":
        persons = model["position_net.person_embeddings"][0]
        assert released.slots == persons * model["position_net.keypoint_embeddings"][0]
    if "position_net.pos_embedding" in model:
        assert released.slots == model["position_net.pos_embedding"][1]
    assert (released.image_encoder_id is not None) == ("text_image" in kind)
    assert isinstance(released, ReleasedModel)


def test_what_is_no_folder_on_the_hub_comes_from_the_authors_file(base, tmp_path, monkeypatch):
    asked = []
    torch.save(official("keypoint"), tmp_path / "keypoint.bin")
    small_tokenizer().save_pretrained(tmp_path / "tokenizer")

    def fetch(name):
        asked.append(name)
        if name == released_model("keypoint").official_id:
            return tmp_path / "keypoint.bin"
        raise ValueError(f"{name} cannot be had.")

    monkeypatch.setattr(loading, "fetch_model", fetch)
    options = {"device": "cpu", "tokenizer": tmp_path / "tokenizer"}
    assert list(load_pipelines("official", ["keypoint"], **options)) == ["keypoint"]
    with pytest.raises(ValueError, match="gligen/gligen-generation-text-box cannot be had"):
        load_pipelines("official", [GENERATION], **options)
    assert asked[1:] == [
        released_model(GENERATION).diffusers_id,
        released_model(GENERATION).official_id,
    ]


def test_on_cuda_the_channels_lie_last():
    for name, is_last in (("cpu", False), ("cuda", True)):
        unet = small_pipeline().unet
        loading.lay_out(unet, torch.device(name))
        weight = unet.mid_block.resnets[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last) == is_last
        assert weight.is_contiguous() != is_last
