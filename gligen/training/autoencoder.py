"""Train the small AutoencoderKL of the embedded model, then encode the bank with it.

64 px to 16 x 16 x 12 latents. Latents are scaled to unit variance by the `scaling_factor` of its
config.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from gligen.training.bank import load_images
from gligen.training.runs import Optimiser, TrainingRun

LATENT_CHANNELS = 12
KL_WEIGHT = 1e-6
NUM_VALIDATION = 256  # the last pictures of the bank, never trained on


def make_autoencoder() -> AutoencoderKL:
    """Build the untrained autoencoder, started as a linear blur (`_start_as_blur`)."""
    model = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=LATENT_CHANNELS,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=2,
        mid_block_add_attention=False,
        sample_size=64,
    )
    _start_as_blur(model)
    return model


@torch.no_grad()
def _start_as_blur(model: AutoencoderKL) -> None:
    """Set weights so that the model averages 4 x 4 pixels and interpolates them back (about 20 dB).

    From a random start a model this small first spends most of a CPU budget on finding the colours.
    Three latent channels carry them from the beginning; the other channels and all residual
    branches are left to learn the detail. The narrow posterior (standard deviation 0.03) keeps
    noise from drowning the detail before the decoder listens.

    A normalisation and a SiLU stand before each output convolution. They pass a signal x linearly
    where x, -x and a large constant +-k share a group: the constant fixes the scale, and
    silu(x) - silu(-x) = x.
    """
    for resnet in (m for m in model.modules() if isinstance(m, ResnetBlock2D)):
        for parameter in resnet.conv2.parameters():
            parameter.zero_()
        if resnet.conv_shortcut is not None:
            for parameter in resnet.conv_shortcut.parameters():
                parameter.zero_()
            nn.init.dirac_(resnet.conv_shortcut.weight)

    encoder, decoder = model.encoder, model.decoder
    for convolution in (encoder.conv_in, decoder.conv_in):
        _connect(convolution, range(3), range(3), _centre())
    average = torch.zeros(3, 3)
    average[:2, :2] = 0.25  # the padding is on the right and below
    triangle = torch.tensor([1.0, 2.0, 1.0])
    for block in encoder.down_blocks[:-1]:
        _connect(block.downsamplers[0].conv, range(3), range(3), average)
    for block in decoder.up_blocks[:-1]:
        _connect(block.upsamplers[0].conv, range(3), range(3), torch.outer(triangle, triangle) / 16)

    for shortcut, norm, convolution in (
        (encoder.down_blocks[-1].resnets[0].conv_shortcut, encoder.conv_norm_out, encoder.conv_out),
        (decoder.up_blocks[-1].resnets[0].conv_shortcut, decoder.conv_norm_out, decoder.conv_out),
    ):
        per_group = norm.num_channels // norm.num_groups
        shortcut.weight[:per_group].zero_()
        for channel in range(3):
            shortcut.weight[channel, channel] = 1
            shortcut.weight[3 + channel, channel] = -1
        constant = 4.0
        shortcut.bias[6], shortcut.bias[7] = constant, -constant
        scale = (2 * constant**2 / per_group) ** 0.5  # undone by the output convolution
        _connect(convolution, range(3), range(3), scale * _centre())
        for channel in range(3):
            convolution.weight[channel, 3 + channel] = -scale * _centre()
    for convolution in (model.quant_conv, model.post_quant_conv):
        nn.init.dirac_(convolution.weight)
        convolution.bias.zero_()
    model.quant_conv.weight[LATENT_CHANNELS:].zero_()
    model.quant_conv.bias[LATENT_CHANNELS:].fill_(-7.0)


def _centre() -> Tensor:
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1
    return kernel


def _connect(convolution: nn.Conv2d, outputs: range, inputs: range, kernel: Tensor) -> None:
    """Let output channel i see input channel i alone, through `kernel`."""
    for parameter in convolution.parameters():
        parameter[outputs.start : outputs.stop].zero_()
    for output, source in zip(outputs, inputs, strict=True):
        convolution.weight[output, source] = kernel


def to_pixels(images: np.ndarray) -> Tensor:
    """Turn uint8 (B, H, W, 3) into float (B, 3, H, W) in [-1, 1]."""
    return torch.tensor(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def train(
    bank: Path, run: TrainingRun, num_steps: int, batch_size: int, device: str
) -> AutoencoderKL:
    """Train until `num_steps`, resuming where the folder left off; return the averaged model."""
    torch.manual_seed(0)
    images = load_images(bank)
    validation = to_pixels(images[-NUM_VALIDATION:]).to(device)
    model = make_autoencoder().to(device, memory_format=torch.channels_last)
    optimiser = Optimiser(model.parameters(), num_steps, learning_rate=2e-3, decay=0.998)
    for step in range(run.restore({"model": model}, optimiser), num_steps):
        rng = np.random.default_rng([1, step])
        chosen = np.sort(rng.integers(0, len(images) - NUM_VALIDATION, batch_size))
        pixels = to_pixels(images[chosen]).to(device).contiguous(memory_format=torch.channels_last)
        generator = torch.Generator(device).manual_seed(step)
        loss, kl = losses(model, pixels, generator)
        optimiser.descend(step, loss)
        if step % 100 == 99:
            figures = {"loss": loss.item(), "kl": kl.item(), "psnr": psnr(model, validation[:64])}
            run.log(step=step + 1, **figures)
        if run.is_save_due or step + 1 == num_steps:
            run.keep(step + 1, {"model": model}, optimiser)
    optimiser.average.copy_to_parameters()
    run.log(step=num_steps, averaged_psnr=psnr(model, validation))
    return model.eval()


def losses(
    model: AutoencoderKL, pixels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return what is minimised, and the divergence of the latents in it before its weight."""
    with torch.autocast(pixels.device.type, torch.bfloat16):
        mean, log_variance = model.quant_conv(model.encoder(pixels)).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-30, 20)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latents = mean + (0.5 * log_variance).exp() * noise
        decoded = model.decoder(model.post_quant_conv(latents)).float()
    kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=(1, 2, 3)).mean()
    error = (decoded - pixels).pow(2).mean()
    return error + 0.05 * (decoded - pixels).abs().mean() + KL_WEIGHT * kl, kl


