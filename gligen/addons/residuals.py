"""What networks beside the UNet add inside of it: ControlNets and T2I-Adapters.

Shapes: B rows of the evaluation, both halves of guidance; channels and size differ by level.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Residuals:
    """Added in one evaluation of the UNet; nothing of it stays there."""

    # ControlNet: on the way to the skip connections, and behind the middle block.
    skips: tuple[Float[Tensor, "B _ _ _"], ...] | None = None
    middle: Float[Tensor, "B _ _ _"] | None = None
    # T2I-Adapter: at the end of every downward block.
    down: tuple[Float[Tensor, "B _ _ _"], ...] | None = None

    def unet_arguments(self) -> dict[str, Any]:
        """Return them as the keyword arguments of diffusers' UNet."""
        arguments: dict[str, Any] = {}
        if self.skips is not None:
            arguments["down_block_additional_residuals"] = self.skips
            arguments["mid_block_additional_residual"] = self.middle
        if self.down is not None:
            # A list of its own for every call: the UNet takes its entries out.
            arguments["down_intrablock_additional_residuals"] = list(self.down)
        return arguments
