"""Files found by content; adapters on a base; what is refused, in one sentence."""

import json
import pickle
import sys
import types

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gligen.kinds import KINDS, MAP, kind_named
from gligen.unet import add_grounding, is_grounding_key, kind_of
from gligen.weights.adapters import Adapter
from gligen.weights.building import apply_adapter, build_unet, check_base
from gligen.weights.checkpoints import WholeModel, read_adapter, read_checkpoint, save_adapter
from gligen.weights.conversion import convert_unet_state
from gligen.weights.recognition import detect_kind, input_channels, trains_first_convolution
from gligen.weights.weightfiles import read_weight_file
from tests.conftest import grounded_unet, open_gates, small_unet
from tests.model_files import adapter_state, official, unet_state

# ---------------------------------------------------------------- files of every form


@pytest.mark.parametrize("kind", KINDS)
def test_official_checkpoints_are_read_whatever_their_name(tmp_path, kind):
    path = tmp_path / "no_hint.of_anything"
    torch.save(official(kind), path)
    model = read_checkpoint(path, kind)
    assert isinstance(model, WholeModel)
    assert model.kind == kind
    channels = {"generation": 4, "inpainting": 9, "keypoint": 4, "hed": 5}
    assert model.unet[0]["in_channels"] == channels.get(kind.split("_")[0], 12)
    assert torch.equal(
        model.unet[1]["time_embedding.linear_1.bias"], unet_state(kind)["time_embed.0.bias"]
    )
    assert model.vae is not None
    assert model.text_encoder is not None


def test_old_pickle_files_are_read(tmp_path):
    torch.save({"model": unet_state()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "old.pth").kind == KINDS[0]


def test_sectioned_safetensors_are_read(tmp_path):
    flat = {f"{name}.{k}": v for name, part in official().items() for k, v in part.items()}
    save_file(flat, tmp_path / "x.safetensors")
    model = read_checkpoint(tmp_path / "x.safetensors")
    assert model.kind == KINDS[0]
    assert model.vae is not None


def test_single_file_bases_are_read(tmp_path):
    parts = official()
    plain = {
        key: value
        for key, value in parts["model"].items()
        if ".fuser." not in key and not key.startswith("position_net.")
    }
    flat = {f"model.diffusion_model.{key}": value for key, value in plain.items()}
    flat |= {f"first_stage_model.{key}": value for key, value in parts["autoencoder"].items()}
    flat |= {f"cond_stage_model.{key}": value for key, value in parts["text_encoder"].items()}
    flat["betas"] = torch.zeros(3)
    torch.save({"state_dict": flat, "epoch": 3}, tmp_path / "base.ckpt")
    model = read_checkpoint(tmp_path / "base.ckpt")
    assert model.kind is None
    assert model.text_encoder is not None
    with pytest.raises(ValueError, match="plain Stable Diffusion model without GLIGEN's layers"):
        read_adapter(tmp_path / "base.ckpt")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "model."])
def test_pruned_adapters_in_the_original_names_are_read(tmp_path, kind, prefix):
    state = {prefix + key: value for key, value in adapter_state(kind).items()}
    save_file(state, tmp_path / "pruned.safetensors")
    adapter = read_checkpoint(tmp_path / "pruned.safetensors", kind)
    assert isinstance(adapter, Adapter)
    assert adapter.kind == kind
    assert adapter.feature_width == (32 if kind_named(kind).modality == MAP else 64)
    _, whole = convert_unet_state(unet_state(kind))
    assert all(torch.equal(whole[key], value) for key, value in adapter.state.items())


def test_the_authors_training_files_are_read_without_their_classes(tmp_path, monkeypatch):
    """Config objects of an absent package stand beside the weights; nothing of them is needed."""
    module = types.ModuleType("omegaconf")
    node = type("DictConfig", (), {"__module__": "omegaconf", "__qualname__": "DictConfig"})
    module.DictConfig = node
    monkeypatch.setitem(sys.modules, "omegaconf", module)
    config = node()
    config.content = {"batch_size": 4}
    torch.save({"model": unet_state(), "config_dict": {"_content": config}}, tmp_path / "x.pth")
    monkeypatch.delitem(sys.modules, "omegaconf")
    assert read_checkpoint(tmp_path / "x.pth").kind == KINDS[0]


