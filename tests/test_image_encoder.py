"""The small image encoder: what it sees while it learns, and that it lands among the phrases."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gligen.encoding import encode_phrases
from gligen.training.bank import World
from gligen.training.image_encoder import (
    Crops,
    EncoderRecipe,
    contrastive_loss,
    distance,
    draw_crops,
    draw_views,
    name_features,
    names_of,
    train,
)
from gligen.training.runs import TrainingRun
from gligen.weights.vision import find_vision, read_vision
from tests.conftest import small_pipeline

NAMES = ("dog", "sun", "apple", "house")
STILL = EncoderRecipe(edge_jitter=0.0, turn=0.0, mirrored=0.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    model = small_pipeline()
    model.tokenizer.save_pretrained(folder / "tokenizer")
    model.text_encoder.save_pretrained(folder / "text_encoder")
    return folder


def one_red_corner():
    """A black picture whose top left quarter is red, and a thing that fills it."""
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    picture[0, 0, :32, :32] = 255
    return Crops(
        picture, torch.tensor([0]), torch.tensor([[0.0, 0.0, 0.5, 0.5]]), torch.tensor([0])
    )


def views(crops, recipe, seed=0):
    chosen = torch.zeros(1, dtype=torch.long)
    return draw_views(crops, chosen, recipe, torch.Generator().manual_seed(seed))[0]


def test_a_view_is_what_stands_in_the_box():
    assert views(one_red_corner(), STILL)[0, 1:-1, 1:-1].min() == 1
    whole = replace(one_red_corner(), boxes=torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    view = views(whole, STILL)
    assert view[0, 2:14, 2:14].min() == 1
    assert view[0, 18:].max() == 0
    flipped = views(whole, replace(STILL, mirrored=1.0))
    assert torch.allclose(flipped, view.flip(-1), atol=1e-5)
    turned = views(whole, replace(STILL, turn=20.0))
    assert not torch.allclose(turned, view, atol=0.1)


def test_things_are_where_the_scene_has_them():
    world = World(NAMES, person_share=0.5)
    crops = draw_crops(world, 6, seed=1)
    assert names_of(world) == [*NAMES, "person"]
    assert len(crops.boxes) == len(crops.labels) == len(crops.picture)
    assert crops.labels.max() <= 4
    again = draw_crops(world, 6, seed=1)
    assert torch.equal(again.pictures, crops.pictures)
    sun = int((crops.labels == 1).nonzero()[0])
    view = draw_views(crops, torch.tensor([sun]), STILL, torch.Generator())[0]
    middle = view[:, 12:20, 12:20].mean((1, 2))
    assert middle[0] > middle[2] + 0.2  # yellow


def test_the_distance_counts_in_names():
    names = torch.eye(3)
    assert distance(names, names, torch.arange(3)) == 0
    assert distance(names, names, torch.tensor([1, 2, 0])) == pytest.approx(1)
    right = contrastive_loss(names, names, torch.arange(3), torch.tensor(1.0))
    assert right < contrastive_loss(names, names, torch.tensor([1, 2, 0]), torch.tensor(2.0))


def test_a_run_leaves_all_that_reads_pictures(base, tmp_path):
    world = World(NAMES, person_share=0.0)
    recipe = EncoderRecipe(
        num_steps=60, batch_size=16, num_scenes=30, num_held_out=10, width=32, layers=1
    )
    figures = train(base, TrainingRun(tmp_path), world, recipe)
    assert figures["retrieved"] > 0.6
    folder, part = find_vision(str(tmp_path))
    vision = read_vision(folder, torch.device("cpu"), torch.float32, part)
    assert vision.image_encoder.config.projection_dim == 32
    picture = np.zeros((32, 32, 3), np.uint8)
    pixels = vision.processor(images=picture, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="has no tokenizer; give a finished run of stage 1"):
        train(tmp_path, TrainingRun(tmp_path), world, recipe)


def test_names_count_with_and_without_article():
    model = small_pipeline()
    parts = model.tokenizer, model.text_encoder
    both = name_features(*parts, ["dog"])
    with torch.no_grad():
        features = encode_phrases(*parts, ["dog", "a dog"])
    assert torch.allclose(both[0], features.mean(0), atol=1e-5)
