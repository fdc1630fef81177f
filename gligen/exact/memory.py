"""How a tensor of latents lies in memory."""

import torch
from torch import Tensor


def is_channels_last(x: Tensor) -> bool:
    """Whether the channels of [R, C, h, w] are neighbours in memory and the columns are not."""
    return not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
