"""One evaluation of the UNet, both halves of guidance: where its time goes, and what is saved.

Shapes: the latents are [1, c, h, w], the prompts [2, L, D], the grounding tokens [2, M, D].
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.models import TEXT_LENGTH, Models
from benchmarks.speed.timing import measure
from gligen.attention import Grounding
from gligen.exact.counting import count_flops, count_operations
from gligen.exact.options import ALL_SAVINGS, NO_SAVINGS, RULE, ExactOptions
from gligen.exact.unet import PreparedUNet
from gligen.layout import MAX_REGIONS
from gligen.unet import predict

Evaluation = Callable[[], Any]
TIMESTEP = 981.0
GATES = {"grounded": 1.0, "plain": 0.0}

# One saving after another, in the order in which they are put on.
LADDER: dict[str, ExactOptions] = {"as diffusers": NO_SAVINGS}
LADDER["+ keys and values kept"] = replace(
    NO_SAVINGS, cached_grounding=True, cached_prompt=True, time_table=True
)
LADDER["+ one product for queries, keys and values"] = replace(
    LADDER["+ keys and values kept"], fused_projections=True
)
LADDER["+ start of the UNet for one half"] = replace(
    LADDER["+ one product for queries, keys and values"], shared_prefix=True
)
LADDER["+ upsampling folded"] = replace(LADDER["+ start of the UNet for one half"], upsample=RULE)
LADDER["+ 1x1 convolutions as products"] = replace(
    LADDER["+ upsampling folded"], pointwise_products=True
)

# By the first word that is in an operation's name.
PARTS = {
    "convolutions": ("convolution", "conv2d", "conv_"),
    "attention": ("attention", "flash", "fmha"),
    "products": ("addmm", "::mm", "bmm", "linear", "gemm", "baddbmm"),
    "normalisations": ("norm",),
}
OTHERS = "all others"


class Pair:
    """The inputs of one evaluation, and the ways to compute it."""

    def __init__(self, models: Models, side: int | None = None):
        unet = models.ours.unet
        self.unet: Any = unet
        self.side = side or unet.config.sample_size
        generator = torch.Generator().manual_seed(0)
        width = unet.config.cross_attention_dim

        def noise(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator).to(unet.device, unet.dtype)

        self.latents = noise(1, unet.config.out_channels, self.side, self.side)
        self.context = noise(2, TEXT_LENGTH, width)
        self.tokens = noise(2, MAX_REGIONS, width)

    def stock(self, gate: float) -> Evaluation:
        """Return the evaluation by diffusers' own layers."""
        grounding = Grounding(self.tokens, gate) if gate else None
        timestep = torch.tensor(TIMESTEP, device=self.unet.device)

        @torch.no_grad()
        def evaluate() -> Any:
            pair = torch.cat([self.latents, self.latents])
            return predict(self.unet, pair, timestep, self.context, grounding)

        return evaluate

    def saving(self, gate: float, options: ExactOptions = ALL_SAVINGS) -> Evaluation:
        """Return the evaluation with savings; what is done once in a run is done here."""
        if not options.changes_unet:
            return self.stock(gate)
        prepared = PreparedUNet(self.unet, options)
        conditioning = prepared.conditioning(self.context, self.tokens)
        prepared.prepare_times([TIMESTEP])
        return lambda: prepared(self.latents, TIMESTEP, conditioning, gate)


def count(evaluation: Evaluation) -> dict[str, float]:
    """Return how much work an evaluation is."""
    evaluation()  # what is kept for later evaluations is made
    return {
        "gflop": count_flops(evaluation) / 1e9,
        "operations": count_operations(evaluation).total(),
    }


def seconds_by_part(evaluation: Evaluation, device: str, repeats: int = 5) -> dict[str, float]:
    """Return the seconds of an evaluation by kind of operation, means of some repeats.

    On a GPU these are the seconds in which its kernels run; the gaps between them are not seen.
    """
    is_cuda = device.startswith("cuda")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    evaluation()
    with profile(activities=activities) as profiler:
        for _ in range(repeats):
            evaluation()
    seconds: dict[str, float] = defaultdict(float, dict.fromkeys([*PARTS, OTHERS], 0.0))
    for event in profiler.key_averages():
        taken = event.self_device_time_total if is_cuda else event.self_cpu_time_total
        if is_cuda and event.device_type == torch.autograd.DeviceType.CUDA:
            continue  # its kernels are counted with the operations that start them
        seconds[_part_of(event.key)] += taken / 1e6 / repeats
    return dict(seconds)


def _part_of(name: str) -> str:
    lower = name.lower()
    found = (part for part, words in PARTS.items() if any(word in lower for word in words))
    return next(found, OTHERS)


def product_rate(device: str, dtype: torch.dtype, side: int = 2048, repeats: int = 5) -> float:
    """Return the floating-point operations a second of one large product, the device's limit."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    times = [measure(lambda: torch.mm(a, b), device) for _ in range(repeats)]
    return 2 * side**3 / min(found.counted(device)[0] for found in times)
