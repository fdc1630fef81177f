"""Kinds told apart by their weights; where weights do not tell, something else must."""

import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from gligen.kinds import KINDS
from gligen.weights.checkpoints import read_checkpoint
from gligen.weights.conversion import convert_unet_state
from gligen.weights.recognition import ALIKE, detect_kind
from tests.model_files import adapter_state, official, unet_state


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ALIKE])
def test_hints_do_not_overrule_the_weights(kind):
    _, state = convert_unet_state(unet_state(kind))
    assert detect_kind(state, "canny") == kind
    assert detect_kind(state) == kind


def test_canny_and_depth_need_to_be_told():
    _, state = convert_unet_state(unet_state("canny"))
    for hints in ((), ("hed",), ALIKE):
        with pytest.raises(ValueError, match="--kind canny or --kind depth"):
            detect_kind(state, *hints)
    assert detect_kind(state, "depth") == "depth"
    assert detect_kind(state, "hed", "canny") == "canny"


def test_a_plain_unet_has_no_kind():
    plain = {k: v for k, v in unet_state().items() if "fuser" not in k and "position" not in k}
    assert detect_kind(convert_unet_state(plain)[1]) is None


@pytest.mark.parametrize("kind", ALIKE)
def test_the_authors_own_config_says_which(tmp_path, monkeypatch, kind):
    """Nodes of an absent package: a value is looked up, and no code of theirs runs."""
    module = types.ModuleType("omegaconf")
    monkeypatch.setitem(sys.modules, "omegaconf", module)
    module.Node = type("Node", (), {"__module__": "omegaconf", "__qualname__": "Node"})

    def node(**values):
        made = module.Node()
        made.__dict__.update(values)
        return made

    name = f"ldm.modules.diffusionmodules.{kind}_grounding_net.PositionNet"
    config = node(_val=name)
    for key in ("target", "grounding_tokenizer", "params", "model"):
        config = node(_content={key: config}, _metadata=node(flags=None), _parent=None)
    config_dict = {"_content": config.__dict__["_content"], "_metadata": node(a=1)}
    torch.save({**official(kind), "config_dict": config_dict}, tmp_path / "x.pth")
    monkeypatch.delitem(sys.modules, "omegaconf")
    assert read_checkpoint(tmp_path / "x.pth").kind == kind
    other = ALIKE[1 - ALIKE.index(kind)]
    assert read_checkpoint(tmp_path / "x.pth", other).kind == kind  # the file knows better


def test_our_metadata_say_which(tmp_path):
    save_file(adapter_state("depth"), tmp_path / "x", {"gligen": '{"kind": "depth"}'})
    assert read_checkpoint(tmp_path / "x").kind == "depth"


FIRST = "input_blocks.0.0.weight"
SPOILED = {
    "map without its convolution": (
        "normal",
        lambda s: [s.pop(key) for key in (FIRST, "input_blocks.0.0.bias")],
        "without its first convolution",
    ),
    "map on a plain convolution": (
        "hed",
        lambda s: s.update({FIRST: torch.zeros(32, 1, 3, 3)}),
        "seems to be of kind hed, but its first convolution reads 1 channels",
    ),
    "no downsampler": (
        "semantic",
        lambda s: [s.pop(key) for key in list(s) if key.startswith("downsample_net")],
        "map model of no known kind: its downsampler reads no channels",
    ),
    "downsampler of two channels": (
        "canny",
        lambda s: s.update({"downsample_net.layers.0.weight": torch.zeros(4, 2, 4, 4)}),
        "its downsampler reads 2 channels and its tokenizer RGB",
    ),
    "half a convolution": (
        "inpainting_text_box",
        lambda s: s.pop("input_blocks.0.0.bias"),
        r"only a part is there \(conv_in\.weight\)",
    ),
    "odd inpainting": (
        "inpainting_text_image_box",
        lambda s: s.update({FIRST: torch.zeros(32, 8, 3, 3)}),
        "reads 8 channels, where that kind has 9",
    ),
    "two tokenizers": (
        "keypoint",
        lambda s: s.update({"position_net.null_feature": torch.zeros(4)}),
        r"several modalities \(keypoint, map\)",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_layers_of_no_kind_are_refused(tmp_path, case):
    kind, spoil, pattern = SPOILED[case]
    state = adapter_state(kind)
    spoil(state)
    save_file(state, tmp_path / "given")
    with pytest.raises(ValueError, match=pattern) as refusal:
        read_checkpoint(tmp_path / "given", kind)
    assert "given" in str(refusal.value)
