"""Coordinates as sines and cosines, and the mixing in of learned null features."""

import torch
from jaxtyping import Float
from torch import Tensor

FREQUENCIES = 8


def fourier_width(num_coordinates: int) -> int:
    """Return the width of the embedding of so many coordinates: 64 for a box, 32 for a point."""
    return FREQUENCIES * 2 * num_coordinates


def fourier_embedding(coordinates: Float[Tensor, "*shape K"]) -> Float[Tensor, "*shape F"]:
    """Embed K coordinates as F = 16 K sines and cosines.

    Frequencies are 100^(k/8) for k = 0..7, without a factor 2 pi. For each frequency come the sines
    of all coordinates, then their cosines. Computed in float32 whatever the input: the highest
    frequency, 56, costs half precision its sense of position.

    Source: original `FourierEmbedder`.
    """
    steps = torch.arange(FREQUENCIES, device=coordinates.device, dtype=torch.float32)
    frequencies = 100 ** (steps / FREQUENCIES)
    angles = coordinates.float().unsqueeze(-2) * frequencies.unsqueeze(-1)  # ... 8 K
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def mix(
    value: Float[Tensor, "B M F"], null: Float[Tensor, " F"], masks: Float[Tensor, "B M"]
) -> Float[Tensor, "B M F"]:
    """Return m value + (1 - m) null, and exactly null where m = 0, whatever the value holds."""
    weights = masks.unsqueeze(-1)
    mixed = weights * value + (1 - weights) * null
    # where() on top of the linear mix: 0 x NaN from a padded slot would otherwise leak through.
    return torch.where(weights == 0, null.to(mixed.dtype), mixed)
