"""Stage 2: freeze the base and train only the new layers on scenes with boxes.

Trained are `*.fuser.*` and `position_net.*`; for inpainting also the first convolution, which reads
the known latents and the mask besides. At the end every parameter is checked: new and trained, or
old and bitwise what it was.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.attention import Grounding
from gligen.checkpoints import read_adapter, save_adapter
from gligen.tokenizers import BoxGrounding
from gligen.training.bank import load_world
from gligen.training.runs import MovingAverage, Optimiser, TrainingRun
from gligen.training.scene_batches import (
    OPEN_SET_NAMES,
    Batch,
    GroundingRecipe,
    SceneBatches,
    Vocabulary,
    encode,
    grounded_names,
    mirrored,
)
from gligen.training.starting import start_on, widen_first_convolution
from gligen.unet import add_grounding, is_grounding_key, predict


def loss_of(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    context: Tensor,
    batch: Batch,
    timesteps: Tensor,
    noise: Tensor,
    grounding: BoxGrounding | None = None,
) -> Tensor:
    """Return the mean squared error of the predicted velocity, grounded on `grounding`."""
    noisy = scheduler.add_noise(batch.clean, noise, timesteps)
    target = scheduler.get_velocity(batch.clean, noise, timesteps)
    if batch.mask is not None:
        noisy = torch.cat([noisy, batch.clean * batch.mask, batch.mask], dim=1)
    tokens = unet.position_net.tokens(grounding or batch.grounding)
    predicted = predict(unet, noisy, timesteps, context, Grounding(tokens))
    return (predicted.float() - target).pow(2).mean()


@torch.no_grad()
def paired_loss(
    unet: UNet2DConditionModel, scheduler: DDIMScheduler, context: Tensor, batch: Batch
) -> dict[str, float]:
    """Return the loss at t = 700 for right, mirrored, wrongly named and null regions.

    Same scenes, same noise, same number of tokens: what differs is only what the regions say. This
    shows grounding long before pictures do.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean.device)
    timesteps = torch.full((len(batch.clean),), 700, device=batch.clean.device)
    right = batch.grounding
    wrong = BoxGrounding(right.boxes, right.masks, right.phrase_features.roll(1, dims=0))
    variants = {"right": right, "mirrored": mirrored(right), "wrong": wrong, "null": right.null()}
    return {
        name: loss_of(unet, scheduler, context, batch, timesteps, noise, grounding).item()
        for name, grounding in variants.items()
    }


def draw_timesteps(rng: np.random.Generator, recipe: GroundingRecipe) -> Tensor:
    """Draw training timesteps, more of them early in the denoising."""
    timesteps = rng.integers(0, 1000, recipe.batch_size)
    early = rng.random(recipe.batch_size) < recipe.early_share
    timesteps[early] = rng.integers(recipe.early_from, 1000, early.sum())
    return torch.from_numpy(timesteps)


def check_frozen(before: dict[str, Tensor], unet: UNet2DConditionModel, trained: set[str]) -> None:
    """Check that every parameter is new and trained, or old and bitwise unchanged.

    Raises:
        RuntimeError: a frozen parameter moved, or a trained one did not.
    """
    for name, parameter in unet.named_parameters():
        if name in trained:
            if name in before and torch.equal(before[name], parameter):
                raise RuntimeError(f"{name} was to be trained and did not change.")
        elif not torch.equal(before[name], parameter):
            raise RuntimeError(f"{name} belongs to the frozen base and changed.")


@dataclass(frozen=True)
class Models:
    """A frozen base whose UNet has the new layers."""

    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    scheduler: DDIMScheduler
    unet: UNet2DConditionModel


def load_base(folder: Path, device: str) -> Models:
    """Load what stage 1 saved, with new layers that are not yet started."""
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").to(device).eval()
    text_encoder.requires_grad_(False)
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    unet = add_grounding(UNet2DConditionModel.from_pretrained(folder / "unet")).to(device)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return Models(tokenizer, text_encoder, scheduler, unet)


def prepare(models: Models, batches: SceneBatches, start: Path | None) -> set[str]:
    """Start the new layers, freeze the others, and return the names of what is trained."""
    unet, recipe = models.unet, batches.recipe
    if start is not None:
        unet.load_state_dict(read_adapter(start).state, strict=False)
    else:
        sample = batches.validation()
        start_on(unet, models.scheduler, models.tokenizer, models.text_encoder, sample)
    is_inpainting = recipe.kind.startswith("inpainting")
    if is_inpainting:
        widen_first_convolution(unet)
    if batches.device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward is slow on a CPU
    unet.to(batches.device, memory_format=torch.channels_last)
    trained = {
        name
        for name, _ in unet.named_parameters()
        if is_grounding_key(name) or (is_inpainting and name.startswith("conv_in."))
    }
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(name in trained)
    return trained


