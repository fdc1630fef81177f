import pytest
import torch
import torch.nn.functional as F
from diffusers.models.upsampling import Upsample2D

from gligen.exact import upsampling
from gligen.exact.options import PHASES, PLAIN, RULE, TIMED, TRANSPOSED, ExactOptions
from gligen.exact.upsampling import can_fold, fold, folded_upsamplers, time_forms


def layer(channels: int = 6, out: int = 5, bias: bool = True) -> Upsample2D:
    torch.manual_seed(0)
    return Upsample2D(channels, use_conv=True, out_channels=out, bias=bias)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", [TRANSPOSED, PHASES])
def test_both_forms_are_the_upsampling_and_the_convolution(form, bias, memory_format):
    module = layer(bias=bias).to(memory_format=memory_format)
    x = torch.randn(2, 6, 5, 7).contiguous(memory_format=memory_format)
    with torch.no_grad():
        expected = module.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        found = fold(module.conv, form)(x)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)


def test_taps_are_added_in_float32():
    module = layer().to(torch.bfloat16)
    exact = fold(layer().conv.to(torch.bfloat16).float(), TRANSPOSED).weight
    assert torch.equal(fold(module.conv, TRANSPOSED).weight, exact.to(torch.bfloat16))


class Changed(Upsample2D):
    pass


@pytest.mark.parametrize(
    "module",
    [
        Upsample2D(4, use_conv=False),
        Upsample2D(4, use_conv_transpose=True),
        Upsample2D(4, use_conv=True, interpolate=False),
        Upsample2D(4, use_conv=True, kernel_size=5, padding=2),
        Changed(4, use_conv=True),
        torch.nn.Identity(),
    ],
)
def test_other_layers_are_left_alone(module):
    assert not can_fold(module)
    assert folded_upsamplers([module], RULE) == {}


def test_the_fastest_form_is_chosen_by_timing_and_remembered(monkeypatch):
    times = {PLAIN: 3.0, TRANSPOSED: 1.0, PHASES: 2.0}
    calls = []

    def timed(module, shape, rounds):
        calls.append(shape)
        return times

    monkeypatch.setattr(upsampling, "_fastest", {})
    monkeypatch.setattr(upsampling, "time_forms", timed)
    module, shape = layer(), torch.Size((1, 6, 4, 4))
    for _ in range(2):
        assert folded_upsamplers([module], TIMED, {module: shape})[module].form == TRANSPOSED
    assert calls == [shape]
    times.update({PLAIN: 0.5})
    other = torch.Size((1, 6, 8, 8))
    assert folded_upsamplers([module], TIMED, {module: other}) == {}


def test_timing_tries_all_forms():
    seconds = time_forms(layer(), torch.Size((1, 6, 4, 4)), rounds=1)
    assert set(seconds) == {PLAIN, TRANSPOSED, PHASES}
    assert all(0 < value < 60 for value in seconds.values())


def test_a_way_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no way to upsample called 'quick'; there are: plain, "):
        ExactOptions(upsample="quick")
