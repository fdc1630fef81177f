"""Pipelines from every source, the sharing between them, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionGLIGENPipeline
from PIL import Image
from safetensors.torch import load_file, save_file

from gligen import loading
from gligen.kinds import KINDS, MAP, kind_named
from gligen.layout import Layout, Region
from gligen.loading import choose_device, choose_dtype, load_pipeline, load_pipelines
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.unet import is_grounding_key
from gligen.weights import hub
from gligen.weights.building import build_unet
from gligen.weights.checkpoints import save_adapter
from gligen.weights.released import ReleasedModel, released_model
from tests.conftest import small_image_encoder, small_pipeline, small_tokenizer
from tests.model_files import (
    adapter_state,
    first_convolution,
    official,
    official_shapes,
    plain_base,
    save_base_folder,
)

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


# ---------------------------------------------------------------- every kind


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


# ---------------------------------------------------------------- forms of folders


def _shard(folder: Path, part: str, stem: str, variant: str = ""):
    """Divide the weights of a part into two files with an index."""
    state = load_file(folder / part / f"{stem}.safetensors")
    (folder / part / f"{stem}.safetensors").unlink()
    names = [f"{stem}{variant}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    table = {key: names[position % 2] for position, key in enumerate(state)}
    for name in names:
        shard = {key: value for key, value in state.items() if table[key] == name}
        save_file(shard, folder / part / name, {"format": "pt"})
    index = folder / part / f"{stem}.safetensors.index{variant}.json"
    index.write_text(json.dumps({"weight_map": table}))


def _as_pickle(folder: Path, part: str, stem: str, new: str):
    path = folder / part / f"{stem}.safetensors"
    torch.save(load_file(path), folder / part / new)
    path.unlink()


def _as_once_named(folder: Path):
    """Give the weights the names that old libraries wrote."""
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(path)
    for new, name in old.items():
        state = {k.replace(f".{new}.", f".{name}."): v for k, v in state.items()}
    save_file(state, path)
    path = folder / "text_encoder" / "model.safetensors"
    state = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(path).items()}
    state["text_model.embeddings.position_ids"] = torch.arange(24)[None]
    save_file(state, path)


FOLDERS = {
    "sharded": lambda f: _shard(f, "unet", "diffusion_pytorch_model"),
    "sharded variant": lambda f: _shard(f, "unet", "diffusion_pytorch_model", ".fp16"),
    "pickles": lambda f: _as_pickle(
        f, "vae", "diffusion_pytorch_model", "diffusion_pytorch_model.bin"
    ),
    "old transformers": lambda f: _as_pickle(f, "text_encoder", "model", "pytorch_model.bin"),
    "old names": _as_once_named,
}


@pytest.mark.parametrize("form", FOLDERS)
def test_folders_in_every_form_paint_the_same(base, tmp_path, form):
    folder = tmp_path / "copy"
    shutil.copytree(base[0], folder)
    FOLDERS[form](folder)
    loaded = load_pipeline(folder, device="cpu")
    assert np.array_equal(pixels(loaded), pixels(base[1]))


def test_an_index_does_not_lead_out_of_its_folder(base, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(base[0], folder)
    _shard(folder, "unet", "diffusion_pytorch_model")
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    table = json.loads(index.read_text())["weight_map"]
    key, outside = next(iter(table)), "../vae/diffusion_pytorch_model.safetensors"
    assert (index.parent / outside).is_file()
    index.write_text(json.dumps({"weight_map": table | {key: outside}}))
    with pytest.raises(ValueError, match=r"names '\.\./vae/.*', which is not beside it"):
        load_pipeline(folder, device="cpu")


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
