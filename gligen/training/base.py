"""Stage 1: train the base, a small Stable Diffusion, on captions, without boxes.

Text encoder and UNet are trained together on latents of the frozen autoencoder, with v-prediction
on Stable Diffusion's noise schedule. Location words in the captions ("a dog at the top left") make
the base carry absolute positions in its features; without them stage 2 has little to hold on to.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTokenizer

from gligen.training.autoencoder import LATENT_CHANNELS, NUM_VALIDATION
from gligen.training.bank import load_scenes
from gligen.training.runs import MovingAverage, TrainingRun, cosine_learning_rate
from gligen.training.text import WIDTH, make_text_encoder, make_tokenizer, save_text
from gligen.world import Scene, compose_caption


@dataclass(frozen=True)
class BaseRecipe:
    """The settings of stage 1."""

    num_steps: int = 3500
    batch_size: int = 32
    learning_rate: float = 1e-3  # peak, after 100 warm-up steps
    location_share: float = 0.6  # captions that say where things are
    caption_dropout: float = 0.1  # empty captions, for guidance
    seed: int = 0


def make_unet() -> UNet2DConditionModel:
    """Build the untrained UNet, of Stable Diffusion 1.x's blocks; attention at 8 x 8 and 4 x 4."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,  # diffusers' name; for these blocks it is the number of heads
        norm_num_groups=16,
    )


def make_scheduler() -> DDIMScheduler:
    """Return Stable Diffusion 1.x's noise schedule, with v-prediction."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Return token ids padded to the tokenizer's full length."""
    return tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids


def v_loss(
    unet: Callable[..., Any],
    scheduler: DDIMScheduler,
    latents: Tensor,
    timesteps: Tensor,
    noise: Tensor,
    context: Tensor,
) -> Tensor:
    """Return the mean squared error of the predicted velocity for each sample, shape (B,)."""
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = scheduler.get_velocity(latents, noise, timesteps)
    predicted = unet(noisy, timesteps, encoder_hidden_states=context).sample.float()
    return (predicted - target).pow(2).mean(dim=(1, 2, 3))


def draw_captions(
    scenes: list[Scene], chosen: np.ndarray, rng: np.random.Generator, recipe: BaseRecipe
) -> list[str]:
    """Compose a caption for each chosen scene, empty for the share that is dropped."""
    return [
        ""
        if rng.random() < recipe.caption_dropout
        else compose_caption(scenes[i], rng, recipe.location_share)
        for i in chosen
    ]


def train(
    bank: Path, run: TrainingRun, recipe: BaseRecipe, device: str, compile_unet: bool
) -> None:
    """Train until `recipe.num_steps`, resuming where the folder left off, then save the models."""
    torch.manual_seed(recipe.seed)
    latents = np.load(bank / "latents.npy", mmap_mode="r")
    scenes = load_scenes(bank)
    tokenizer = make_tokenizer()
    text_encoder = make_text_encoder(tokenizer).to(device)
    unet = make_unet().to(device, memory_format=torch.channels_last)
    if device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward is slow on a CPU
    scheduler = make_scheduler()
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    parameters = [*text_encoder.parameters(), *unet.parameters()]
    average = MovingAverage(parameters)
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    first = 0
    if state := run.load():
        unet.load_state_dict(state["unet"])
        text_encoder.load_state_dict(state["text_encoder"])
        optimizer.load_state_dict(state["optimizer"])
        average.averages = [a.to(device) for a in state["average"]]
        first = state["step"]
    network = torch.compile(unet) if compile_unet else unet

    recent = []
    for step in range(first, recipe.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine_learning_rate(step, recipe.num_steps, recipe.learning_rate)
        rng = np.random.default_rng([recipe.seed, 2, step])
        chosen = np.sort(rng.integers(0, len(latents) - NUM_VALIDATION, recipe.batch_size))
        clean = torch.from_numpy(latents[chosen]).float().to(device)
        ids = tokenize(tokenizer, draw_captions(scenes, chosen, rng, recipe)).to(device)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32)).to(device)
        timesteps = torch.from_numpy(rng.integers(0, 1000, recipe.batch_size)).to(device)
        with torch.autocast(device, torch.bfloat16):
            context = text_encoder(ids).last_hidden_state
            loss = v_loss(network, scheduler, clean, timesteps, noise, context).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(step)
        recent.append(loss.item())
        if step % 50 == 49:
            run.log(step=step + 1, loss=float(np.mean(recent)))
            recent = []
        if run.is_save_due or step + 1 == recipe.num_steps:
            run.save(
                {
                    "step": step + 1,
                    "unet": unet.state_dict(),
                    "text_encoder": text_encoder.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.averages,
                }
            )
    average.copy_to_parameters()
    save_text(run.folder, tokenizer, text_encoder.to("cpu"))
    unet.to("cpu", memory_format=torch.contiguous_format).save_pretrained(run.folder / "unet")
    scheduler.save_pretrained(run.folder / "scheduler")


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, default=Path("runs/bank"))
    parser.add_argument("--run", type=Path, default=Path("runs/base"))
    parser.add_argument("--steps", type=int, default=BaseRecipe.num_steps)
    parser.add_argument("--batch-size", type=int, default=BaseRecipe.batch_size)
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the UNet (CUDA only: on a CPU compiled gradients were 39 %% off)",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.compile and args.device == "cpu":
        parser.error("--compile needs a CUDA device: compiled gradients are wrong on a CPU.")
    recipe = BaseRecipe(num_steps=args.steps, batch_size=args.batch_size)
    train(args.bank, TrainingRun(args.run), recipe, args.device, args.compile)


if __name__ == "__main__":
    main()
