"""Every kind, from checkpoints, pruned adapters and folders."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from gligen import loading
from gligen.kinds import KINDS, MAP, kind_named
from gligen.layout import Layout, Region
from gligen.loading import load_pipeline, load_pipelines
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.unet import is_grounding_key
from gligen.weights.building import build_unet
from gligen.weights.checkpoints import save_adapter
from gligen.weights.released import released_model
from tests.conftest import small_image_encoder, small_pipeline, small_tokenizer
from tests.loading.requests import INPAINTING, pixels
from tests.model_files import (
    adapter_state,
    first_convolution,
    official,
    plain_base,
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a folder with a plain base, its first convolution, a tokenizer, ten checkpoints."""
    folder = tmp_path_factory.mktemp("shelf")
    save_file(plain_base(), folder / "base.safetensors")
    torch.save(first_convolution(), folder / "SD_input_conv_weight_bias.pth")
    small_tokenizer().save_pretrained(folder / "tokenizer")
    for kind in KINDS:
        torch.save(official(kind), folder / f"{kind}.bin")
    return folder


def same_weights(one, other):
    first, second = one.unet.state_dict(), other.unet.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_and_pruned_adapters_of_every_kind_give_one_model(shelf, tmp_path, kind):
    options = {"device": "cpu", "tokenizer": shelf / "tokenizer"}
    base, first = shelf / "base.safetensors", shelf / "SD_input_conv_weight_bias.pth"
    whole = load_pipeline(shelf / f"{kind}.bin", kind, base=base, **options)
    assert whole.kind == kind
    save_file(adapter_state(kind), tmp_path / "pruned")
    pruned = load_pipeline(tmp_path / "pruned", kind, base=base, trained_on=first, **options)
    same_weights(pruned, whole)
    alone = load_pipeline(shelf / f"{kind}.bin", kind, base=first, **options)
    same_weights(alone, whole)
    named = load_pipeline(shelf / f"{kind}.bin", kind, trained_on=base, **options)
    same_weights(named, whole)


@pytest.mark.parametrize("kind", ["hed", "canny", "depth", "normal", "semantic"])
def test_maps_ask_for_the_first_convolution_of_the_base(shelf, kind):
    options = {"device": "cpu", "tokenizer": shelf / "tokenizer"}
    with pytest.raises(ValueError, match=r"SD_input_conv_weight_bias\.pth.*--base"):
        load_pipeline(shelf / f"{kind}.bin", kind, **options)


def test_one_model_tells_another_the_convolution_of_their_base(shelf, monkeypatch):
    """The inpainting model comes first and lacks it; the keypoint model on the same base has it."""
    kinds = (INPAINTING, "keypoint")
    files = {released_model(kind).official_id: shelf / f"{kind}.bin" for kind in kinds}

    def fetch(name):
        if name not in files:
            raise ValueError(f"{name} cannot be had.")
        return files[name]

    monkeypatch.setattr(loading, "fetch_model", fetch)
    loaded = load_pipelines("official", kinds, device="cpu", tokenizer=shelf / "tokenizer")
    assert tuple(loaded) == kinds
    found = loaded["keypoint"].unet.conv_in.weight
    assert torch.equal(found, first_convolution()["weight"])
    one, other = (pipeline.unet.conv_out.weight for pipeline in loaded.values())
    assert one.data_ptr() == other.data_ptr()


def test_canny_or_depth_is_asked_for(shelf):
    with pytest.raises(ValueError, match="--kind canny or --kind depth"):
        load_pipeline(shelf / "canny.bin", base=shelf / "base.safetensors", device="cpu")


