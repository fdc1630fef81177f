"""What cannot be loaded gets one sentence."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gligen.loading import choose_device, choose_dtype, load_pipeline
from gligen.weights.released import released_model
from tests.loading.requests import INPAINTING
from tests.model_files import (
    official,
)


def _change(folder: Path, part: str, **changes):
    path = folder / part
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _remove_weights(folder: Path):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def _truncate_weights(folder: Path):
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def _poison_weights(folder: Path):
    path = folder / "text_encoder" / "model.safetensors"
    state = load_file(path)
    next(iter(state.values())).view(-1)[0] = float("nan")
    save_file(state, path, {"format": "pt"})


SPOILED = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "has no model_index.json"),
    "broken index": (lambda f: (f / "model_index.json").write_text("{"), "is damaged"),
    "index is a list": (lambda f: (f / "model_index.json").write_text("[]"), "not a JSON object"),
    "no autoencoder": (lambda f: shutil.rmtree(f / "vae"), "has no vae"),
    "no tokenizer": (lambda f: shutil.rmtree(f / "tokenizer"), "has no tokenizer"),
    "no UNet config": (lambda f: (f / "unet" / "config.json").unlink(), "has no unet/config.json"),
    "no weights": (_remove_weights, "has no weights in 'unet'"),
    "truncated weights": (_truncate_weights, "truncated or damaged"),
    "NaN weights": (_poison_weights, "NaN or infinity"),
    "SDXL": (lambda f: _change(f, "unet/config.json", addition_embed_type="text_time"), "SDXL"),
    "SD 2": (
        lambda f: _change(f, "unet/config.json", use_linear_projection=True),
        "Stable Diffusion 2",
    ),
    "other shapes": (
        lambda f: _change(f, "unet/config.json", block_out_channels=[64, 64]),
        r"spoiled.*2 of its weights are unexpected",
    ),
    "no adapters": (lambda f: shutil.rmtree(f / "adapters"), "without GLIGEN's layers"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_folders_get_one_sentence(base, tmp_path, case):
    spoil, pattern = SPOILED[case]
    folder = tmp_path / "spoiled"
    shutil.copytree(base[0], folder)
    spoil(folder)
    with pytest.raises(ValueError, match=pattern) as refusal:
        load_pipeline(folder, device="cpu")
    if case not in ("SDXL", "SD 2"):
        assert "spoiled" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_names_that_lead_nowhere():
    with pytest.raises(ValueError, match=r"no model 'models/of/nobody': give 'embedded'"):
        load_pipeline("models/of/nobody")
    with pytest.raises(ValueError, match=r"'owner/model'.*the hub cannot be reached.*embedded"):
        load_pipeline("owner/model")


def test_the_source_must_hold_the_kind(base, tmp_path):
    _, generation, _ = base
    generation.save_pretrained(tmp_path / "gligen")
    with pytest.raises(ValueError, match="holds generation_text_box, not inpainting_text_box"):
        load_pipeline(tmp_path / "gligen", INPAINTING, device="cpu")
    with pytest.raises(ValueError, match="There is no kind 'video'"):
        load_pipeline(tmp_path / "gligen", "video")


def test_an_adapter_alone_asks_for_its_base(base):
    folder = base[0]
    with pytest.raises(ValueError, match=r"is an adapter .*--base.* It was trained on small\."):
        load_pipeline(folder / "adapters" / "one.safetensors")


def test_an_official_checkpoint_without_its_parts(tmp_path):
    torch.save({"model": official()["model"]}, tmp_path / "unet.bin")
    with pytest.raises(ValueError, match=r"a UNet but no autoencoder.*--base"):
        load_pipeline(tmp_path / "unet.bin")


def test_a_missing_tokenizer_says_where_one_is_named(official_file, tmp_path):
    path, _ = official_file
    with pytest.raises(ValueError, match=r"clip-vit-large-patch14.*--tokenizer"):
        load_pipeline(path, device="cpu")
    with pytest.raises(ValueError, match="holds no CLIP tokenizer"):
        load_pipeline(path, device="cpu", tokenizer=tmp_path)
    with pytest.raises(ValueError, match="no tokenizer folder 'not-here'"):
        load_pipeline(path, device="cpu", tokenizer="not-here")


def test_parts_of_different_models_are_refused(base, official_file, tmp_path):
    path, tokenizer = official_file
    mixed = torch.load(path)
    text = mixed["text_encoder"]
    mixed["text_encoder"] = {
        key: value[..., :32] if value.ndim and value.shape[-1] == 64 else value
        for key, value in text.items()
    }
    narrowed = {
        key: value[:32] if value.ndim and value.shape[0] == 64 and "mlp.fc1" not in key else value
        for key, value in mixed["text_encoder"].items()
    }
    torch.save(mixed | {"text_encoder": narrowed}, tmp_path / "mixed.bin")
    with pytest.raises(ValueError, match="text encoder is 32 wide and the UNet reads 64"):
        load_pipeline(tmp_path / "mixed.bin", tokenizer=tokenizer, device="cpu")


def test_devices_and_dtypes():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype(None, torch.device("cuda")) == torch.float16
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(ValueError, match="device 'warp:9' cannot be used"):
        choose_device("warp:9")
    with pytest.raises(ValueError, match="no dtype 'int8' here; use one of float32"):
        choose_dtype("int8", torch.device("cpu"))


def test_released_models_are_known_by_kind():
    with pytest.raises(
        ValueError, match="no released model of kind 'video'; there are: generation"
    ):
        released_model("video")


def test_loading_draws_no_progress_bars_of_the_libraries(base, capsys):
    load_pipeline(base[0], device="cpu")
    assert capsys.readouterr().err == ""