# ---------------------------------------------------------------- refusals


class _Malicious:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_pickle_is_never_run(tmp_path, new_format):
    marker = tmp_path / "was_run"
    torch.save(
        {"model": unet_state(), "extra": _Malicious(marker)},
        tmp_path / "x.pth",
        _use_new_zipfile_serialization=new_format,
    )
    with pytest.raises(ValueError, match=r"refused.*\bopen\b.*nothing in it was run.*safetensors"):
        read_checkpoint(tmp_path / "x.pth")
    (tmp_path / "y.bin").write_bytes(pickle.dumps(_Malicious(marker)))
    with pytest.raises(ValueError, match=r"y\.bin"):
        read_checkpoint(tmp_path / "y.bin")
    assert not marker.exists()


def _truncated_safetensors(path):
    save_file(adapter_state(), path)
    path.write_bytes(path.read_bytes()[:5000])


def _truncated_torch(path):
    torch.save({"model": unet_state()}, path)
    path.write_bytes(path.read_bytes()[:5000])


def _with(changes):
    def write(path):
        save_file({**adapter_state(), **changes}, path)

    return write


def _without(*prefixes):
    def write(path):
        kept = {k: v for k, v in adapter_state().items() if not k.startswith(prefixes)}
        save_file(kept, path)

    return write


