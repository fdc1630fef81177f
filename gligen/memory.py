"""How much memory of the device a model needs, counted beforehand, and what to do where it lacks.

Nothing is estimated by a formula: the evaluation itself, savings included, runs on copies without
storage ("meta"), and the bytes that would be alive at one time are counted.

Shapes: B pictures, R rows (2 B with guidance), latents [B, c, h, w].
"""

import copy
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gligen.components import Components
from gligen.exact.decoding import decode_latents
from gligen.exact.options import NO_SAVINGS, ExactOptions
from gligen.exact.support import why_plain
from gligen.exact.unet import PreparedUNet
from gligen.guidance import GuidedModel
from gligen.layout import MAX_REGIONS
from gligen.unet import is_grounded

MODEL = TypeVar("MODEL", bound=nn.Module)

GB = 10**9
# Of a GPU: its context with the kernels of torch and cuDNN (about 0.5 GB), and workspaces.
CUDA_OVERHEAD = 600 * 10**6
# What an allocator loses in gaps, as a share of what is alive.
GAPS = 0.1

ON_DEVICE, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD = "on device", "model offload", "sequential offload"
PLACEMENTS = (ON_DEVICE, MODEL_OFFLOAD, SEQUENTIAL_OFFLOAD)  # from fast to small


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made and not yet given up; what was there is not."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = {_storage(x)._cdata for x in _tensors((*args, *kwargs.values()))}
        made = func(*args, **kwargs)
        for tensor in _tensors(made if isinstance(made, (tuple, list)) else [made]):
            storage = _storage(tensor)
            key = storage._cdata
            if key in given or key in self._sizes:  # a view, or written in place
                continue
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._give_up, key)
        return made

    def _give_up(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)


def _storage(tensor: Tensor) -> Any:
    return tensor.untyped_storage()


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)


class _FusedAttention(TorchFunctionMode):
    """On meta, attention would be computed in pieces that no device keeps."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def peak_bytes(run: Callable[[], Any]) -> int:
    """Return the most bytes of new tensors that are alive at one time; models are on meta."""
    with _FusedAttention(), LiveBytes() as live:
        run()
    return live.peak


def weight_bytes(models: Iterable[nn.Module | None]) -> int:
    """Return the bytes of all parameters and buffers; shared ones count once."""
    sizes: dict[int, int] = {}
    for model in models:
        for tensor in () if model is None else (*model.parameters(), *model.buffers()):
            sizes[id(tensor)] = tensor.numel() * tensor.element_size()
    return sum(sizes.values())


def without_storage(model: MODEL) -> MODEL:
    """Return a copy of a model on meta; the weights are not copied."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo)


@dataclass(frozen=True)
class Growth:
    """Bytes by the number of pictures: a straight line, but never less than `least`."""

    least: int  # for one picture
    four: int
    eight: int

    def of(self, num_images: int) -> int:
        """Return the bytes for so many pictures."""
        if num_images == 0:
            return 0
        each = (self.eight - self.four) / 4
        return max(self.least, round(self.four + each * (num_images - 4)))


@dataclass(frozen=True)
class Need:
    """The bytes that making pictures needs besides those of the weights."""

    unet: Growth  # merged weights, keys and values of a run, and an evaluation
    plain_unet: Growth  # without savings
    decode: Growth


