"""Small random tokenizers: every parameter matters."""

from typing import TypeVar

import torch
from torch import Tensor, nn


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return numbers in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


Module = TypeVar("Module", bound=nn.Module)


def filled(module: Module) -> Module:
    """Fill every parameter with random numbers of size one."""
    generator = torch.Generator().manual_seed(7)
    for parameter in module.parameters():
        scale = max(1, parameter[0].numel() if parameter.ndim > 1 else 1) ** -0.5
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return module.requires_grad_(False).eval()