@torch.no_grad()
def psnr(model: AutoencoderKL, pixels: Tensor) -> float:
    """Return the peak signal-to-noise ratio of the reconstruction, in dB over the whole set."""
    restored = model.decode(model.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
    error = (restored - pixels).pow(2).mean().item()
    return 10 * np.log10(4 / error)


@torch.no_grad()
def fit_scaling(model: AutoencoderKL, bank: Path, device: str) -> None:
    """Set the scaling factor with which the bank's latents have variance 1."""
    sample = model.encode(to_pixels(load_images(bank)[:2000]).to(device)).latent_dist.mode()
    model.register_to_config(scaling_factor=1 / sample.std().item())


@torch.no_grad()
def encode_bank(model: AutoencoderKL, bank: Path, device: str) -> None:
    """Write the bank's scaled latents, float16 (N, 12, 16, 16)."""
    images = load_images(bank)
    partial = bank / "latents.partial.npy"
    shape = (len(images), LATENT_CHANNELS, images.shape[1] // 4, images.shape[2] // 4)
    latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    for start in range(0, len(images), 500):
        pixels = to_pixels(images[start : start + 500]).to(device)
        encoded = model.encode(pixels).latent_dist.mode() * model.config.scaling_factor
        latents[start : start + 500] = encoded.cpu().numpy()
    latents.flush()
    partial.rename(bank / "latents.npy")


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, default=Path("runs/bank"))
    parser.add_argument("--run", type=Path, default=Path("runs/autoencoder"))
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--vae", type=Path, help="only encode the bank, with this trained one")
    args = parser.parse_args()
    if args.vae is not None:
        model = AutoencoderKL.from_pretrained(args.vae).to(args.device).eval()
        encode_bank(model, args.bank, args.device)
        return
    model = train(args.bank, TrainingRun(args.run), args.steps, args.batch_size, args.device)
    fit_scaling(model, args.bank, args.device)
    encode_bank(model, args.bank, args.device)
    model.to("cpu").save_pretrained(args.run / "vae")


if __name__ == "__main__":
    main()
