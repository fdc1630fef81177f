"""How much work an evaluation is, counted without timing it.

Counting FLOPs needs no memory (a model on the meta device will do), counting operations a model of
any width, since it is the structure alone that decides.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# Operations that only look at a tensor in another way.
_VIEWS = frozenset(
    (
        *("view", "_unsafe_view", "_reshape_alias", "t", "transpose", "permute", "expand"),
        *("slice", "select", "split", "split_with_sizes", "unbind", "chunk"),
        *("unsqueeze", "squeeze", "detach", "alias", "as_strided"),
    )
)


class _Counter(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        if name not in _VIEWS:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def _product_flops(_: Any, left: Sequence[int], right: Sequence[int], **__: Any) -> int:
    """Return the FLOPs of a batch of products, from the shapes [B, m, k] and [B, k, n]."""
    batch, m, k = left
    return 2 * batch * m * k * right[-1]


@torch.no_grad()
def count_flops(run: Callable[[], Any]) -> float:
    """Return the floating-point operations of matrix products and convolutions, 2 for each MAC."""
    in_place = {torch.ops.aten.baddbmm_: _product_flops}  # torch leaves it out
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        run()
    return float(counter.get_total_flops())


@torch.no_grad()
def count_rows(run: Callable[[], Any], layers: Sequence[nn.Module]) -> list[int]:
    """Return how many rows pass through each of some layers, whoever calls them."""
    rows = [0] * len(layers)

    def count(module: nn.Module, _: Any, output: Any) -> None:
        for index, layer in enumerate(layers):
            if layer is module:
                rows[index] += len(output)

    # Not a hook of the layers themselves: with one they would be evaluated in another way.
    handle = register_module_forward_hook(count)
    try:
        run()
    finally:
        handle.remove()
    return rows


@torch.no_grad()
def count_operations(run: Callable[[], Any]) -> Counter[str]:
    """Return how often each operation is called; views of a tensor are none."""
    with _Counter() as counter:
        run()
    return counter.counts
