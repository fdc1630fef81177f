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
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from gligen.attention import GatedSelfAttention, Grounding
from gligen.checkpoints import read_adapter, save_adapter
from gligen.encoding import encode_phrases, encode_prompts
from gligen.layout import MAX_REGIONS
from gligen.tokenizers import BoxGrounding, fourier_embedding
from gligen.training.aiming import aim_attention
from gligen.training.autoencoder import NUM_VALIDATION
from gligen.training.bank import load_scenes
from gligen.training.masks import random_hole
from gligen.training.runs import MovingAverage, TrainingRun, cosine_learning_rate
from gligen.unet import add_grounding, is_grounding_key, predict
from gligen.world import SPRITE_NAMES, Scene, SceneObject, compose_caption
from gligen.world.captions import with_article


@dataclass(frozen=True)
class GroundingRecipe:
    """The settings of stage 2."""

    kind: str = "generation_text_box"
    num_steps: int = 1900
    batch_size: int = 32
    learning_rate: float = 1.2e-3  # peak, after 100 warm-up steps
    caption_dropout: float = 0.6  # picture from the regions alone
    grounding_dropout: float = 0.1  # null tokens in every slot
    early_share: float = 0.75  # samples with t >= early_from, where layout is decided
    early_from: int = 500
    max_objects: int = 4  # only scenes with at most so many; one or two make a start easier
    seed: int = 0


class Vocabulary:
    """Features of the phrases that name sprites: "dog" and "a dog"."""

    def __init__(self, tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel):
        self.phrases = [*SPRITE_NAMES, *(with_article(name) for name in SPRITE_NAMES)]
        with torch.no_grad():
            self.features = encode_phrases(tokenizer, text_encoder, self.phrases)
        self._index = {phrase: i for i, phrase in enumerate(self.phrases)}

    def feature(self, phrase: str) -> Tensor:
        """Return the feature of a phrase, shape (D,)."""
        return self.features[self._index[phrase]]


@torch.no_grad()
def start_layers(unet: UNet2DConditionModel, sample: BoxGrounding) -> None:
    """Set the new layers to where training starts.

    The gates are open (alpha 1) and the layers' outputs zero, so the model is the base at first.
    Every layer of the tokenizer is scaled to mean 0 and variance 1 over the regions of `sample`:
    from the usual start nearly all of a token is the same for every region, and a linear probe
    finds 0.6 % of the variance of the boxes' coordinates in it, against 92 % from this one.
    """
    for fuser in (m for m in unet.modules() if isinstance(m, GatedSelfAttention)):
        fuser.alpha_attn.fill_(1.0)
        fuser.alpha_dense.fill_(1.0)
        fuser.linear.bias.zero_()
        for output in (fuser.get_submodule("attn.to_out.0"), fuser.get_submodule("ff.net.2")):
            for parameter in output.parameters():
                parameter.zero_()
    present = sample.masks > 0
    phrases = sample.phrase_features[present]
    boxes = fourier_embedding(sample.boxes[present])
    tokenizer = unet.position_net
    tokenizer.null_positive_feature.copy_(phrases.mean(0))
    tokenizer.null_position_feature.copy_(boxes.mean(0))
    # Phrase and box enter the first layer with equal variance.
    first, width = tokenizer.linears[0], phrases.shape[1]
    first.weight[:, :width] /= phrases.std(0) + 1e-4
    for columns, values in ((slice(0, width), phrases), (slice(width, None), boxes)):
        first.weight[:, columns] /= (values @ first.weight[:, columns].T).std(0)[:, None]
    states = torch.cat([phrases, boxes], dim=1)
    for layer in tokenizer.linears:
        if isinstance(layer, nn.Linear):
            outputs = layer(states)
            mean, deviation = outputs.mean(0), outputs.std(0)
            layer.weight /= deviation[:, None]
            layer.bias.copy_((layer.bias - mean) / deviation)
        states = layer(states)