FUSER = "input_blocks.1.1.transformer_blocks.0.fuser.alpha_attn"
MALFORMED = {
    "empty": (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
    "text": (
        lambda path: path.write_text("<html>404</html>"),
        r"not a model: it begins with b'<html>",
    ),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "Git LFS pointer",
    ),
    "truncated safetensors": (_truncated_safetensors, "truncated or damaged"),
    "truncated torch": (_truncated_torch, "truncated or damaged"),
    "a tensor": (
        lambda path: torch.save(torch.zeros(3), path),
        "holds a Tensor, not named weights",
    ),
    "no weights": (lambda path: torch.save({"epoch": 3}, path), "holds no weights"),
    "other weights": (
        lambda path: save_file({"bert.weight": torch.zeros(2)}, path),
        r"bert\.weight.*not those of a GLIGEN model",
    ),
    "NaN": (_with({FUSER: torch.tensor(float("nan"))}), "alpha_attn contains NaN"),
    "extra key": (_with({"input_blocks.1.0.op.lora.weight": torch.zeros(1)}), r"op\.lora\.weight"),
    "no tokenizer": (_without("position_net."), "no grounding tokenizer of a known kind"),
    "no gated layers": (
        _without("input", "middle", "output"),
        r"no gated layers|blocks on the way",
    ),
    "half of the layers": (_without("output_blocks"), "0 on the way up"),
    "two modalities": (
        _with({"position_net.null_text_feature": torch.zeros(4)}),
        r"several modalities \(text_box, text_image_box\)",
    ),
    "odd first convolution": (
        _with({"input_blocks.0.0.weight": torch.zeros(32, 12, 3, 3)}),
        "reads 12 channels",
    ),
    "sections without UNet": (
        lambda path: torch.save({"autoencoder": official()["autoencoder"]}, path),
        r"no UNet \(part 'model'\)",
    ),
    "SDXL": (
        lambda path: torch.save(
            {"model": {**unet_state(), "label_emb.0.0.bias": torch.ones(2)}}, path
        ),
        "SDXL",
    ),
    "wrong metadata": (
        lambda path: save_file(adapter_state(), path, {"gligen": "[1]"}),
        "'gligen' is not a JSON object",
    ),
    "lying metadata": (
        lambda path: save_file(adapter_state(), path, {"gligen": '{"kind": "keypoint"}'}),
        "metadata say 'keypoint'",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_get_one_sentence_that_names_the_file(tmp_path, case):
    write, pattern = MALFORMED[case]
    path = tmp_path / "given.file"
    write(path)
    with pytest.raises(ValueError, match=pattern) as refusal:
        read_checkpoint(path)
    assert "given.file" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file '.*nowhere\.pth'"):
        read_weight_file(tmp_path / "nowhere.pth")


# ---------------------------------------------------------------- adapters on a base


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_survives_saving_and_leaves_the_base_alone(tmp_path, kind):
    grounded, base = grounded_unet(kind), small_unet()
    path = tmp_path / "adapter.safetensors"
    save_adapter(path, grounded, kind, base="small", notes={"steps": 5}, original=base)
    assert [file.name for file in tmp_path.iterdir()] == ["adapter.safetensors"]

    before = {key: value.clone() for key, value in base.state_dict().items()}
    adapter = read_adapter(path)
    assert (adapter.kind, adapter.base, adapter.notes) == (kind, "small", {"steps": 5})
    unet = apply_adapter(base, adapter)

    after, wanted = unet.state_dict(), grounded.state_dict()
    assert after.keys() == wanted.keys()
    own = ("conv_in.weight", "conv_in.bias") if trains_first_convolution(kind) else ()
    for key, value in after.items():
        is_new = is_grounding_key(key) or key in own
        plain = key.replace("base_", "")
        assert torch.equal(value, wanted[key] if is_new else before[plain]), key
        if not is_new:  # one base in memory
            assert value.data_ptr() == base.state_dict()[plain].data_ptr(), key
    assert unet.config.in_channels == input_channels(kind, 4, after)
    assert detect_kind(after, kind) == kind
    assert kind_of(unet) == kind
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())
    assert base.config.in_channels == 4


def test_adapters_can_be_saved_in_half_precision(tmp_path):
    grounded = open_gates(add_grounding(small_unet()))
    save_adapter(tmp_path / "half", grounded, KINDS[0], dtype=torch.float16)
    stored = load_file(tmp_path / "half")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    unet = apply_adapter(small_unet(), read_adapter(tmp_path / "half"))
    assert unet.position_net.linears[0].weight.dtype == torch.float32
    with safe_open(str(tmp_path / "half"), "pt") as file:
        assert json.loads(file.metadata()["gligen"])["kind"] == KINDS[0]


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="is of kind plain; it cannot be saved as"):
        save_adapter(tmp_path / "x", small_unet(), KINDS[0])
    grounded = add_grounding(small_unet())
    with pytest.raises(ValueError, match="is of kind generation_text_box"):
        save_adapter(tmp_path / "x", grounded, KINDS[1])
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_of_other_sizes_is_refused(tmp_path):
    save_file(adapter_state(), tmp_path / "x.safetensors")
    with pytest.raises(
        ValueError, match=r"does not fit the base: 204 of its weights are unexpected"
    ):
        apply_adapter(small_unet(), read_adapter(tmp_path / "x.safetensors"))
    grounded = open_gates(add_grounding(small_unet()))
    save_adapter(tmp_path / "y", grounded, KINDS[0])
    adapter = read_adapter(tmp_path / "y")
    narrow = adapter.state | {"position_net.linears.4.bias": torch.zeros(7)}
    with pytest.raises(ValueError, match=r"linears\.4\.bias is 7 instead of 32"):
        apply_adapter(small_unet(), Adapter(KINDS[0], narrow))


def test_an_adapter_for_generation_needs_a_base_that_generates(tmp_path):
    save_adapter(tmp_path / "x", add_grounding(small_unet()), KINDS[0])
    with pytest.raises(ValueError, match="The base reads 9 channels instead of 4"):
        apply_adapter(small_unet(9), read_adapter(tmp_path / "x"))


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"addition_embed_type": "text_time", "cross_attention_dim": 2048}, "SDXL"),
        ({"use_linear_projection": True, "cross_attention_dim": 1024}, r"Diffusion 2 .*1024"),
    ],
)
def test_bases_of_other_families_are_refused(config, family):
    with pytest.raises(ValueError, match=f"The base is .*{family}"):
        check_base(config)


def test_build_unet_names_what_does_not_fit():
    unet = small_unet()
    state = dict(unet.state_dict())
    del state["conv_out.bias"]
    with pytest.raises(ValueError, match=r"1 of its weights is missing \(conv_out\.bias\)"):
        build_unet(unet.config, state)
    state = {**unet.state_dict(), "stray": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"1 of its weights is unexpected \(stray\)"):
        build_unet(unet.config, state)