@torch.no_grad()
def count_need(components: Components, size: tuple[int, int] | None = None) -> Need:
    """Count the bytes that pictures of a size need; by default as trained.

    Args:
        components: the models, anywhere; nothing is computed with their weights.
        size: width and height in pixels.
    """
    width, height = size or components.image_size
    latent = (height // components.pixels_per_latent, width // components.pixels_per_latent)
    unet, vae = without_storage(components.unet), without_storage(components.vae)
    # What compiling saves is not known beforehand, and copies without storage are not compiled.
    options = NO_SAVINGS if why_plain(unet) else replace(components.exact, compiled=False)

    def growth(run: Callable[[int], Any]) -> Growth:
        one, four, eight = (peak_bytes(partial(run, number)) for number in (1, 4, 8))
        return Growth(one, four, eight)

    def decode(num_images: int) -> None:
        shape = (num_images, components.num_channels, *latent)
        decode_latents(vae, torch.empty(shape, dtype=vae.dtype, device="meta"), components.exact)

    return Need(
        unet=growth(lambda number: evaluate_once(unet, number, latent, options)),
        plain_unet=growth(lambda number: evaluate_once(unet, number, latent, NO_SAVINGS)),
        decode=growth(decode),
    )


def evaluate_once(
    unet: Any, num_images: int, latent: tuple[int, int], options: ExactOptions
) -> None:
    """Prepare and evaluate both halves of guidance once, where the UNet is; zeros are painted."""
    width, device = unet.config.cross_attention_dim, unet.conv_out.weight.device

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(num_images, *shape, dtype=unet.dtype, device=device)

    prepared = None
    if options.changes_unet:
        prepared = PreparedUNet(unet, options)
        prepared.prepare_times([500.0])
    tokens = zeros(MAX_REGIONS, width) if is_grounded(unet) else None
    num_channels = unet.config.out_channels
    further = unet.conv_in.in_channels - num_channels  # of a hole, or of a map
    model = GuidedModel(
        unet=unet,
        context=zeros(77, width),
        negative_context=zeros(77, width),
        guidance_scale=7.5,
        tokens=tokens,
        null_tokens=tokens,
        extra_channels=zeros(further, *latent) if further else None,
        prepared=prepared,
    )
    model(zeros(num_channels, *latent), 500.0, 1.0)


@dataclass(frozen=True)
class Plan:
    """Where the models are kept, and how pictures are decoded."""

    placement: str  # ON_DEVICE, MODEL_OFFLOAD or SEQUENTIAL_OFFLOAD
    max_batch: int  # pictures made together
    slices_decoding: bool  # one picture after the other
    tiles_decoding: (
        bool  # a picture in overlapping pieces, which may differ a little at their seams
    )
    needed: int  # bytes at the worst moment
    fits: bool  # False: even the last resort needs more than there is
    reason: str  # for a person, full sentences


def plan(
    components: Components,
    budget: int,
    max_batch: int = 1,
    size: tuple[int, int] | None = None,
    others: Iterable[nn.Module | None] = (),
) -> Plan:
    """Decide how a model is used within so many bytes of the device.

    The first of these that holds one picture is taken, and then as many pictures at once as fit, up
    to `max_batch`: all models on the device; each there only while it computes; each layer so.

    Args:
        components: the models, wherever they are, and the device that they will compute on.
        budget: bytes of the device that may be used, its context included.
        max_batch: pictures that should be made together.
        size: width and height in pixels; default: as trained.
        others: further models that are loaded beside these, a safety checker for example.
    """
    need, can_offload = count_need(components, size), components.device.type != "cpu"
    room = int((budget - (CUDA_OVERHEAD if can_offload else 0)) / (1 + GAPS))
    unet, vae = components.unet, components.vae
    models = [components.text_encoder, unet, vae, components.image_encoder, *others]
    models += [components.controlnet, components.adapter, components.ip_adapter_image_encoder]
    layers = [weight_bytes([module]) for module in unet.modules() if not list(module.children())]
    # The weights that are there at least, while the UNet computes, and while the decoder does.
    everything, one_by_one = weight_bytes(models), [weight_bytes([model]) for model in models]
    weights = {
        ON_DEVICE: (everything, everything, everything),
        MODEL_OFFLOAD: (max(one_by_one), weight_bytes([unet]), weight_bytes([vae])),
        SEQUENTIAL_OFFLOAD: (max(layers), max(layers), max(layers)),
    }

    def needed(placement: str, painted: int, decoded: int) -> int:
        """Return the bytes at the worst moment, for so many pictures at once."""
        least, painting, decoding = weights[placement]
        evaluation = need.plain_unet if placement == SEQUENTIAL_OFFLOAD else need.unet
        painting += evaluation.of(painted)
        return max(least, painting, decoding + need.decode.of(decoded))

    placements = PLACEMENTS if can_offload else (ON_DEVICE,)
    fitting = [placement for placement in placements if needed(placement, 1, 0) <= room]
    placement = fitting[0] if fitting else placements[-1]
    batches = [n for n in range(1, max_batch + 1) if needed(placement, n, 0) <= room]
    batch = max(batches, default=1)
    tiles = needed(placement, 0, 1) > room
    slices = batch > 1 and needed(placement, 0, batch) > room
    # Pieces of a picture are small; how small is not counted.
    decoded = 0 if tiles else 1 if slices else batch
    found = Plan(
        placement, batch, slices, tiles, needed(placement, batch, decoded), bool(fitting), ""
    )
    return replace(found, reason=_reason(found, everything, room))


def _reason(found: Plan, weights: int, room: int) -> str:
    known = f"the weights take {weights / GB:.1f} GB of {room / GB:.1f} GB"
    with_all = f"{found.needed / GB:.1f} GB are needed for {found.max_batch} at a time"
    sentences = {
        ON_DEVICE: f"All models stay on the device: {known}, and {with_all}.",
        MODEL_OFFLOAD: f"Each model is on the device only while it computes: {known}, and pictures "
        f"need more than the rest; so {with_all}.",
        SEQUENTIAL_OFFLOAD: "Each layer is on the device only while it computes, which is slow: "
        f"{known}, and the largest model with a picture does not fit either; so {with_all}.",
    }
    said = [sentences[found.placement]]
    if not found.fits:
        said = [
            f"One picture needs {found.needed / GB:.1f} GB, and there are {room / GB:.1f} GB: it "
            "may fail."
        ]
    if found.slices_decoding:
        said.append("Pictures of a batch are decoded one after the other.")
    if found.tiles_decoding:
        said.append("A picture is decoded in overlapping pieces.")
    return " ".join(said)


def apply(pipeline: Any, chosen: Plan, device: torch.device | str) -> None:
    """Put a pipeline that is on the CPU where a plan says."""
    if chosen.slices_decoding:
        pipeline.vae.enable_slicing()
    if chosen.tiles_decoding:
        pipeline.vae.enable_tiling()
    if chosen.placement == ON_DEVICE:
        pipeline.to(device)
    elif chosen.placement == MODEL_OFFLOAD:
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)
