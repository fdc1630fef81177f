"""A nearest-neighbour upsampling by 2 and the 3x3 convolution behind it, in one.

After such an upsampling the three taps of the convolution fall on two different pixels only, so
taps that fall on the same pixel are added beforehand: 16 products in the place of 36.

Shapes: B pictures, C channels in, O channels out, h and w before the upsampling.
"""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models.upsampling import Upsample2D
from jaxtyping import Float
from torch import Tensor, nn

from gligen.exact.memory import is_channels_last
from gligen.exact.options import PHASES, PLAIN, RULE, TIMED, TRANSPOSED

# Row k: the taps of the 3-tap kernel that tap k of the transposed 4-tap kernel is the sum of.
_TRANSPOSED_TAPS = [[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]
# [parity of the output pixel][tap on the earlier or later input pixel]: likewise.
_PHASE_TAPS = [[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]]


@dataclass(frozen=True)
class FoldedUpsample:
    """An upsampling convolution with its taps added; made for one run, the model keeps its own."""

    form: str  # TRANSPOSED or PHASES
    weight: Tensor  # [C, O, 4, 4], or [4 O, C, 2, 2]
    bias: Float[Tensor, " O"] | None

    def __call__(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B O 2*h 2*w"]:
        """Upsample and convolve."""
        if self.form == TRANSPOSED:
            return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
        B, _, h, w = x.shape
        bias = None if self.bias is None else self.bias.repeat(4)
        windows = F.conv2d(x, self.weight, bias, padding=1)  # [B, 4 O, h + 1, w + 1]
        windows = windows.unflatten(1, (2, 2, -1))
        layout = torch.channels_last if is_channels_last(x) else torch.contiguous_format
        shape = (B, windows.shape[3], 2 * h, 2 * w)
        out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
        for row in (0, 1):
            for column in (0, 1):
                window = windows[:, row, column, :, row : row + h, column : column + w]
                out[:, :, row::2, column::2] = window
        return out


def can_fold(upsampler: nn.Module) -> bool:
    """Whether a layer is the usual upsampling convolution, with nothing put around it."""
    if type(upsampler) is not Upsample2D:
        return False
    conv = getattr(upsampler, "conv", None)
    return (
        type(conv) is nn.Conv2d
        and upsampler.interpolate
        and upsampler.use_conv
        and not upsampler.use_conv_transpose
        and upsampler.norm is None
        and conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
    )


def convolution(upsampler: nn.Module) -> nn.Conv2d:
    """Return the convolution of a layer that can be folded."""
    conv = upsampler.conv
    assert isinstance(conv, nn.Conv2d), "only such layers are folded"
    return conv


def fold(conv: nn.Conv2d, form: str) -> FoldedUpsample:
    """Add the taps of a convolution, in float32 whatever its dtype; `form` is no rule."""
    kernel, dtype = conv.weight.detach().float(), conv.weight.dtype  # [O, C, 3, 3]
    bias = None if conv.bias is None else conv.bias.detach()
    if form == TRANSPOSED:
        taps = kernel.new_tensor(_TRANSPOSED_TAPS)
        weight = torch.einsum("kh,ochw,lw->cokl", taps, kernel, taps)
    else:
        taps = kernel.new_tensor(_PHASE_TAPS)
        weight = torch.einsum("rkh,ochw,slw->rsockl", taps, kernel, taps).flatten(0, 2)
    weight = weight.to(dtype)
    if is_channels_last(conv.weight):
        weight = weight.contiguous(memory_format=torch.channels_last)
    return FoldedUpsample(form, weight, bias)


def folded_upsamplers(
    upsamplers: list[nn.Module], choice: str, shapes: dict[nn.Module, torch.Size] | None = None
) -> dict[nn.Module, FoldedUpsample]:
    """Fold those layers that gain by it.

    Args:
        upsamplers: of a UNet or a decoder.
        choice: one of `gligen.exact.options.UPSAMPLE_FORMS`.
        shapes: of the input of each layer, which timing needs; layers without one go by the rule.
    """
    folded = {}
    for layer in upsamplers if choice != PLAIN else []:
        if can_fold(layer):
            form = _form(layer, choice, (shapes or {}).get(layer))
            if form != PLAIN:
                folded[layer] = fold(convolution(layer), form)
    return folded


def _form(layer: nn.Module, choice: str, shape: torch.Size | None) -> str:
    if choice == TIMED and shape is not None:
        return fastest_form(layer, shape)
    return rule(convolution(layer).weight) if choice in (RULE, TIMED) else choice


def rule(weight: Tensor) -> str:
    """Return the form for such weights; `benchmarks/speed` times them (`--section upsampling`)."""
    if weight.device.type == "cpu" and not is_channels_last(weight):
        return PHASES
    return TRANSPOSED


_fastest: dict[tuple, str] = {}  # by shape, layout, dtype and device, for the life of the process


def fastest_form(layer: nn.Module, shape: torch.Size, rounds: int = 3) -> str:
    """Time the forms on an input of `shape` and return the fastest; remembered for like layers."""
    weight = convolution(layer).weight
    channels_last = is_channels_last(weight)
    key = (shape, weight.shape, weight.dtype, str(weight.device), channels_last)
    if key not in _fastest:
        seconds = time_forms(layer, shape, rounds)
        _fastest[key] = min(seconds, key=lambda form: seconds[form])
    return _fastest[key]


@torch.no_grad()
def time_forms(layer: nn.Module, shape: torch.Size, rounds: int) -> dict[str, float]:
    """Return the seconds that each form takes, the least of `rounds` in turn after a warm-up."""
    weight = convolution(layer).weight
    layout = torch.channels_last if is_channels_last(weight) else torch.contiguous_format
    x = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
    x = x.contiguous(memory_format=layout)
    forms = {
        PLAIN: layer,
        TRANSPOSED: fold(convolution(layer), TRANSPOSED),
        PHASES: fold(convolution(layer), PHASES),
    }
    seconds = dict.fromkeys(forms, float("inf"))
    for turn in range(rounds + 1):
        for form, run in forms.items():
            started = _now(weight.device)
            run(x)
            taken = _now(weight.device) - started
            if turn > 0:
                seconds[form] = min(seconds[form], taken)
    return seconds


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
