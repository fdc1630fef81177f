"""Every form of a model into every other that can hold it: exact, whole or not at all."""

import json

import pytest
import torch
from diffusers import StableDiffusionGLIGENPipeline, StableDiffusionGLIGENTextImagePipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gligen.cli import main
from gligen.kinds import KINDS, TEXT_BOX, TEXT_IMAGE_BOX, kind_named
from gligen.loading import load_pipeline, load_pipelines
from gligen.weights import hub
from gligen.weights.checkpoints import read_adapter, read_checkpoint
from gligen.weights.converting import Conversion, convert
from gligen.weights.recognition import trains_first_convolution
from tests.conftest import small_image_encoder, small_pipeline, small_tokenizer
from tests.model_files import (
    adapter_state,
    first_convolution,
    official,
    plain_base,
    save_base_folder,
    unet_state,
)

IN_DIFFUSERS = [k for k in KINDS if kind_named(k).modality in (TEXT_BOX, TEXT_IMAGE_BOX)]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a folder with a plain base, its first convolution and a tokenizer."""
    folder = tmp_path_factory.mktemp("shelf")
    torch.save({"state_dict": plain_base()}, folder / "base.ckpt")
    torch.save(first_convolution(), folder / "SD_input_conv_weight_bias.pth")
    small_tokenizer().save_pretrained(folder / "tokenizer")
    return folder


def as_official(kind, path):
    """Write the authors' checkpoint of a kind, with the part of their config that tells kinds."""
    name = f"ldm.modules.diffusionmodules.{kind}_grounding_net.PositionNet"
    setting = {"model": {"params": {"grounding_tokenizer": {"target": name}}}}
    torch.save({**official(kind), "config_dict": {"_content": setting}}, path)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        assert torch.equal(found[key], value), key


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_through_all_forms_is_exact(shelf, tmp_path, kind):
    as_official(kind, tmp_path / "official.bin")
    source, tokenizer = tmp_path / "official.bin", shelf / "tokenizer"
    base = shelf / "base.ckpt"
    if kind in IN_DIFFUSERS:
        folder = tmp_path / "diffusers"
        convert(Conversion(source, folder, "diffusers", tokenizer=tokenizer))
        source = folder
    alone = tmp_path / "adapter.safetensors"
    convert(Conversion(source, alone, "adapter", trained_on=base))
    ours = tmp_path / "ours"
    convert(Conversion(alone, ours, "gligen", base=base, tokenizer=tokenizer))
    assert [file.stem for file in (ours / "adapters").iterdir()] == [kind]
    convert(Conversion(ours, tmp_path / "again.bin", "official"))

    again = torch.load(tmp_path / "again.bin", weights_only=True)
    for section, expected in official(kind).items():
        assert_same(again[section], expected)
    assert read_checkpoint(tmp_path / "again.bin", "depth").kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_pruned_files_have_the_names_of_the_original(shelf, tmp_path, kind):
    as_official(kind, tmp_path / "official.bin")
    pruned = tmp_path / "pruned.safetensors"
    convert(Conversion(tmp_path / "official.bin", pruned, "adapter", names="comfyui"))
    assert_same(load_file(pruned), adapter_state(kind))
    back = tmp_path / "back.safetensors"
    convert(Conversion(pruned, back, "adapter", kind=kind))
    assert read_adapter(back).kind == kind


def test_the_written_config_builds_the_original_model(tmp_path, golden):
    for kind in ("canny", "semantic", "keypoint", "inpainting_text_image_box"):
        recorded = golden(f"unet_{'sem' if kind == 'semantic' else kind}").facts["config"]["model"]
        torch.save(official(kind), tmp_path / "in.bin")
        convert(Conversion(tmp_path / "in.bin", tmp_path / f"{kind}.bin", "official", kind=kind))
        written = torch.load(tmp_path / f"{kind}.bin", weights_only=True)["config_dict"]
        params = written["_content"]["model"]["params"]
        expected = recorded["params"] | {"image_size": 64}
        if kind in ("canny", "semantic"):  # recorded with a smaller map and the whole backbone
            for part in ("grounding_tokenizer", "grounding_downsampler"):
                assert params[part]["params"]["resize_input"] == 64
        assert params == expected
        assert written["_content"]["model"]["target"] == recorded["target"]


