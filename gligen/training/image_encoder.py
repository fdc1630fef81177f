"""The embedded model's image encoder: CLIP's vision half, small, for reference pictures of things.

It learns, contrastively, to give a crop of a drawn scene the feature that the text encoder gives
the name of what stands there. All sprites of a world are shown, also those that grounded training
leaves out: that a picture of one is followed all the same is the open-set claim for pictures.

Shapes: N crops, C names, D width of a phrase's feature, S side of a crop in pixels.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from gligen.encoding import encode_phrases
from gligen.layout import Layout, Region
from gligen.references import encode_references, projection_module
from gligen.training.bank import HELD_OUT_SEED, WORLDS, World
from gligen.training.muon import inner_matrices
from gligen.training.runs import Optimiser, TrainingRun
from gligen.training.sources import with_crops
from gligen.world import draw_scene, sample_scene
from gligen.world.captions import with_article

LOG_EVERY = 50  # steps
PERSON = "person"
OVERSAMPLING = 2  # crops are read so much finer, then averaged, as a good resize does


@dataclass(frozen=True)
class EncoderRecipe:
    """The settings of the image encoder's training."""

    num_steps: int = 1200
    batch_size: int = 64  # crops
    learning_rate: float = 2e-3  # peak, after 100 warm-up steps
    num_scenes: int = 3000  # drawn before training; crops of them vary from step to step
    num_held_out: int = 300  # scenes to judge by
    side: int = 32  # pixels that the encoder reads
    patch: int = 8
    width: int = 128
    layers: int = 3
    edge_jitter: float = 0.12  # standard deviation of every edge of a crop, of the box's side
    turn: float = 8.0  # standard deviation in degrees
    mirrored: float = 0.3  # share of crops
    seed: int = 0


@dataclass(frozen=True)
class Crops:
    """Pictures with what stands in them: one entry for each thing."""

    pictures: UInt8[Tensor, "P 3 H W"]
    picture: Int[Tensor, " N"]  # which one a thing stands in
    boxes: Float[Tensor, "N 4"]  # xyxy in [0, 1]
    labels: Int[Tensor, " N"]  # place of its name among the names


def names_of(world: World) -> list[str]:
    """Return what the things of a world are called."""
    return [*world.names, *([PERSON] if world.person_share else [])]


def draw_crops(world: World, num_scenes: int, seed: int) -> Crops:
    """Draw scenes of a world, and say where every thing in them is."""
    names = names_of(world)
    pictures, owners, boxes, labels = [], [], [], []
    for number in range(num_scenes):
        rng = np.random.default_rng([seed, 23, number])
        scene = sample_scene(rng, names=world.names, person_share=world.person_share)
        pictures.append(draw_scene(scene, rng))
        for thing in scene.things:
            owners.append(number)
            boxes.append(thing.box)
            labels.append(names.index(thing.name))
    return Crops(
        torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        torch.tensor(owners),
        torch.tensor(boxes),
        torch.tensor(labels),
    )


def make_image_encoder(recipe: EncoderRecipe, feature_width: int) -> CLIPVisionModelWithProjection:
    """Build the untrained encoder; its features are as wide as those of phrases."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=recipe.width,
            intermediate_size=4 * recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=4,
            image_size=recipe.side,
            patch_size=recipe.patch,
            projection_dim=feature_width,
            hidden_act="quick_gelu",
        )
    )


def make_processor(side: int) -> CLIPImageProcessorPil:
    """Return CLIP's own preparation of pictures, for another size."""
    square = {"height": side, "width": side}
    return CLIPImageProcessorPil(size=square, crop_size=square)


@torch.no_grad()
def name_features(
    tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, names: Sequence[str]
) -> Float[Tensor, "C D"]:
    """Return what the text encoder makes of each name: the mean with and without article."""
    plain = encode_phrases(tokenizer, text_encoder, names)
    return (plain + encode_phrases(tokenizer, text_encoder, [*map(with_article, names)])) / 2


