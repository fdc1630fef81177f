"""The hole of an inpainting run: planned from a picture and a mask, then encoded for the UNet.

Shapes: B pictures, c latent channels, latents [B, c, h, w].
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.components import Components
from gligen.inpainting import (
    WorkArea,
    check_mask,
    hole_from_boxes,
    hole_in_area,
    latent_mask,
    picture_in_area,
    plan_work_area,
)
from gligen.layout import Layout


@dataclass(frozen=True)
class Hole:
    """What is repainted, and where the model works."""

    picture: Image.Image  # RGB, at its own size
    mask: Image.Image  # mode L, white = repaint, at the picture's size
    area: WorkArea
    feather: int  # pixels, width of the soft edge inside the hole


@dataclass(frozen=True)
class EncodedHole:
    """The hole as the loop and the UNet read it."""

    known: Float[Tensor, "B c h w"]  # clean latents of the picture
    mask: Float[Tensor, "1 1 h w"]  # 1 = keep
    extra_channels: Float[Tensor, "B c+1 h w"]  # of the UNet's input: known where kept, and mask


def plan_hole(
    components: Components,
    picture: Image.Image | None,
    mask: Image.Image | None,
    layout: Layout,
    feather: int,
    zoom: float,
) -> Hole | None:
    """Return the hole that a call describes; None where it generates.

    Args:
        components: fix whether there has to be a hole, and the size of the working area.
        picture: what to repaint, any size.
        mask: white = repaint, at the picture's size; None: the boxes are the hole.
        layout: the regions, in the frame of the picture.
        feather: pixels.
        zoom: see `plan_work_area`.

    Raises:
        ValueError: picture and model do not go together, or there is no hole.
    """
    check_task(components, picture)
    if picture is None:
        return None
    picture = picture.convert("RGB")
    if mask is None and not layout.regions:
        raise ValueError("There is no hole to repaint; give at least one box, or a mask.")
    if mask is None:
        mask = hole_from_boxes(layout.boxes, picture.size)
    else:
        check_mask(mask, picture.size)
        mask = mask.convert("L")
    grounded = [region.box for region in layout.grounded]
    side = components.image_size[0]
    area = plan_work_area(picture.size, mask, side, components.area_multiple, grounded, zoom)
    return Hole(picture, mask, area, feather)


def check_task(components: Components, picture: Image.Image | None) -> None:
    """Refuse a picture where the model generates, and its absence where the model repaints.

    Raises:
        ValueError: picture and model do not go together.
    """
    if picture is None and components.is_inpainting:
        raise ValueError(
            "There is no picture to inpaint, and this model only repaints pictures; give one, or "
            "load a model of the generation kind."
        )
    if picture is not None and not components.is_inpainting:
        raise ValueError(
            "This model generates and cannot repaint a picture; load one of the inpainting kind."
        )


@torch.no_grad()
def encode_hole(components: Components, hole: Hole, num_images: int) -> EncodedHole:
    """Encode the known part of the picture and the mask, for `num_images` pictures."""
    vae, device, dtype = components.vae, components.device, components.unet.dtype
    area = picture_in_area(hole.picture, hole.area)
    pixels = components.image_processor.preprocess(area).to(device, vae.dtype)
    # The mean of the posterior: a sample would spend the caller's randomness on invisible noise.
    known = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    mask = latent_mask(hole_in_area(hole.mask, hole.area), *known.shape[2:]).to(device, dtype)
    known = known.to(dtype)
    extra = torch.cat([known * mask, mask], dim=1).expand(num_images, -1, -1, -1)
    return EncodedHole(known.expand(num_images, -1, -1, -1), mask, extra)
