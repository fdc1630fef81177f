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
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.training.autoencoder import LATENT_CHANNELS, NUM_VALIDATION
from gligen.training.bank import load_scenes, load_world
from gligen.training.captions import caption_ids, tokenize
from gligen.training.muon import inner_matrices
from gligen.training.runs import Optimiser, TrainingRun
from gligen.training.text import WIDTH, make_text_encoder, make_tokenizer, save_text

LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class BaseRecipe:
    """The settings of stage 1."""

    num_steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 1e-3  # peak, after 100 warm-up steps
    location_share: float = 0.6  # captions that say where things are
    caption_dropout: float = 0.1  # empty captions, for guidance
    captions_per_scene: int = 8  # paraphrases, composed before training
    channels: tuple[int, ...] = (96, 144, 144)  # of the UNet's levels, 16 x 16 first
    attention: tuple[bool, ...] = (False, True, False)  # levels with attention; the middle has it
    seed: int = 0


def make_unet(recipe: BaseRecipe) -> UNet2DConditionModel:
    """Build the untrained UNet, of Stable Diffusion 1.x's blocks."""
    down = tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in recipe.attention)
    up = tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in recipe.attention[::-1])
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=down,
        up_block_types=up,
        block_out_channels=recipe.channels,
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


@dataclass(frozen=True)
class BaseBatch:
    """One batch of stage 1, on the device."""

    clean: Tensor  # [B, c, h, w] latents
    ids: Tensor  # [B, L] tokens of the captions
    timesteps: Tensor  # [B]
    noise: Tensor  # like clean


class BaseBatches:
    """Batches of a bank, kept on the device; the same step always gives the same batch there."""

    def __init__(
        self,
        bank: Path,
        run: TrainingRun,
        tokenizer: CLIPTokenizer,
        recipe: BaseRecipe,
        device: str,
    ):
        num_trained = len(np.load(bank / "latents.npy", mmap_mode="r")) - NUM_VALIDATION
        latents = np.load(bank / "latents.npy")[:num_trained]
        self.latents = torch.from_numpy(latents).to(device)
        path = run.folder / "captions.npy"
        if not path.exists():
            scenes = load_scenes(bank)[:num_trained]
            shares = (recipe.captions_per_scene, recipe.location_share)
            ids = caption_ids(scenes, tokenizer, *shares, seed=recipe.seed)
            unfinished = path.with_suffix(".partial.npy")
            np.save(unfinished, ids)
            unfinished.rename(path)
        self.ids = torch.from_numpy(np.load(path)).to(device)
        self.empty = tokenize(tokenizer, [""]).to(device)
        self.recipe = recipe
        self.device = device

    def draw(self, step: int) -> BaseBatch:
        """Draw the batch of a step."""
        generator = torch.Generator(self.device).manual_seed(self.recipe.seed << 32 | step)
        size = (self.recipe.batch_size,)
        options: dict[str, Any] = {"generator": generator, "device": self.device}
        scenes = torch.randint(len(self.latents), size, **options)
        wordings = torch.randint(self.ids.shape[1], size, **options)
        timesteps = torch.randint(1000, size, **options)
        is_dropped = torch.rand(size, **options) < self.recipe.caption_dropout
        clean = self.latents[scenes].float()
        noise = torch.randn(clean.shape, **options)
        ids = torch.where(is_dropped[:, None], self.empty, self.ids[scenes, wordings].long())
        return BaseBatch(clean, ids, timesteps, noise)


def train(
    bank: Path, run: TrainingRun, recipe: BaseRecipe, device: str, compile_loss: bool
) -> None:
    """Train until `recipe.num_steps`, resuming where the folder left off, then save the models."""
    torch.manual_seed(recipe.seed)
    tokenizer = make_tokenizer(load_world(bank))
    text_encoder = make_text_encoder(tokenizer).to(device)
    unet = make_unet(recipe).to(device)
    if device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward is slow on a CPU
    else:
        unet.to(memory_format=torch.channels_last)  # no gain on a CPU
    scheduler = make_scheduler()
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    batches = BaseBatches(bank, run, tokenizer, recipe, device)
    modules = {"unet": unet, "text_encoder": text_encoder}
    parameters = [*text_encoder.parameters(), *unet.parameters()]
    optimiser = Optimiser(
        parameters,
        recipe.num_steps,
        recipe.learning_rate,
        matrices=inner_matrices(text_encoder, unet),
    )

    def loss_of(batch: BaseBatch) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            context = text_encoder(batch.ids).last_hidden_state
            drawn = batch.clean, batch.timesteps, batch.noise
            return v_loss(unet, scheduler, *drawn, context).mean()

    loss_function = torch.compile(loss_of) if compile_loss else loss_of
    recent = torch.zeros((), device=device)
    for step in range(run.restore(modules, optimiser), recipe.num_steps):
        loss = loss_function(batches.draw(step))
        optimiser.descend(step, loss)
        recent += loss.detach() / LOG_EVERY
        if (step + 1) % LOG_EVERY == 0:
            run.log(step=step + 1, loss=recent.item())
            recent.zero_()
        if run.is_save_due or step + 1 == recipe.num_steps:
            run.keep(step + 1, modules, optimiser)
    optimiser.average.copy_to_parameters()
    save_base(run.folder, tokenizer, text_encoder, unet, scheduler)


def save_base(
    folder: Path,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
) -> None:
    """Save the parts in the folders that a diffusers pipeline expects."""
    save_text(folder, tokenizer, text_encoder.to("cpu"))
    unet.to("cpu", memory_format=torch.contiguous_format).save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bank", type=Path, default=Path("runs/bank"))
    parser.add_argument("--run", type=Path, default=Path("runs/base"))
    parser.add_argument("--steps", type=int, default=BaseRecipe.num_steps)
    parser.add_argument("--batch-size", type=int, default=BaseRecipe.batch_size)
    parser.add_argument("--learning-rate", type=float, default=BaseRecipe.learning_rate)
    parser.add_argument(
        "--channels", type=int, nargs="+", default=BaseRecipe.channels, help="of each level"
    )
    parser.add_argument(
        "--attention",
        type=int,
        nargs="+",
        choices=(0, 1),
        default=BaseRecipe.attention,
        help="1 for each level with attention",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile the loss (CUDA only: on a CPU compiled gradients were 39 %% off)",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    if args.compile and args.device == "cpu":
        parser.error("--compile needs a CUDA device: compiled gradients are wrong on a CPU.")
    recipe = BaseRecipe(
        num_steps=args.steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        channels=tuple(args.channels),
        attention=tuple(bool(level) for level in args.attention),
    )
    train(args.bank, TrainingRun(args.run), recipe, args.device, args.compile)


if __name__ == "__main__":
    main()