def draw_views(
    crops: Crops, chosen: Int[Tensor, " N"], recipe: EncoderRecipe, generator: torch.Generator
) -> Float[Tensor, "N 3 S S"]:
    """Cut things out, never twice alike: edges moved, a little turned, some mirrored.

    Colours stay what they are, because they tell things apart.

    Returns:
        Values in [0, 1].
    """

    def spread(*shape: int) -> Tensor:
        return torch.randn(len(chosen), *shape, generator=generator)

    boxes = crops.boxes[chosen]
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    boxes = boxes + recipe.edge_jitter * spread(4).clamp(-2, 2) * sides
    # Picture coordinates of grid_sample: -1 to 1.
    centre = boxes[:, :2] + boxes[:, 2:] - 1
    half = boxes[:, 2:] - boxes[:, :2]
    angle = torch.deg2rad(recipe.turn * spread())
    mirror = torch.rand(len(chosen), generator=generator) < recipe.mirrored
    flip = 1 - 2 * mirror.float()
    across = torch.stack([half[:, 0] * angle.cos() * flip, -half[:, 1] * angle.sin()], 1)
    down = torch.stack([half[:, 0] * angle.sin() * flip, half[:, 1] * angle.cos()], 1)
    place = torch.stack(
        [torch.cat([across, centre[:, :1]], 1), torch.cat([down, centre[:, 1:]], 1)], 1
    )
    fine = OVERSAMPLING * recipe.side
    grid = F.affine_grid(place, [len(chosen), 3, fine, fine], align_corners=False)
    pictures = crops.pictures[crops.picture[chosen]].float() / 255
    views = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return F.avg_pool2d(views, OVERSAMPLING)


def contrastive_loss(
    features: Float[Tensor, "N D"],
    names: Float[Tensor, "C D"],
    labels: Int[Tensor, " N"],
    sharpness: Tensor,
) -> Tensor:
    """Return how badly features tell their names from the others, and how far they are from them.

    Both count in units of the mean distance between two names, which may be quite alike.
    """
    cosines = F.normalize(features, dim=1) @ F.normalize(names, dim=1).T
    apart = F.cross_entropy(sharpness.exp() * cosines / between(names), labels)
    return apart + distance(features, names, labels)


def between(names: Float[Tensor, "C D"]) -> Tensor:
    """Return the mean of 1 - cosine between different names."""
    names = F.normalize(names, dim=1)
    return (1 - names @ names.T).sum() / (len(names) * (len(names) - 1))


def distance(
    features: Float[Tensor, "N D"], names: Float[Tensor, "C D"], labels: Int[Tensor, " N"]
) -> Tensor:
    """Return the mean of 1 - cosine to the right name, in units of `between`."""
    cosine = (F.normalize(features, dim=1) * F.normalize(names, dim=1)[labels]).sum(1)
    return (1 - cosine).mean() / between(names)


@torch.no_grad()
def retrieval(
    encoder: CLIPVisionModelWithProjection, held_out: Crops, names: Float[Tensor, "C D"]
) -> dict[str, float]:
    """Judge held-out crops, read as reference pictures are when a picture is made.

    Returns:
        `retrieved`, the share whose nearest name is the right one; `distance`, see there.
    """
    regions = []
    for owner, picture in enumerate(held_out.pictures):
        inside = (held_out.picture == owner).nonzero()[:, 0].tolist()
        layout = Layout(tuple(Region("", tuple(held_out.boxes[i].tolist())) for i in inside))
        whole = Image.fromarray(picture.permute(1, 2, 0).numpy())
        regions += with_crops(layout, whole).regions
    images = [region.image for region in regions if region.image is not None]
    project = projection_module(torch.eye(names.shape[1]))
    processor = make_processor(encoder.config.image_size)
    features = encode_references(encoder, project, processor, images)
    nearest = (F.normalize(features, dim=1) @ F.normalize(names, dim=1).T).argmax(1)
    return {
        "retrieved": (nearest == held_out.labels).float().mean().item(),
        "distance": distance(features, names, held_out.labels).item(),
    }