def test_folders_load_in_diffusers(shelf, tmp_path):
    pipeline = small_pipeline("generation_text_image_box")
    pipeline.save_pretrained(tmp_path / "in")
    out = tmp_path / "out"
    convert(Conversion(tmp_path / "in", out, "diffusers"))
    loaded = StableDiffusionGLIGENTextImagePipeline.from_pretrained(out, safety_checker=None)
    assert_same(loaded.unet.state_dict(), pipeline.unet.state_dict())
    assert_same(loaded.image_project.state_dict(), pipeline.image_project.state_dict())
    assert_same(loaded.image_encoder.state_dict(), small_image_encoder().state_dict())
    as_official(IN_DIFFUSERS[0], tmp_path / "text.bin")
    convert(
        Conversion(
            tmp_path / "text.bin", tmp_path / "text", "diffusers", tokenizer=shelf / "tokenizer"
        )
    )
    StableDiffusionGLIGENPipeline.from_pretrained(tmp_path / "text", safety_checker=None)


def test_every_kind_of_one_folder(tmp_path):
    """Two adapters on one base go over together, and one alone when it is asked for."""
    save_base_folder(tmp_path / "in")
    convert(Conversion(tmp_path / "in", tmp_path / "both", "gligen"))
    assert list(load_pipelines(tmp_path / "both", device="cpu")) == list(KINDS[:2])
    convert(Conversion(tmp_path / "in", tmp_path / "one", "gligen", kind=KINDS[1]))
    assert list(load_pipelines(tmp_path / "one", device="cpu")) == [KINDS[1]]
    first = load_pipeline(tmp_path / "in", KINDS[1], device="cpu").unet.state_dict()
    again = load_pipeline(tmp_path / "one", KINDS[1], device="cpu").unet.state_dict()
    assert_same(again, first)


def test_an_adapter_for_another_base_is_moved_once(shelf, tmp_path):
    """In the folder of another base the convolution already has that base's part."""
    other = plain_base()
    other["model.diffusion_model.input_blocks.0.0.weight"] += 1
    other["model.diffusion_model.out.2.bias"] += 1
    save_file(other, tmp_path / "other.safetensors")
    as_official("hed", tmp_path / "hed.bin")
    convert(
        Conversion(
            tmp_path / "hed.bin",
            tmp_path / "moved",
            "gligen",
            base=tmp_path / "other.safetensors",
            trained_on=shelf / "SD_input_conv_weight_bias.pth",
            tokenizer=shelf / "tokenizer",
        )
    )
    unet = load_pipeline(tmp_path / "moved", device="cpu").unet
    trained = unet_state("hed")["input_blocks.0.0.weight"]
    assert torch.allclose(unet.conv_in.weight[:, :4], trained[:, :4] + 1)
    assert torch.equal(unet.conv_in.weight[:, 4:], trained[:, 4:])
    base = first_convolution()["weight"]
    assert torch.equal(unet.conv_in.base_weight, base + 1)


def test_half_precision_and_metadata(shelf, tmp_path):
    as_official("canny", tmp_path / "in.bin")
    out = tmp_path / "half.safetensors"
    first = shelf / "SD_input_conv_weight_bias.pth"
    convert(Conversion(tmp_path / "in.bin", out, "adapter", trained_on=first, dtype="float16"))
    with safe_open(str(out), "pt") as file:
        assert json.loads(file.metadata()["gligen"])["kind"] == "canny"
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
        assert "conv_in.base_weight" in file.keys()  # noqa: SIM118


