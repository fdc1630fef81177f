"""The strength of loaded LoRAs, changed for as long as something is computed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def lora_scale(model: nn.Module, scale: float) -> Iterator[None]:
    """Multiply the strength of the model's LoRAs by `scale` for as long as the context lasts.

    Afterwards every strength is the very number that it was, also where `scale` is 0; dividing the
    scale out again, as diffusers does, would lose a chosen strength there and drift elsewhere.
    """
    strengths: list[dict[str, float]] = []
    if scale != 1:
        found = [getattr(m, "scaling", None) for m in model.modules() if hasattr(m, "lora_A")]
        strengths = [strength for strength in found if isinstance(strength, dict)]
    before = [dict(strength) for strength in strengths]
    try:
        for strength in strengths:
            strength.update({name: value * scale for name, value in strength.items()})
        yield
    finally:
        for strength, values in zip(strengths, before, strict=True):
            strength.update(values)
