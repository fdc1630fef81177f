"""What a call gives to a pipeline's add-ons: ControlNet, T2I-Adapter, IP-Adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

# One picture for all, one for each prompt, or pixels [B, C, H, W] in [0, 1].
Pictures = Image.Image | Sequence[Image.Image] | Tensor


@dataclass(frozen=True)
class AddOns:
    """Inputs of the add-ons; an add-on that is given nothing takes no part.

    Spatial pictures lie over the picture that is made: over the whole of it, also where an
    inpainting model works on a part.

    Raises:
        ValueError: a share or a strength lies outside its range.
    """

    control_image: Pictures | Sequence[Pictures] | None = None  # of several ControlNets: one each
    control_scale: float | Sequence[float] = 1.0
    control_start: float | Sequence[float] = 0.0  # share of the steps before it begins
    control_end: float | Sequence[float] = 1.0  # share of the steps after which it ends
    guess_mode: bool = False  # the conditional half of guidance alone, weaker at fine levels
    adapter_image: Pictures | None = None
    adapter_scale: float = 1.0
    ip_adapter_image: Any = None  # picture; of several IP-Adapters: a list with one entry each
    ip_adapter_image_embeds: Sequence[Tensor] | None = None  # instead, as diffusers prepares them

    def __post_init__(self):
        for start, end in zip(_each(self.control_start), _each(self.control_end), strict=False):
            if not 0 <= start < end <= 1:
                raise ValueError(
                    f"The ControlNet is to act from {start!r} to {end!r} of the steps; give two "
                    "shares from 0 to 1, the start smaller than the end."
                )
        if self.ip_adapter_image is not None and self.ip_adapter_image_embeds is not None:
            raise ValueError("Give either ip_adapter_image or ip_adapter_image_embeds, not both.")

    @property
    def is_any(self) -> bool:
        """Whether an add-on takes part."""
        given = (self.control_image, self.adapter_image, self.ip_adapter_image)
        return any(x is not None for x in (*given, self.ip_adapter_image_embeds))


def spread(value: float | Sequence[float], number: int, what: str) -> list[float]:
    """Return one number for each of `number` ControlNets.

    Raises:
        ValueError: there are neither one nor as many.
    """
    values = _each(value)
    values = values * number if len(values) == 1 else values
    if len(values) != number:
        raise ValueError(
            f"There are {len(values)} values of {what} and {number} ControlNets; give one for all, "
            "or one for each."
        )
    return values


def _each(value: float | Sequence[float]) -> list[float]:
    return [value] if isinstance(value, (int, float)) else list(value)
