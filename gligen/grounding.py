"""From layouts to grounding: what the gated layers attend to during a run.

Shapes: B pictures, M grounding tokens, D token width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gligen.components import Components
from gligen.encoding import encode_layouts
from gligen.layout import Layout
from gligen.tokenizers import BoxGrounding
from gligen.unet import is_grounded


@dataclass(frozen=True)
class RunGrounding:
    """The grounding of a run, the same in every step."""

    tokens: Float[Tensor, "B M D"] | None = None  # None: plain generation
    null_tokens: Float[Tensor, "B M D"] | None = None  # for the unconditional half of guidance
    grounded: Float[Tensor, "B 1 1"] | None = None  # 0 = a picture without grounding; None: all 1


@torch.no_grad()
def encode_grounding(components: Components, layouts: Sequence[Layout]) -> RunGrounding:
    """Encode the regions of B pictures.

    A layout without regions means plain generation, so its gates stay shut; an inpainting hole
    without phrases is filled on null tokens, as in the original.

    Raises:
        ValueError: there are regions and the UNet has no grounding layers.
    """
    unet, device = components.unet, components.device
    has_regions = [bool(layout.grounded) for layout in layouts]
    if any(has_regions) and not is_grounded(unet):
        raise ValueError(
            "The UNet has no grounding layers, so regions cannot be followed; load a GLIGEN model, "
            "or put an adapter on this base (gligen.loading.load_pipeline with base=...)."
        )
    if not is_grounded(unet) or not (any(has_regions) or components.is_inpainting):
        return RunGrounding()
    encoded = encode_layouts(components.tokenizer, components.text_encoder, layouts)
    tokenizer = unet.position_net
    home = tokenizer.null_positive_feature.device  # elsewhere than `device` while offloaded
    moved = BoxGrounding(
        encoded.boxes.to(home), encoded.masks.to(home), encoded.phrase_features.to(home)
    )
    tokens = tokenizer.tokens(moved).to(device)
    null_tokens = tokenizer.tokens(moved.null()).to(device)
    if components.is_inpainting or all(has_regions):
        return RunGrounding(tokens, null_tokens)
    grounded = torch.tensor(has_regions, dtype=tokens.dtype, device=device)
    return RunGrounding(tokens, null_tokens, grounded[:, None, None])
