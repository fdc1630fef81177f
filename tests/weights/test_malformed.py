"""Nine ways to spoil a model file, in each of the forms that circulate: one clear sentence each."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gligen.loading import load_pipeline
from gligen.weights import hub
from gligen.weights.converting import Conversion, convert
from tests.conftest import small_tokenizer
from tests.model_files import adapter_state, official, plain_base

NAN = float("nan")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a folder with one sound model of every form."""
    shelf = tmp_path_factory.mktemp("shelf")
    small_tokenizer().save_pretrained(shelf / "tokenizer")
    torch.save(official(), shelf / "official")
    torch.save({"state_dict": plain_base(), "epoch": 1}, shelf / "base")
    torch.save(adapter_state(), shelf / "comfy_pickle")
    save_file(adapter_state(), shelf / "comfy")
    convert(Conversion(shelf / "official", shelf / "adapter", "adapter"))
    for to in ("diffusers", "gligen"):
        convert(Conversion(shelf / "official", shelf / to, to, tokenizer=shelf / "tokenizer"))
    return shelf


def load(shelf, form, spoiled):
    """Load a model with what the form needs beside it; a base is loaded under an adapter."""
    options = {"device": "cpu"}
    if form in ("official", "base"):
        options["tokenizer"] = shelf / "tokenizer"
    if form in ("adapter", "comfy", "comfy_pickle"):
        options["base"] = shelf / "diffusers"
    if form == "base":
        return load_pipeline(shelf / "comfy", base=spoiled, **options)
    return load_pipeline(spoiled, **options)


class Form:
    """A form of a model: where its weights are, and how to change them."""

    def __init__(self, weights: str = "", section: str = "", prefix: str = ""):
        self.weights, self.section, self.prefix = weights, section, prefix

    def file(self, path):
        """Return the file with the weights of interest."""
        return path / self.weights if self.weights else path

    def edit(self, path, change):
        """Apply a change to the weights, under the names they have in the file."""
        file = self.file(path)
        if file.read_bytes()[8:9] == b"{":
            with safe_open(str(file), "pt") as opened:
                metadata = opened.metadata()
            state = load_file(file)
            change(state)
            save_file(state, file, metadata)
            return
        content = torch.load(file, weights_only=True)
        change(content[self.section] if self.section else content)
        torch.save(content, file)


FORMS = {
    "official": Form(section="model"),
    "adapter": Form(),
    "comfy": Form(),
    "comfy_pickle": Form(),
    "diffusers": Form("unet/diffusion_pytorch_model.safetensors"),
    "base": Form(section="state_dict", prefix="model.diffusion_model."),
    "gligen": Form("adapters/generation_text_box.safetensors"),
}


def find(state, *endings):
    return next(key for key in state if key.endswith(endings))


def truncated(form, path):
    file = FORMS[form].file(path)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(form, path):
    FORMS[form].file(path).write_bytes(b"")


def no_model(form, path):
    FORMS[form].file(path).write_text("<html>Not found</html>")


def reshaped(form, path):
    def change(state):
        key = find(state, "fuser.linear.weight", "attn1.to_q.weight")
        state[key] = torch.zeros(7, *state[key].shape[1:])

    FORMS[form].edit(path, change)


def spoiled(form, path):
    def change(state):
        key = find(state, "fuser.linear.weight", "out_layers.3.weight")
        state[key].view(-1)[0] = NAN

    FORMS[form].edit(path, change)


def extended(form, path):
    def change(state):
        state[f"{FORMS[form].prefix}control.weight"] = torch.zeros(2)

    FORMS[form].edit(path, change)


def lacking(form, path):
    if form == "official":
        content = torch.load(path, weights_only=True)
        torch.save({k: v for k, v in content.items() if k != "autoencoder"}, path)
    elif form == "diffusers":
        shutil.rmtree(path / "text_encoder")
    else:
        part = "cond_stage_model." if form == "base" else "position_net."

        def change(state):
            for key in [key for key in state if key.startswith(part)]:
                del state[key]

        FORMS[form].edit(path, change)


class _Code:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (self.marker, "w")


def executable(form, path):
    file = FORMS[form].file(path)
    code = {"model": _Code(str(path.with_name("was_run")))}
    if form == "diffusers":
        file.unlink()
        file = file.with_suffix(".bin")
    torch.save(code, file)


def foreign(form, path):
    """Turn a model into one of SDXL or Stable Diffusion 2, as far as its names and shapes go."""
    if form in ("diffusers", "gligen"):
        file = path / "unet" / "config.json"
        other = {"addition_embed_type": "text_time"}
        if form == "gligen":
            other = {"use_linear_projection": True, "cross_attention_dim": 1024}
        file.write_text(json.dumps(json.loads(file.read_text()) | other))
        return

    def change(state):
        if form == "adapter":  # of the width of Stable Diffusion 2
            for key in [key for key in state if key.endswith("fuser.linear.weight")]:
                state[key] = torch.zeros(len(state[key]), 1024)
        elif form == "base":
            key = find(state, "input_blocks.1.1.proj_in.weight")
            state[key] = state[key][:, :, 0, 0].clone()
        else:
            state["label_emb.0.0.weight"] = torch.zeros(4, 4)

    FORMS[form].edit(path, change)


ANY = dict.fromkeys(FORMS)
CASES = {
    truncated: ANY | dict.fromkeys(FORMS, "truncated or damaged"),
    emptied: ANY | dict.fromkeys(FORMS, "is empty"),
    no_model: ANY | dict.fromkeys(FORMS, "not a model: it begins with b'<html>"),
    spoiled: ANY | dict.fromkeys(FORMS, r"damaged: .* contains NaN or infinity"),
    executable: ANY | dict.fromkeys(FORMS, "was refused: .* nothing in it was run"),
    reshaped: ANY | dict.fromkeys(FORMS, "of another size than the model needs"),
    extended: ANY | dict.fromkeys(FORMS, r"1 .*unexpected.*\(control\.weight\)"),
    lacking: {
        **dict.fromkeys(FORMS, "no grounding tokenizer"),
        "official": "a UNet but no autoencoder",
        "diffusers": "has no text_encoder",
        "base": "a UNet but no text encoder",
    },
    foreign: {
        **dict.fromkeys(FORMS, "SDXL"),
        "adapter": "does not fit the base: .* of another size .* 32x1024 instead of 32x64",
        "base": "Stable Diffusion 2",
        "gligen": "Stable Diffusion 2 .*1024",
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_model_gets_one_clear_sentence(shelf, tmp_path, spoil, form):
    path = tmp_path / "given"
    (shutil.copytree if (shelf / form).is_dir() else shutil.copy)(shelf / form, path)
    spoil(form, path)
    with pytest.raises(ValueError, match=CASES[spoil][form]) as refusal:
        load(shelf, form, path)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize("form", FORMS)
def test_the_sound_models_load(shelf, form):
    assert load(shelf, form, shelf / form).kind == "generation_text_box"


def test_weights_that_the_sizes_are_read_from_may_be_spoiled_too(shelf, tmp_path):
    path = tmp_path / "given"
    shutil.copy(shelf / "official", path)

    def change(state):
        key = "input_blocks.1.0.out_layers.3.weight"
        state[key] = torch.zeros(7, *state[key].shape[1:])

    FORMS["official"].edit(path, change)
    with pytest.raises(ValueError, match=r"given.*sizes that no Stable Diffusion 1\.x UNet has"):
        load(shelf, "official", path)