def test_a_first_convolution_is_no_model(shelf):
    with pytest.raises(ValueError, match="the first convolution of a base alone"):
        load_pipeline(shelf / "SD_input_conv_weight_bias.pth", device="cpu")
    with pytest.raises(ValueError, match="not that of a plain base"):
        load_pipeline(
            shelf / "hed.bin",
            base=shelf / "base.safetensors",
            trained_on=shelf / "inpainting_text_box.bin",
            device="cpu",
        )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_a_folder_of_its_base(tmp_path, kind):
    """An adapter of a small model, on the base of that model, paints what the model paints."""
    whole = small_pipeline(kind)
    plain = small_pipeline("keypoint")
    frozen = {
        key: value
        for key, value in whole.unet.state_dict().items()
        if not is_grounding_key(key) and "conv_in" not in key
    }
    plain.unet.load_state_dict(frozen, strict=False)
    base = {k: v for k, v in plain.unet.state_dict().items() if not is_grounding_key(k)}
    unet = build_unet({**plain.unet.config, "attention_type": "default"}, base)
    GligenPipeline(
        plain.vae, plain.text_encoder, plain.tokenizer, unet, plain.scheduler
    ).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "adapters").mkdir()
    save_adapter(tmp_path / "model" / "adapters" / "x.safetensors", whole.unet, kind)
    loaded = load_pipelines(tmp_path / "model", device="cpu")
    assert list(loaded) == [kind]
    if kind_named(kind).modality != MAP:  # whose base convolution is that of another draw here
        same_weights(loaded[kind], whole)
    assert loaded[kind].kind == kind


def test_pictures_are_read_by_the_folders_own_encoder(tmp_path):
    kind = "generation_text_image_box"
    whole = small_pipeline(kind)
    whole.save_pretrained(tmp_path / "model")
    loaded = load_pipeline(tmp_path / "model", device="cpu")
    picture = Image.new("RGB", (40, 30), "red")
    layout = Layout((Region("a dog", (0.1, 0.1, 0.6, 0.8), picture),))
    request = Request("a dog", layout, num_inference_steps=2, seed=1)
    assert np.array_equal(pixels(loaded, request), pixels(whole, request))
    found = loaded.image_project.project.weight
    assert torch.equal(found, whole.image_project.project.weight)


def test_the_authors_matrix_is_read_beside_a_checkpoint(shelf, tmp_path, monkeypatch):
    """CLIP is published whole, in one file; its reading half stays there."""
    clip = tmp_path / "clip"
    encoder = small_image_encoder()
    encoder.save_pretrained(clip)
    config = {"vision_config": encoder.config.to_dict(), "projection_dim": 32}
    (clip / "config.json").write_text(json.dumps(config))
    state = load_file(clip / "model.safetensors")
    extra = {"logit_scale": torch.ones(()), "text_model.final_layer_norm.bias": torch.ones(3)}
    save_file(state | extra, clip / "model.safetensors")
    monkeypatch.setattr("gligen.weights.vision.fetch_image_encoder", lambda name: clip)
    matrix = torch.randn(64, 64)
    torch.save(matrix, tmp_path / "projection_matrix")
    loaded = load_pipeline(
        shelf / "generation_text_image_box.bin",
        tokenizer=shelf / "tokenizer",
        projection=tmp_path / "projection_matrix",
        device="cpu",
    )
    assert torch.equal(loaded.image_project.project.weight, matrix.T)
    assert torch.equal(
        loaded.image_encoder.visual_projection.weight, encoder.visual_projection.weight
    )


def test_without_the_matrix_phrases_alone_are_read(shelf):
    loaded = load_pipeline(
        shelf / "generation_text_image_box.bin", tokenizer=shelf / "tokenizer", device="cpu"
    )
    assert loaded.image_project is None
    with pytest.warns(UserWarning, match="Reference pictures cannot be read"):
        load_pipeline(
            shelf / "generation_text_image_box.bin",
            tokenizer=shelf / "tokenizer",
            projection=_matrix_in(shelf),
            device="cpu",
        )


def _matrix_in(folder: Path) -> Path:
    torch.save(torch.eye(64), folder / "projection_matrix")
    return folder / "projection_matrix"
