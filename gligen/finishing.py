"""From latents to pictures: decoding, putting the hole back into its picture, safety check, form.

Shapes: B pictures, latents [B, c, h, w], pixels [B, 3, H, W] in [-1, 1].
"""

from typing import Any, cast

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.components import Components
from gligen.exact.decoding import decode_latents
from gligen.holes import Hole
from gligen.inpainting import composite
from gligen.outofmemory import in_parts


@torch.no_grad()
def decode(components: Components, latents: Float[Tensor, "B c h w"]) -> list[Image.Image]:
    """Decode latents to RGB pictures of the size that the model painted.

    A batch that finds no memory is decoded in parts.
    """
    vae = components.vae
    latents = latents.to(vae.dtype) / vae.config.scaling_factor
    pixels = in_parts(lambda part: decode_latents(vae, part, components.exact), latents)
    return cast("list[Image.Image]", components.image_processor.postprocess(pixels))


def finish(
    components: Components, latents: Float[Tensor, "B c h w"], hole: Hole | None
) -> list[Image.Image]:
    """Decode latents and put what was painted into the hole over the original picture."""
    images = decode(components, latents)
    if hole is None:
        return images
    return [composite(hole.picture, image, hole.area, hole.mask, hole.feather) for image in images]


def check_safety(
    components: Components, images: list[Image.Image], safety_checker: Any, feature_extractor: Any
) -> tuple[list[Image.Image], list[bool]]:
    """Return the pictures with objectionable ones blackened, and the verdict on each."""
    arrays = components.image_processor.pil_to_numpy(images)
    inputs = feature_extractor(images, return_tensors="pt").to(components.device)
    arrays, flagged = safety_checker(
        images=arrays, clip_input=inputs.pixel_values.to(components.unet.dtype)
    )
    return components.image_processor.numpy_to_pil(arrays), flagged


def in_form(components: Components, images: list[Image.Image], output_type: str) -> Any:
    """Return the pictures as "pil", as "np" [B, H, W, 3] or as "pt" [B, 3, H, W], in [0, 1]."""
    if output_type == "pil":
        return images
    arrays = components.image_processor.pil_to_numpy(images)
    return components.image_processor.numpy_to_pt(arrays) if output_type == "pt" else arrays
