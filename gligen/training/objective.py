"""The loss of grounded training: what a batch is, and how far the UNet's answer is from right.

Shapes: B pictures, c latent channels, latents [B, c, h, w].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor, nn

from gligen.attention import Grounding
from gligen.components import Components
from gligen.encoding import encode_prompts
from gligen.grounding import Encoders, GroundingInput, encode_layouts
from gligen.kinds import kind_named
from gligen.layout import Layout
from gligen.tokenizers import MapGrounding
from gligen.training.examples import Draw
from gligen.training.frozen import FrozenEncoders
from gligen.unet import predict


@dataclass(frozen=True)
class TrainingBatch:
    """Draws encoded by the frozen parts, on the device."""

    latents: Float[Tensor, "B c h w"]  # clean
    noise: Float[Tensor, "B c h w"]
    timesteps: Int[Tensor, " B"]
    context: Float[Tensor, "B L D"]
    grounding: GroundingInput
    keep: Float[Tensor, "B 1 h w"] | None = None  # inpainting: 1 = known


@torch.no_grad()
def encode_draws(
    components: Components, draws: Sequence[Draw], encoders: FrozenEncoders | None = None
) -> TrainingBatch:
    """Encode pictures, captions and layouts; nothing here is trained.

    Args:
        components: of the model that is trained.
        draws: of one batch.
        encoders: remember the features of phrases from batch to batch.
    """
    encoders = encoders or FrozenEncoders(components)
    device = components.device
    examples = [draw.example for draw in draws]
    if examples[0].latents is not None:
        latents = torch.stack([e.latents for e in examples if e.latents is not None])
    else:
        pixels = torch.stack([e.pixels for e in examples if e.pixels is not None])
        pixels = pixels.to(device, components.vae.dtype)
        # The mean of the posterior: its spread is far below what a picture shows.
        latents = components.vae.encode(pixels).latent_dist.mode()
        latents = latents.float() * components.vae.config.scaling_factor
    captions = [example.caption for example in examples]
    distinct = list(dict.fromkeys(captions))
    encoded = encode_prompts(components.tokenizer, components.text_encoder, distinct)
    keep = None
    if examples[0].hole is not None:
        holes = np.stack([example.hole for example in examples if example.hole is not None])
        keep = 1 - torch.from_numpy(holes).float()[:, None].to(device)
    return TrainingBatch(
        latents=latents.float().to(device),
        noise=torch.stack([draw.noise for draw in draws]).to(device),
        timesteps=torch.tensor([draw.timestep for draw in draws], device=device),
        context=encoded[[distinct.index(caption) for caption in captions]].float(),
        grounding=_encode_grounding(components, draws, encoders),
        keep=keep,
    )


def _encode_grounding(
    components: Components, draws: Sequence[Draw], encoders: FrozenEncoders
) -> GroundingInput:
    pixels = components.pixels_per_latent
    height, width = draws[0].noise.shape[1:]
    is_map = kind_named(components.kind).map_channels > 0
    layouts = [draw.example.layout if draw.is_grounded or is_map else Layout() for draw in draws]
    encoded = encode_layouts(
        components,
        layouts,
        (width * pixels, height * pixels),
        encoders=Encoders(encoders.phrases, encoders.pictures),
    )
    if isinstance(encoded, MapGrounding):
        # A map goes on reaching the first convolution, as in the unconditional half of guidance.
        given = torch.tensor([[float(draw.is_grounded)] for draw in draws])
        encoded = replace(encoded, masks=encoded.masks * given.to(encoded.masks))
    return encoded


class GroundedLoss(nn.Module):
    """The UNet and its objective as one module, which is what processes share gradients of.

    Args:
        unet: grounded.
        alphas_cumprod: of the base's noise schedule, 1000 values.
        prediction_type: of the base, "epsilon" or "v_prediction".
        min_snr_gamma: None: all times weigh alike. Source of the weights: arXiv 2303.09556.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        alphas_cumprod: Float[Tensor, " T"],
        prediction_type: str,
        min_snr_gamma: float | None = None,
    ):
        super().__init__()
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(
                f"The base predicts {prediction_type!r}; training knows epsilon and v_prediction."
            )
        self.unet = unet
        self.prediction_type = prediction_type
        self.min_snr_gamma = min_snr_gamma
        self.register_buffer("alphas_cumprod", alphas_cumprod.float(), persistent=False)

    def forward(self, batch: TrainingBatch) -> Float[Tensor, " B"]:
        """Return the weighted mean squared error of each picture."""
        alphas = self.get_buffer("alphas_cumprod")[batch.timesteps][:, None, None, None]
        noisy = alphas.sqrt() * batch.latents + (1 - alphas).sqrt() * batch.noise
        target = batch.noise
        if self.prediction_type == "v_prediction":
            target = alphas.sqrt() * batch.noise - (1 - alphas).sqrt() * batch.latents
        x = noisy
        if batch.keep is not None:
            x = torch.cat([x, batch.latents * batch.keep, batch.keep], dim=1)
        if isinstance(batch.grounding, MapGrounding):
            size = (noisy.shape[2], noisy.shape[3])
            x = torch.cat([x, self.unet.downsample_net(batch.grounding.image, size)], dim=1)
        tokens = self.unet.position_net.tokens(batch.grounding)
        predicted = predict(self.unet, x, batch.timesteps, batch.context, Grounding(tokens))
        errors = (predicted.float() - target).pow(2).mean(dim=(1, 2, 3))
        return errors * self._weights(alphas[:, 0, 0, 0])

    def _weights(self, alphas: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        if self.min_snr_gamma is None:
            return torch.ones_like(alphas)
        snr = alphas / (1 - alphas)
        divisor = snr if self.prediction_type == "epsilon" else snr + 1
        return snr.clamp(max=self.min_snr_gamma) / divisor
