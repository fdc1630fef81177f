"""The autoencoder's decoder with its upsampling convolutions folded.

Shapes: B pictures, latents [B, c, h, w], pixels [B, 3, H, W].
"""

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Decoder
from diffusers.models.unets.unet_2d_blocks import UpDecoderBlock2D
from diffusers.models.upsampling import Upsample2D
from jaxtyping import Float
from torch import Tensor, nn

from gligen.exact.options import ExactOptions
from gligen.exact.support import is_watched
from gligen.exact.upsampling import folded_upsamplers


@torch.no_grad()
def decode_latents(
    vae: AutoencoderKL, latents: Float[Tensor, "B c h w"], options: ExactOptions
) -> Float[Tensor, "B 3 H W"]:
    """Return the pixels in [-1, 1], as `vae.decode` does."""
    decoder = vae.decoder
    folded = folded_upsamplers(_upsamplers(decoder), options.upsample) if _is_usual(vae) else {}
    if not folded:
        return vae.decode(latents, return_dict=False)[0]
    if hasattr(vae, "_hf_hook"):
        vae._hf_hook.pre_forward(vae)  # brings an offloaded model, as `vae.decode` would
    x = latents if vae.post_quant_conv is None else vae.post_quant_conv(latents)
    x = decoder.mid_block(decoder.conv_in(x), None)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            x = resnet(x, temb=None)
        for upsampler in block.upsamplers or []:
            x = folded[upsampler](x) if upsampler in folded else upsampler(x)
    return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))


def _upsamplers(decoder: nn.Module) -> list[nn.Module]:
    return [module for module in decoder.modules() if isinstance(module, Upsample2D)]


def _is_usual(vae: AutoencoderKL) -> bool:
    """Whether the decoder is diffusers' own, whole, and in one piece of memory."""
    return (
        type(vae) is AutoencoderKL
        and type(vae.decoder) is Decoder
        and not (vae.use_slicing or vae.use_tiling)
        and all(type(block) is UpDecoderBlock2D for block in vae.decoder.up_blocks)
        and not any(
            is_watched(module) or hasattr(module, "_hf_hook") for module in vae.decoder.modules()
        )
    )