def widen_first_convolution(unet: UNet2DConditionModel) -> None:
    """Let the first convolution read known latents and mask too, at first with weight zero."""
    old, channels = unet.conv_in, unet.config.out_channels
    new = nn.Conv2d(2 * channels + 1, old.out_channels, 3, padding=1)
    with torch.no_grad():
        weight = torch.zeros_like(new.weight)
        weight[:, :channels] = old.weight
    new.load_state_dict({"weight": weight, "bias": old.bias})
    unet.conv_in = new
    unet.register_to_config(in_channels=2 * channels + 1)


@dataclass(frozen=True)
class Batch:
    """One batch of stage 2, on the device."""

    clean: Tensor  # [B, c, h, w] latents
    captions: list[str]
    grounding: BoxGrounding
    mask: Tensor | None  # [B, 1, h, w], 1 = known; None: generation


def mirrored(grounding: BoxGrounding) -> BoxGrounding:
    """Return the grounding with every box reflected through the middle of the picture."""
    boxes = 1 - grounding.boxes[..., [2, 3, 0, 1]]
    return BoxGrounding(boxes, grounding.masks, grounding.phrase_features)


class SceneBatches:
    """Batches of the bank as stage 2 sees them; the same step always gives the same batch."""

    def __init__(self, bank: Path, vocabulary: Vocabulary, recipe: GroundingRecipe, device: str):
        self.latents = np.load(bank / "latents.npy", mmap_mode="r")
        self.scenes = load_scenes(bank)
        self.vocabulary = vocabulary
        self.recipe = recipe
        self.device = device
        trainable = self.scenes[:-NUM_VALIDATION]
        self._usable = np.flatnonzero(
            [len(scene.objects) <= recipe.max_objects for scene in trainable]
        )

    def training(self, step: int) -> Batch:
        """Draw the batch of a step."""
        rng = np.random.default_rng([self.recipe.seed, 3, step])
        chosen = np.sort(rng.choice(self._usable, self.recipe.batch_size))
        return self._batch(chosen, rng, self.recipe.caption_dropout, self.recipe.grounding_dropout)

    def validation(self, size: int = 128) -> Batch:
        """Return the fixed batch for the paired loss: all captions, all boxes."""
        chosen = np.arange(len(self.latents) - size, len(self.latents))
        return self._batch(chosen, np.random.default_rng(0), 0.0, 0.0)

    def _batch(
        self,
        chosen: np.ndarray,
        rng: np.random.Generator,
        caption_dropout: float,
        grounding_dropout: float,
    ) -> Batch:
        clean = torch.from_numpy(self.latents[chosen]).float().to(self.device)
        boxes = torch.zeros(len(chosen), MAX_REGIONS, 4)
        masks = torch.zeros(len(chosen), MAX_REGIONS)
        features = torch.zeros(len(chosen), MAX_REGIONS, self.vocabulary.features.shape[1])
        captions, holes = [], []
        for row, index in enumerate(chosen):
            scene = self.scenes[index]
            objects = list(scene.objects)
            if self.recipe.kind.startswith("inpainting"):
                hole, objects = random_hole(scene, (clean.shape[2], clean.shape[3]), rng)
                holes.append(hole)
            captions.append(self._caption(scene, objects, rng, caption_dropout))
            if rng.random() < grounding_dropout:
                continue
            for slot, item in enumerate(objects):
                phrase = item.name if rng.random() < 0.5 else with_article(item.name)
                boxes[row, slot] = torch.tensor(item.box)
                masks[row, slot] = 1
                features[row, slot] = self.vocabulary.feature(phrase)
        grounding = BoxGrounding(
            boxes.to(self.device), masks.to(self.device), features.to(self.device)
        )
        mask = None
        if holes:
            mask = 1 - torch.from_numpy(np.stack(holes)).float()[:, None].to(self.device)
        return Batch(clean, captions, grounding, mask)

    def _caption(
        self, scene: Scene, objects: list[SceneObject], rng: np.random.Generator, dropout: float
    ) -> str:
        if rng.random() < dropout:
            return ""
        # A person who repaints a hole often writes only what goes there.
        if len(objects) < len(scene.objects) and rng.random() < 0.5:
            scene = Scene(scene.background, tuple(objects) or scene.objects)
        return compose_caption(scene, rng)


