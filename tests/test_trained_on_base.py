"""After whole runs: the base is bitwise what it was, with the gate at 0 also in what it paints."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from gligen.kinds import CROSS_ATTENTION, MLP_BOXES
from gligen.loading import load_pipeline
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.unet import is_grounding_key
from tests.test_adapter_training import CutError, CutExamples, settings_for, train
from tests.test_grounding import layout_for
from tests.training_examples import save_plain_base

ABLATED = {"fuser": CROSS_ATTENTION, "box_embedding": MLP_BOXES}
RUNS = {
    "text_box": ("generation_text_box", {}),
    "muon": ("generation_text_box", {"optimizer": "muon", "weight_decay": 0.1}),
    "ablated": ("generation_text_box", ABLATED),
    "keypoint": ("keypoint", {}),
    "hed": ("hed", {}),
    "canny": ("canny", {"optimizer": "muon", "weight_decay": 0.1}),
    "inpainting": ("inpainting_text_box", {"weight_decay": 0.1}),
}
FIRST = ("conv_in.weight", "conv_in.bias")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_plain_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def before(base):
    """The base's UNet, and the bytes of all its files, before anything was trained on it."""
    files = {path: path.read_bytes() for path in base.rglob("*") if path.is_file()}
    return load_file(base / "unet" / "diffusion_pytorch_model.safetensors"), files


@pytest.fixture(scope="module")
def adapters(base, before, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: train(settings_for(base, folder / name, kind, watch_every_steps=0, **changes))
        for name, (kind, changes) in RUNS.items()
    }


@pytest.mark.parametrize("name", RUNS)
def test_the_base_is_bitwise_what_it_was(base, before, adapters, name):
    plain, files = before
    assert files == {path: path.read_bytes() for path in files}
    kind = RUNS[name][0]
    trains_first = kind in ("hed", "canny", "inpainting_text_box")
    saved = load_file(adapters[name])
    assert all(is_grounding_key(key) or key.startswith("conv_in.") for key in saved)
    loaded = load_pipeline(adapters[name], kind, base).unet.state_dict()
    frozen = [key for key in plain if key not in FIRST or not trains_first]
    assert all(torch.equal(loaded[key], plain[key]) for key in frozen)
    if not trains_first:
        assert not any(key.startswith("conv_in.") for key in saved)
        return
    # The base's own first convolution goes along, untouched, and the trained one has moved.
    for part in ("weight", "bias"):
        own, trained = plain[f"conv_in.{part}"], saved[f"conv_in.{part}"]
        assert torch.equal(saved[f"conv_in.base_{part}"], own)
        assert torch.equal(loaded[f"conv_in.{part}"], trained)
        assert not torch.equal(trained[:, :4] if part == "weight" else trained, own)
    assert saved["conv_in.weight"][:, 4:].any()


@pytest.mark.parametrize("name", [name for name in RUNS if name != "inpainting"])
def test_with_the_gate_at_zero_it_paints_as_the_base_bitwise(base, adapters, name):
    kind = RUNS[name][0]
    request = Request("a dog", layout_for(kind), num_inference_steps=3, seed=5)
    pipeline = load_pipeline(adapters[name], kind, base)
    grounded = pipeline.generate(replace(request, gate_schedule=1.0)).images[0]
    shut = pipeline.generate(replace(request, gate_schedule=0.0)).images[0]
    plain = GligenPipeline.from_pretrained(base).generate(
        Request("a dog", num_inference_steps=3, seed=5)
    )
    assert shut.tobytes() == plain.images[0].tobytes()
    assert grounded.tobytes() != shut.tobytes()


@pytest.mark.parametrize(
    "name",
    ["inpainting", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ablated", "canny"))],
)
def test_a_cut_run_of_any_kind_ends_like_one_that_was_not(base, tmp_path, name):
    kind, changes = RUNS[name]
    changes = changes | {"num_steps": 5, "save_every_seconds": 0.0, "watch_every_steps": 0}
    whole = settings_for(base, tmp_path / "whole", kind, **changes)
    cut = replace(whole, output=str(tmp_path / "cut"))
    expected = load_file(train(whole))
    with pytest.raises(CutError):
        train(cut, CutExamples(kind, 11))
    assert (tmp_path / "cut" / "state.pt").exists()
    found = load_file(train(cut))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
