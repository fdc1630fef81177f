"""Adapters on the base they were trained on, on another, and where nobody knows which it was."""

from dataclasses import replace

import pytest
import torch

from gligen.kinds import KINDS, MAP, kind_named
from gligen.weights.adapters import FirstWeights, put_on, split_unet
from gligen.weights.building import apply_adapter
from gligen.weights.recognition import trains_first_convolution
from tests.conftest import grounded_unet, small_unet

TRAINING = [kind for kind in KINDS if trains_first_convolution(kind)]
OTHERS = [kind for kind in KINDS if kind not in TRAINING]


def other_base():
    """Return a base that differs from `small_unet()` in every weight."""
    unet = small_unet()
    for parameter in unet.parameters():
        parameter.data += 0.25
    return unet


def first_of(unet):
    return FirstWeights(unet.conv_in.weight.detach(), unet.conv_in.bias.detach())


def adapter_of(kind, **changes):
    unet = grounded_unet(kind)
    _, adapter = split_unet(unet.config, unet.state_dict(), kind)
    original = first_of(small_unet()) if kind in TRAINING else None
    return replace(adapter, **{"original": original, "fingerprint": {}, **changes})


@pytest.mark.parametrize("kind", OTHERS)
def test_without_a_trained_convolution_any_base_will_do(kind):
    base = other_base()
    unet = apply_adapter(base, adapter_of(kind))
    assert torch.equal(unet.conv_in.weight, base.conv_in.weight)


@pytest.mark.parametrize("kind", TRAINING)
def test_on_another_base_what_training_changed_is_added(kind):
    base, adapter = other_base(), adapter_of(kind)
    unet = apply_adapter(base, adapter)
    trained, original = adapter.state["conv_in.weight"], adapter.original
    change = trained[:, :4] - original.weight
    assert torch.allclose(unet.conv_in.weight[:, :4], base.conv_in.weight + change, atol=1e-6)
    assert torch.equal(unet.conv_in.weight[:, 4:], trained[:, 4:])
    bias = base.conv_in.bias + adapter.state["conv_in.bias"] - original.bias
    assert torch.allclose(unet.conv_in.bias, bias, atol=1e-6)
    if kind_named(kind).modality == MAP:
        assert torch.equal(unet.conv_in.base_weight, base.conv_in.weight)
        assert torch.equal(unet.conv_in.base_bias, base.conv_in.bias)


@pytest.mark.parametrize("kind", TRAINING)
def test_on_its_own_base_the_trained_one_stays_as_it_is(kind):
    adapter = adapter_of(kind)
    unet = apply_adapter(small_unet(), adapter)
    assert torch.equal(unet.conv_in.weight, adapter.state["conv_in.weight"])
    # Also in half precision, in which the two convolutions are compared.
    half = apply_adapter(small_unet().half(), adapter)
    assert torch.equal(half.conv_in.weight, adapter.state["conv_in.weight"].half())


@pytest.mark.parametrize("kind", TRAINING)
def test_an_adapter_that_does_not_know_its_base_asks(kind):
    adapter = adapter_of(kind, original=None)
    with pytest.raises(ValueError, match=r"SD_input_conv_weight_bias\.pth.*--trained-on"):
        apply_adapter(other_base(), adapter)
    told = apply_adapter(other_base(), adapter, first_of(small_unet()))
    knew = apply_adapter(other_base(), adapter_of(kind))
    assert torch.equal(told.conv_in.weight, knew.conv_in.weight)
    at_home = apply_adapter(other_base(), adapter, at_home=True)
    assert torch.equal(at_home.conv_in.weight, adapter.state["conv_in.weight"])


@pytest.mark.parametrize("kind", TRAINING)
def test_a_whole_model_knows_its_base_by_the_frozen_weights(kind):
    unet = grounded_unet(kind)
    if kind_named(kind).modality == MAP:
        del unet.conv_in.base_weight, unet.conv_in.base_bias
        unet.conv_in.base_weight = unet.conv_in.base_bias = None
    base = small_unet()
    # `small_unet` draws its weights from its channels: give both the same frozen ones.
    frozen = {k: v.clone() for k, v in base.state_dict().items() if "conv_in" not in k}
    state = unet.state_dict() | frozen
    _, adapter = split_unet(unet.config, state, kind)
    assert adapter.original is None
    same = apply_adapter(base, adapter)
    assert torch.equal(same.conv_in.weight, adapter.state["conv_in.weight"])
    base.conv_out.bias.data += 1
    with pytest.raises(ValueError, match="--trained-on"):
        apply_adapter(base, adapter)


def test_the_plain_base_comes_back_out_of_a_grounded_unet():
    base = small_unet()
    for kind in KINDS:
        unet = apply_adapter(base, adapter_of(kind))
        found, _ = split_unet(unet.config, unet.state_dict(), kind)
        if kind_named(kind).is_inpainting:
            with pytest.raises(ValueError, match="is not in the file.*--base"):
                found.plain()
            continue
        config, state = found.plain()
        assert config["in_channels"] == 4
        assert state.keys() == base.state_dict().keys()
        assert all(torch.equal(value, base.state_dict()[key]) for key, value in state.items())


def test_a_convolution_of_another_family_is_refused():
    wide = FirstWeights(torch.zeros(64, 4, 3, 3), torch.zeros(64))
    with pytest.raises(ValueError, match="they are of different families"):
        apply_adapter(other_base(), adapter_of("hed", original=wide))
    adapter = adapter_of("hed")
    narrow = adapter.state | {"conv_in.weight": torch.zeros(32, 4, 3, 3)}
    with pytest.raises(ValueError, match="would read 4 channels instead of 5"):
        apply_adapter(small_unet(), replace(adapter, state=narrow))


def test_only_the_adapter_is_brought_to_the_precision_of_the_base():
    base, _ = split_unet(small_unet().config, small_unet().half().state_dict(), None)
    _, state = put_on(base, adapter_of("canny"))
    assert {value.dtype for value in state.values()} == {torch.float16}
    key = "time_embedding.linear_1.weight"
    assert state[key] is base.frozen[key]