@torch.no_grad()
def start_on(
    unet: UNet2DConditionModel,
    scheduler: DDIMScheduler,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    batch: Batch,
) -> dict[str, tuple[float, float]]:
    """Start the new layers on a batch of scenes; return what `aim_attention` reports."""
    start_layers(unet, batch.grounding)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batch.clean.shape, generator=generator).to(batch.clean.device)
    timesteps = torch.randint(500, 1000, (len(noise),), generator=generator).to(noise.device)
    inputs = {
        "sample": scheduler.add_noise(batch.clean, noise, timesteps),
        "timestep": timesteps,
        "encoder_hidden_states": encode(tokenizer, text_encoder, [""] * len(noise)),
    }
    grounding = batch.grounding
    tokens = unet.position_net.tokens(grounding)
    return aim_attention(unet, inputs, tokens, grounding.boxes, grounding.masks)


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
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(base / "text_encoder").to(device).eval()
    text_encoder.requires_grad_(False)
    scheduler = DDIMScheduler.from_pretrained(base / "scheduler")
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(device)
    unet = add_grounding(UNet2DConditionModel.from_pretrained(base / "unet")).to(device)
    vocabulary = Vocabulary(tokenizer, text_encoder)
    batches = SceneBatches(bank, vocabulary, recipe, device)
    if start is not None:
        unet.load_state_dict(read_adapter(start).state, strict=False)
    else:
        start_on(unet, scheduler, tokenizer, text_encoder, batches.validation())
    is_inpainting = recipe.kind.startswith("inpainting")
    if is_inpainting:
        widen_first_convolution(unet)
    if device == "cpu":
        unet.set_attn_processor(AttnProcessor())  # the fused kernel's backward is slow on a CPU
    unet.to(device, memory_format=torch.channels_last)
    before = {name: p.detach().clone() for name, p in unet.named_parameters()}
    trained = {
        name
        for name in before
        if is_grounding_key(name) or (is_inpainting and name.startswith("conv_in."))
    }
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(name in trained)
    parameters = [p for p in unet.parameters() if p.requires_grad]
    average = MovingAverage(parameters)
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    first = 0
    if state := run.load():
        unet.load_state_dict(state["new"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        average.averages = [a.to(device) for a in state["average"]]
        first = state["step"]

    validation = batches.validation()
    validation_context = encode(tokenizer, text_encoder, validation.captions)
    recent = []
    for step in range(first, recipe.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine_learning_rate(step, recipe.num_steps, recipe.learning_rate)
        rng = np.random.default_rng([recipe.seed, 4, step])
        batch = batches.training(step)
        noise = torch.from_numpy(rng.standard_normal(batch.clean.shape, np.float32)).to(device)
        timesteps = draw_timesteps(rng, recipe).to(device)
        with torch.autocast(device, torch.bfloat16):
            context = encode(tokenizer, text_encoder, batch.captions)
            loss = loss_of(unet, scheduler, context, batch, timesteps, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        average.update(step)
        recent.append(loss.item())
        if step % 250 == 249:
            with torch.autocast(device, torch.bfloat16):
                pairs = paired_loss(unet, scheduler, validation_context, validation)
            run.log(step=step + 1, loss=float(np.mean(recent)), **pairs)
            recent = []
        if run.is_save_due or step + 1 == recipe.num_steps:
            state = unet.state_dict()
            run.save(
                {
                    "step": step + 1,
                    "new": {name: state[name] for name in trained},
                    "optimizer": optimizer.state_dict(),
                    "average": average.averages,
                }
            )
            save_average(run.folder, unet, average, recipe.kind)
    average.copy_to_parameters()
    check_frozen(before, unet, trained)
    pairs = paired_loss(unet, scheduler, validation_context, validation)
    run.log(step=recipe.num_steps, **pairs)
    save_adapter(run.folder / "adapter.safetensors", unet, recipe.kind)


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


@torch.no_grad()
def encode(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, captions: list[str]) -> Tensor:
    """Encode captions, each different one once."""
    distinct = list(dict.fromkeys(captions))
    encoded = encode_prompts(tokenizer, text_encoder, distinct)
    return encoded[[distinct.index(caption) for caption in captions]]


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
    )
    train(args.bank, args.base, TrainingRun(args.run), recipe, args.start, args.device)


if __name__ == "__main__":
    main()
