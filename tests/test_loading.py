"""Pipelines from every source, the sharing between them, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionGLIGENPipeline
from safetensors.torch import load_file, save_file

from gligen import hub, loading
from gligen.checkpoints import save_adapter
from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.loading import choose_device, choose_dtype, load_pipeline, load_pipelines
from gligen.released import ReleasedModel, released_model
from gligen.request import Request
from tests.conftest import GOLDEN, small_pipeline, small_tokenizer
from tests.model_files import adapter_state, official, save_base_folder

TEXT_KINDS = GENERATION, INPAINTING = KINDS[:2]
REQUEST = Request(
    "a dog", Layout.from_text(["a dog: 0.1,0.1,0.6,0.8"]), num_inference_steps=2, seed=1
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return a plain base's folder with two adapters, and the pipelines it must give."""
    folder = tmp_path_factory.mktemp("base")
    return folder, *save_base_folder(folder)


@pytest.fixture(scope="module")
def official_file(tmp_path_factory):
    """Return a small official checkpoint and a tokenizer's folder."""
    folder = tmp_path_factory.mktemp("official")
    torch.save(official(), folder / "checkpoint.bin")
    small_tokenizer().save_pretrained(folder / "tokenizer")
    return folder / "checkpoint.bin", folder / "tokenizer"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)


def pixels(pipeline, request=REQUEST):
    return np.asarray(pipeline.generate(request).images[0])


# ---------------------------------------------------------------- sources


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
    name = "sem" if kind == "semantic" else kind
    sections = json.loads((GOLDEN / "layout" / f"full_{name}.json").read_text())["sections"]
    model = sections["model"]
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


# ---------------------------------------------------------------- refusals


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