def train(
    bank: Path,
    base: Path,
    run: TrainingRun,
    recipe: GroundingRecipe,
    start: Path | None,
    device: str,
) -> None:
    """Train until `recipe.num_steps`, resuming where the folder left off, then save the adapter.

    `start` is an adapter of the generation kind from which an inpainting run continues.
    """
    torch.manual_seed(recipe.seed)
    models = load_base(base, device)
    unet, scheduler = models.unet, models.scheduler
    names = grounded_names(load_world(bank), recipe)
    vocabulary = Vocabulary(models.tokenizer, models.text_encoder, names)
    batches = SceneBatches(bank, vocabulary, recipe, device)
    trained = prepare(models, batches, start)
    before = {name: p.detach().clone() for name, p in unet.named_parameters()}
    parameters = [p for p in unet.parameters() if p.requires_grad]
    optimiser = Optimiser(parameters, recipe.num_steps, recipe.learning_rate)
    validation = batches.validation()
    validation_context = encode(models.tokenizer, models.text_encoder, validation.captions)

    recent = []
    for step in range(run.restore({"new": unet}, optimiser), recipe.num_steps):
        loss = step_loss(models, batches, step)
        optimiser.descend(step, loss)
        recent.append(loss.item())
        if step % 250 == 249:
            with torch.autocast(device, torch.bfloat16):
                pairs = paired_loss(unet, scheduler, validation_context, validation)
            run.log(step=step + 1, loss=float(np.mean(recent)), **pairs)
            recent = []
        if run.is_save_due or step + 1 == recipe.num_steps:
            run.keep(step + 1, {"new": unet}, optimiser)
            save_average(run.folder, unet, optimiser.average, recipe.kind)
    optimiser.average.copy_to_parameters()
    check_frozen(before, unet, trained)
    pairs = paired_loss(unet, scheduler, validation_context, validation)
    run.log(step=recipe.num_steps, **pairs)
    save_adapter(run.folder / "adapter.safetensors", unet, recipe.kind)


def step_loss(models: Models, batches: SceneBatches, step: int) -> Tensor:
    """Return the loss of a step's batch, at random times, with the step's own noise."""
    recipe, device = batches.recipe, batches.device
    rng = np.random.default_rng([recipe.seed, 4, step])
    batch = batches.training(step)
    noise = torch.from_numpy(rng.standard_normal(batch.clean.shape, np.float32)).to(device)
    timesteps = draw_timesteps(rng, recipe).to(device)
    with torch.autocast(device, torch.bfloat16):
        context = encode(models.tokenizer, models.text_encoder, batch.captions)
        return loss_of(models.unet, models.scheduler, context, batch, timesteps, noise)


@torch.no_grad()
def save_average(
    folder: Path, unet: UNet2DConditionModel, average: MovingAverage, kind: str
) -> None:
    """Save the adapter as it stands now, averaged, without touching the training weights."""
    current = [p.detach().clone() for p in average.parameters]
    average.copy_to_parameters()
    save_adapter(folder / "adapter.safetensors", unet, kind)
    for parameter, value in zip(average.parameters, current, strict=True):
        parameter.copy_(value)


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=("generation_text_box", "inpainting_text_box"))
    parser.add_argument("--bank", type=Path, default=Path("runs/bank"))
    parser.add_argument("--base", type=Path, default=Path("runs/base"))
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="adapter from which an inpainting run continues")
    parser.add_argument("--steps", type=int, default=GroundingRecipe.num_steps)
    parser.add_argument("--batch-size", type=int, default=GroundingRecipe.batch_size)
    parser.add_argument("--learning-rate", type=float, default=GroundingRecipe.learning_rate)
    for name in ("caption_dropout", "early_share", "early_from", "max_objects"):
        default = getattr(GroundingRecipe, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument(
        "--open-set",
        action="store_true",
        help=f"never show these while grounding: {', '.join(OPEN_SET_NAMES)}",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    recipe = GroundingRecipe(
        kind=args.kind or GroundingRecipe.kind,
        num_steps=args.steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        caption_dropout=args.caption_dropout,
        early_share=args.early_share,
        early_from=args.early_from,
        max_objects=args.max_objects,
        held_out=OPEN_SET_NAMES if args.open_set else (),
    )
    train(args.bank, args.base, TrainingRun(args.run), recipe, args.start, args.device)


if __name__ == "__main__":
    main()