def test_the_projection_matrix_travels_along(tmp_path):
    kind = "generation_text_image_box"
    torch.save(official(kind), tmp_path / "in.bin")
    matrix = torch.randn(64, 64)
    torch.save(matrix, tmp_path / "projection_matrix")
    out = tmp_path / "out.safetensors"
    convert(
        Conversion(tmp_path / "in.bin", out, "adapter", projection=tmp_path / "projection_matrix")
    )
    assert torch.equal(load_file(out)["image_project.project.weight"], matrix.T)
    assert torch.equal(read_adapter(out).projection, matrix.T)


# ---------------------------------------------------------------- what is refused


REFUSED = {
    "keypoint to diffusers": ({"kind": "keypoint", "to": "diffusers"}, "cannot hold the kind key"),
    "map to diffusers": ({"kind": "depth", "to": "diffusers"}, "cannot hold the kind depth"),
    "unknown form": ({"to": "onnx"}, "no form 'onnx'; the forms are diffusers, adapter"),
    "unknown names": ({"names": "a1111"}, "no names 'a1111'"),
    "names of a folder": ({"names": "comfyui", "to": "gligen"}, "names 'comfyui' are for adapters"),
    "unknown kind": ({"kind": "video"}, "no kind 'video'"),
    "unknown dtype": ({"dtype": "int4"}, "no dtype 'int4'"),
    "no room": ({"target": "nowhere/x"}, "no folder '.*nowhere'"),
    "gligen without the base": ({"kind": "hed", "to": "gligen"}, "first convolution.*--base"),
    "other kind": ({"ask": "keypoint"}, "holds generation_text_box, not keypoint"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_gets_one_sentence(shelf, tmp_path, case):
    changes, pattern = REFUSED[case]
    changes = {"to": "adapter", "target": "out", "tokenizer": shelf / "tokenizer", **changes}
    kind = changes.pop("kind", None)
    ask = changes.pop("ask", kind)
    torch.save(official(kind if kind in KINDS else KINDS[0]), tmp_path / "in.bin")
    target = tmp_path / changes.pop("target")
    with pytest.raises(ValueError, match=pattern) as refusal:
        convert(Conversion(tmp_path / "in.bin", target, kind=ask, **changes))
    assert "\n" not in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in.bin"]


def test_canny_and_depth_are_asked_for(tmp_path):
    torch.save(official("canny"), tmp_path / "in.bin")
    with pytest.raises(ValueError, match="--kind canny or --kind depth"):
        convert(Conversion(tmp_path / "in.bin", tmp_path / "out", "adapter"))
    for kind in ("canny", "depth"):
        convert(Conversion(tmp_path / "in.bin", tmp_path / kind, "adapter", kind=kind))
        assert read_adapter(tmp_path / kind).kind == kind


def test_a_plain_base_has_no_adapter(shelf, tmp_path):
    for to in ("adapter", "official", "gligen"):
        with pytest.raises(ValueError, match="without GLIGEN's layers; there is nothing to write"):
            convert(Conversion(shelf / "base.ckpt", tmp_path / "out", to))
    folder = tmp_path / "plain"
    convert(Conversion(shelf / "base.ckpt", folder, "diffusers", tokenizer=shelf / "tokenizer"))
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").is_file()


def test_an_adapter_alone_is_no_whole_model(tmp_path):
    save_file(adapter_state(), tmp_path / "in.safetensors")
    for to in ("diffusers", "official", "gligen"):
        with pytest.raises(ValueError, match="is an adapter, the new layers alone.*--base"):
            convert(Conversion(tmp_path / "in.safetensors", tmp_path / "out", to))


def test_the_original_code_knows_one_noise_schedule(tmp_path):
    small_pipeline(prediction="v_prediction").save_pretrained(tmp_path / "in")
    with pytest.raises(ValueError, match="cannot hold this model.*predicts v_prediction"):
        convert(Conversion(tmp_path / "in", tmp_path / "out.bin", "official"))


def test_of_several_kinds_one_must_be_named(tmp_path):
    save_base_folder(tmp_path / "in")
    with pytest.raises(
        ValueError, match="holds .*text_box, inpainting_text_box; say which.*--kind"
    ):
        convert(Conversion(tmp_path / "in", tmp_path / "out", "adapter"))


def test_nothing_is_overwritten_unless_forced(shelf, tmp_path):
    torch.save(official(), tmp_path / "in.bin")
    out, folder = tmp_path / "out", tmp_path / "folder"
    out.write_text("mine")
    folder.mkdir()
    (folder / "mine").write_text("mine")
    tokenizer = shelf / "tokenizer"
    with pytest.raises(ValueError, match="is there already.*--force"):
        convert(Conversion(tmp_path / "in.bin", out, "adapter"))
    assert out.read_text() == "mine"
    with pytest.raises(ValueError, match="is a folder; the form adapter is one file"):
        convert(Conversion(tmp_path / "in.bin", folder, "adapter", force=True))
    convert(Conversion(tmp_path / "in.bin", out, "adapter", force=True))
    assert read_adapter(out).kind == KINDS[0]
    convert(Conversion(tmp_path / "in.bin", folder, "diffusers", tokenizer=tokenizer, force=True))
    assert not (folder / "mine").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.bin", "out"]


def test_a_failure_in_the_middle_leaves_the_old_folder(shelf, tmp_path, monkeypatch):
    torch.save(official(), tmp_path / "in.bin")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine").write_text("mine")

    def fail(*_arguments, **_options):
        raise OSError("the disk is full")

    monkeypatch.setattr("gligen.weights.convertfolders.GligenPipeline.save_pretrained", fail)
    conversion = Conversion(
        tmp_path / "in.bin", folder, "gligen", tokenizer=shelf / "tokenizer", force=True
    )
    with pytest.raises(OSError, match="the disk is full"):
        convert(conversion)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "in.bin"]
    assert (folder / "mine").read_text() == "mine"


# ---------------------------------------------------------------- the command


def test_the_command_says_what_it_does_and_what_it_left_out(tmp_path, capsys):
    as_official("canny", tmp_path / "in.bin")
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(tmp_path / "in.bin"), str(out), "--to", "adapter"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}\n"
    assert f"Reading {tmp_path / 'in.bin'}" in said.err
    assert "--trained-on" in said.err
    assert main(["convert", str(tmp_path / "in.bin"), str(out), "--to", "adapter"]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_info_tells_every_kind_and_what_is_missing(shelf, tmp_path, kind, capsys):
    as_official(kind, tmp_path / "in.bin")
    assert main(["info", str(tmp_path / "in.bin"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == kind
    assert said["missing"]["tokenizer"]
    assert said["ignored"]["position_ids"]
    assert said["ignored"]["config_dict"]
    is_map = trains_first_convolution(kind) and not kind.startswith("inpainting")
    assert ("first convolution of the base" in said["missing"]) == is_map
    assert ("projection matrix" in said["missing"]) == ("image" in kind)


def test_info_on_bases_adapters_and_the_first_convolution(shelf, tmp_path, capsys):
    assert main(["info", str(shelf / "base.ckpt")]) == 0
    said = capsys.readouterr().out
    assert "plain base in a single file" in said
    assert "betas: table of the noise schedule" in said
    assert main(["info", str(shelf / "SD_input_conv_weight_bias.pth")]) == 0
    assert "channels: 4 in, 32 out" in capsys.readouterr().out
    save_file(adapter_state("depth"), tmp_path / "x")
    assert main(["info", str(tmp_path / "x")]) == 0
    assert "kind: canny or depth" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "x"), "--kind", "depth"]) == 0
    assert "kind: depth" in capsys.readouterr().out