def train(base: Path, run: TrainingRun, world: World, recipe: EncoderRecipe) -> dict[str, float]:
    """Train until `recipe.num_steps`, resuming where the folder left off, then save the parts.

    Args:
        base: folder with `text_encoder` and `tokenizer`: of a run of stage 1, or of a model.
        run: where to write `image_encoder`, `processor` and `image_project`.
        world: whose things it learns.
        recipe: all else.

    Returns:
        What `retrieval` says of the result.

    Raises:
        ValueError: the base has no text encoder.
    """
    tokenizer, text_encoder = _read_text(base)
    names = name_features(tokenizer, text_encoder, names_of(world))
    crops = draw_crops(world, recipe.num_scenes, recipe.seed)
    held_out = draw_crops(world, recipe.num_held_out, HELD_OUT_SEED)
    torch.manual_seed(recipe.seed)
    encoder = make_image_encoder(recipe, names.shape[1])
    sharpness = nn.ParameterDict({"logarithm": nn.Parameter(torch.tensor(1.0))})
    modules = {"image_encoder": encoder, "sharpness": sharpness}
    optimiser = Optimiser(
        [*encoder.parameters(), *sharpness.parameters()],
        recipe.num_steps,
        recipe.learning_rate,
        decay=0.99,
        matrices=inner_matrices(encoder),
    )
    processor = make_processor(recipe.side)
    mean, spread = (
        torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std)
    )
    recent = 0.0
    for step in range(run.restore(modules, optimiser), recipe.num_steps):
        generator = torch.Generator().manual_seed(recipe.seed << 32 | step)
        chosen = torch.randint(len(crops.labels), (recipe.batch_size,), generator=generator)
        views = (draw_views(crops, chosen, recipe, generator) - mean) / spread
        features = encoder(views).image_embeds
        loss = contrastive_loss(features, names, crops.labels[chosen], sharpness["logarithm"])
        optimiser.descend(step, loss)
        recent += loss.item() / LOG_EVERY
        if (step + 1) % LOG_EVERY == 0:
            run.log(step=step + 1, loss=recent)
            recent = 0.0
        if run.is_save_due or step + 1 == recipe.num_steps:
            run.keep(step + 1, modules, optimiser)
    optimiser.average.copy_to_parameters()
    figures = retrieval(encoder.eval(), held_out, names)
    run.log(step=recipe.num_steps, **figures)
    encoder.save_pretrained(run.folder / "image_encoder")
    processor.save_pretrained(run.folder / "processor")
    # Features lie where those of phrases do already.
    projection_module(torch.eye(names.shape[1])).save_pretrained(run.folder / "image_project")
    return figures


def _read_text(base: Path) -> tuple[CLIPTokenizer, CLIPTextModel]:
    for part in ("tokenizer", "text_encoder"):
        if not (base / part).is_dir():
            raise ValueError(
                f"The folder {str(base)!r} has no {part}; give a finished run of stage 1 "
                "(gligen.training.base) or the folder of a model."
            )
    text_encoder = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32)
    return CLIPTokenizer.from_pretrained(base / "tokenizer"), text_encoder.eval()


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=Path("runs/base"))
    parser.add_argument("--run", type=Path, default=Path("runs/image_encoder"))
    parser.add_argument("--world", choices=WORLDS, default="large")
    parser.add_argument("--steps", type=int, default=EncoderRecipe.num_steps)
    parser.add_argument("--batch-size", type=int, default=EncoderRecipe.batch_size)
    parser.add_argument("--learning-rate", type=float, default=EncoderRecipe.learning_rate)
    args = parser.parse_args()
    recipe = EncoderRecipe(args.steps, args.batch_size, args.learning_rate)
    train(args.base, TrainingRun(args.run), WORLDS[args.world], recipe)


if __name__ == "__main__":
    main()
