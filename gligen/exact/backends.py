"""Which of PyTorch's attention kernels is fastest for a shape, on a CUDA device.

They differ by card, head width and number of keys, so each is tried once for each shape and the
fastest is remembered for the life of the process.

Shapes: R rows, H heads, N queries, K keys, d width of a head.
"""

import itertools

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

# In the order in which PyTorch itself would try them; the last one can do everything.
BACKENDS = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
)
ROUNDS = 5  # of each, after one to warm up

_fastest: dict[tuple, SDPBackend] = {}


def attention(
    queries: Float[Tensor, "R H N d"],
    keys: Float[Tensor, "R H K d"],
    values: Float[Tensor, "R H K d"],
) -> Float[Tensor, "R H N d"]:
    """Return scaled dot-product attention, on CUDA by the kernel that is fastest for the shape."""
    if not queries.is_cuda:
        return F.scaled_dot_product_attention(queries, keys, values)
    with sdpa_kernel(fastest_backend(queries, keys, values)):
        return F.scaled_dot_product_attention(queries, keys, values)


def fastest_backend(queries: Tensor, keys: Tensor, values: Tensor) -> SDPBackend:
    """Return the kernel to use; tried where the shape is new, so not while a graph is recorded."""
    key = (
        queries.shape,
        keys.shape,
        queries.stride(),
        keys.stride(),
        queries.dtype,
        queries.device,
    )
    if key not in _fastest:
        seconds = {
            backend: taken
            for backend in BACKENDS
            if (taken := seconds_of(backend, queries, keys, values)) is not None
        }
        _fastest[key] = min(seconds, key=lambda backend: seconds[backend])
    return _fastest[key]


def seconds_of(backend: SDPBackend, queries: Tensor, keys: Tensor, values: Tensor) -> float | None:
    """Return the time of one call, the least of some; None where the kernel cannot do it."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(ROUNDS + 1)]
    try:
        with sdpa_kernel(backend):
            F.scaled_dot_product_attention(queries, keys, values)
            for event in events:
                event.record()
                F.scaled_dot_product_attention(queries, keys, values)
    except RuntimeError:  # torch says in a warning why there is no kernel
        return None
    torch.cuda.synchronize(queries.device)
    return min(a.elapsed_time(b) for a, b in itertools.pairwise(events)) / 1000
