"""Training of the embedded model: the bank, the starts of the models, and the paired loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gligen.attention import GatedSelfAttention, Grounding
from gligen.tokenizers import BoxGrounding, KeypointGrounding, MapGrounding
from gligen.training import bank as banks
from gligen.training.aiming import _cell_centres, _set_heads
from gligen.training.autoencoder import (
    LATENT_CHANNELS,
    make_autoencoder,
    psnr,
    to_pixels,
)
from gligen.training.examples import Draw
from gligen.training.objective import GroundedLoss, encode_draws
from gligen.training.settings import TrainingSettings
from gligen.training.standardising import places
from gligen.training.starting import start_aimed, widen_first_convolution
from gligen.training.text import EXTRA_WORDS, make_tokenizer
from gligen.training.watching import mirrored, paired_loss, rolled, watched_batch
from gligen.training.world_examples import WorldExamples
from gligen.unet import add_grounding, predict
from gligen.world import SPRITE_NAMES
from tests.conftest import small_pipeline, small_unet

WIDTH = 32  # of the tiny text encoder
SIDE = 8  # of the tiny latents


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A bank of one chunk, with random latents of a small grid in place of an autoencoder's."""
    folder = tmp_path_factory.mktemp("bank")
    banks.build_bank(folder, banks.CHUNK, workers=1)
    latents = np.random.default_rng(0).standard_normal((banks.CHUNK, 4, SIDE, SIDE))
    np.save(folder / "latents.npy", latents.astype(np.float16))
    return folder


@torch.no_grad()
def run_unet(unet, tokens=None, channels=4, extra=None):
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(2, channels, SIDE, SIDE, generator=generator)
    context = torch.randn(2, 7, WIDTH, generator=generator)
    if extra is not None:
        latents = torch.cat([latents, extra], dim=1)
    return predict(unet, latents, 500, context, None if tokens is None else Grounding(tokens))


# --- bank ----------------------------------------------------------------------------------------


def test_a_bank_reads_back_as_it_was_drawn_and_a_chunk_follows_from_its_seed(bank):
    pictures, scenes = banks.draw_chunk(0)
    assert np.array_equal(banks.load_images(bank), pictures)
    assert banks.load_scenes(bank) == scenes
    assert not (bank / "images.partial.npy").exists()


def test_another_seed_draws_other_scenes(monkeypatch):
    monkeypatch.setattr(banks, "CHUNK", 5)
    pictures, scenes = banks.draw_chunk(1)
    others = banks.draw_chunk(banks.HELD_OUT_SEED)
    assert scenes != others[1]
    assert not np.array_equal(pictures, others[0])


# --- autoencoder ---------------------------------------------------------------------------------


def test_the_untrained_autoencoder_already_reconstructs_drawn_scenes(bank):
    torch.manual_seed(0)
    model = make_autoencoder().eval()
    assert model.config.latent_channels == LATENT_CHANNELS
    assert psnr(model, to_pixels(banks.load_images(bank)[np.arange(32)])) >= 17


# --- tokenizer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [*SPRITE_NAMES, *EXTRA_WORDS])
def test_every_known_word_is_one_token(tokenizer, word):
    start, *tokens, end = tokenizer(word).input_ids
    assert (start, end) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert len(tokens) == 1
    assert tokenizer.decode(tokens).strip() == word


@pytest.mark.parametrize("word", ["xylophone", "zqj", "42", "naïve", "日本"])
def test_unknown_words_fall_into_pieces_without_unknown_tokens(tokenizer, word):
    tokens = tokenizer(word).input_ids[1:-1]
    assert len(tokens) > 1
    assert tokenizer.unk_token_id not in tokens
    assert tokenizer.decode(tokens).replace(" ", "") == word


# --- start of stage 2 ----------------------------------------------------------------------------


def test_a_widened_first_convolution_ignores_its_new_channels_bit_for_bit():
    unet = small_unet()
    plain = run_unet(unet)
    widen_first_convolution(unet)
    assert unet.config.in_channels == 9
    assert torch.equal(run_unet(unet, extra=torch.zeros(2, 5, SIDE, SIDE)), plain)
    noise = torch.randn(2, 5, SIDE, SIDE)
    torch.testing.assert_close(run_unet(unet, extra=noise), plain, rtol=0, atol=1e-6)


@pytest.fixture
def started(bank):
    """A small model whose new layers are set to where training starts, a batch, and the fits."""
    model = small_pipeline()
    model.unet = add_grounding(small_unet())
    source = WorldExamples(bank, TrainingSettings("run", f"world:{bank}"))
    batch = watched_batch(model._components, source)
    fits = start_aimed(model._components, batch)
    return model, batch, fits


def objective_of(model) -> GroundedLoss:
    return GroundedLoss(model.unet, model.scheduler.alphas_cumprod, "epsilon")


def test_started_layers_leave_the_base_as_it_is_behind_open_gates(started):
    model, batch, _ = started
    plain = run_unet(small_unet())
    tokens = model.unet.position_net.tokens(batch.grounding)[:2].detach()
    torch.testing.assert_close(run_unet(model.unet, tokens), plain, rtol=0, atol=1e-6)

    fusers = [m for m in model.unet.modules() if isinstance(m, GatedSelfAttention)]
    assert fusers
    assert all(fuser.alpha_attn == 1 == fuser.alpha_dense for fuser in fusers)
    for fuser in fusers:  # the first step of training opens the outputs; the gates let it through
        torch.nn.init.normal_(fuser.attn.to_out[0].weight)
    assert not torch.allclose(run_unet(model.unet, tokens), plain, atol=1e-3)


def test_started_tokens_tell_regions_apart(started):
    model, batch, fits = started
    present = batch.grounding.masks > 0
    tokens = model.unet.position_net.tokens(batch.grounding)[present]
    torch.testing.assert_close(tokens.mean(0), torch.zeros(WIDTH), rtol=0, atol=1e-3)
    torch.testing.assert_close(tokens.std(0), torch.ones(WIDTH), rtol=0, atol=1e-2)
    assert all(boxes > 0.2 for _, boxes in fits.values()), fits
    usual = add_grounding(small_unet()).position_net.tokens(batch.grounding)
    assert usual[present].std(0).mean() < 0.3


def test_aimed_heads_look_at_regions_on_their_own_side():
    """On features that hold the cell's place, attention goes to the region that lies there."""
    torch.manual_seed(0)
    layer = GatedSelfAttention(WIDTH, WIDTH, num_heads=2, head_width=16)
    cells = torch.zeros(64, WIDTH)
    cells[:, :2] = _cell_centres(64)
    cells[:, 2] = 1
    query = torch.zeros(WIDTH, 3)
    query[[0, 1, 2], [0, 1, 2]] = 1
    _set_heads(layer, query, query, gain=3.0, share=0.5)
    regions = torch.zeros(2, WIDTH)
    regions[:, :3] = torch.tensor([[-0.5, -0.5, 1], [0.5, 0.5, 1]])  # top left, bottom right
    with torch.no_grad():
        logits = (layer.attn.to_q(cells)[:, :3] @ layer.attn.to_k(regions)[:, :3].T) * 16**-0.5
    expected = 3 * (cells[:, :2] @ regions[:, :2].T + 1)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def some_grounding() -> BoxGrounding:
    boxes = torch.zeros(2, 30, 4)
    boxes[:, 0] = torch.tensor([0.1, 0.2, 0.5, 0.6])
    masks = torch.zeros(2, 30)
    masks[0, 0] = 1
    return BoxGrounding(boxes, masks, torch.arange(120.0).reshape(2, 30, 2))


def test_mirroring_twice_returns_the_boxes():
    once = mirrored(some_grounding())
    torch.testing.assert_close(once.boxes[0, 0], torch.tensor([0.5, 0.4, 0.9, 0.8]))
    torch.testing.assert_close(mirrored(once).boxes, some_grounding().boxes)


def test_rolling_gives_every_picture_the_layout_of_another():
    moved = rolled(some_grounding())
    assert moved.masks.sum(1).tolist() == [0, 1]
    assert torch.equal(moved.phrase_features[1], some_grounding().phrase_features[0])


def test_right_wrong_mirrored_and_null_regions_are_alike_at_the_start(started):
    model, batch, _ = started
    losses = paired_loss(objective_of(model), batch)
    assert set(losses) == {"right", "mirrored", "wrong", "null"}
    assert len(set(losses.values())) == 1
    for fuser in (m for m in model.unet.modules() if isinstance(m, GatedSelfAttention)):
        torch.nn.init.normal_(fuser.attn.to_out[0].weight)
    assert len(set(paired_loss(objective_of(model), batch).values())) == 4


def test_maps_are_watched_too(bank):
    model = small_pipeline("semantic")
    source = WorldExamples(bank, TrainingSettings("run", f"world:{bank}", "semantic"))
    draws = [
        Draw(example, 700, torch.randn(4, SIDE, SIDE), is_grounded=True)
        for example in source.validation()[:4]
    ]
    losses = paired_loss(objective_of(model), encode_draws(model._components, draws))
    assert set(losses) == {"right", "wrong", "null", "mirrored"}
    assert len(set(losses.values())) == 4


@pytest.mark.parametrize("kind", ["generation_text_image_box", "keypoint", "semantic", "canny"])
def test_every_kind_starts_with_tokens_that_differ_and_the_base_unchanged(large_bank, kind):
    model = small_pipeline(kind)
    rng = np.random.default_rng(0)
    np.save(large_bank / "latents.npy", np.zeros((banks.CHUNK, 4, SIDE, SIDE), np.float16))
    examples = WorldExamples(large_bank, TrainingSettings("run", f"world:{large_bank}", kind))
    draws = [
        Draw(examples.example(i, rng), 700, torch.randn(4, SIDE, SIDE), is_grounded=True)
        for i in range(24)
    ]
    batch = encode_draws(model._components, draws)
    batch = replace(batch, latents=torch.randn(24, 4, SIDE, SIDE))
    fits = start_aimed(model._components, batch)
    assert all(torch.isfinite(torch.tensor(fit)).all() for fit in fits.values())
    tokens = model.unet.position_net.tokens(batch.grounding)
    _, masks = places(batch.grounding, tokens.shape[1])
    present = tokens[masks > 0]
    torch.testing.assert_close(present.mean(0), torch.zeros(WIDTH), rtol=0, atol=0.1)
    assert 0.5 < present.std(0).mean() < 1.5
    losses = paired_loss(objective_of(model), batch)
    assert losses["right"] == losses["mirrored"] or kind in ("semantic", "canny")


def test_tokens_lie_where_their_things_are():
    points = torch.tensor([[[0.2, 0.7], [0.5, 0.1]]])
    boxes, _ = places(KeypointGrounding(points, torch.ones(1, 2)), 2)
    assert boxes[0, 0].tolist() == pytest.approx([0.2, 0.7, 0.2, 0.7])
    boxes, masks = places(MapGrounding(None, torch.ones(3, 1)), 4)
    assert boxes[1, 1].tolist() == [0.75, 0.25, 0.75, 0.25]
    assert masks.shape == (3, 4)


# --- worlds ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_bank(tmp_path_factory):
    """A bank of the larger world."""
    folder = tmp_path_factory.mktemp("large")
    banks.build_bank(folder, banks.CHUNK, workers=1, world=banks.LARGE_WORLD)
    return folder


def test_a_bank_of_the_larger_world_reads_back_with_its_persons_and_its_world(large_bank):
    scenes = banks.load_scenes(large_bank)
    assert scenes == banks.draw_chunk(0, banks.LARGE_WORLD)[1]
    assert any(scene.persons for scene in scenes)
    assert banks.load_world(large_bank) == banks.LARGE_WORLD


def test_the_grounded_world_is_the_large_one_without_its_open_set():
    grounded, large = banks.WORLDS["grounded"], banks.WORLDS["large"]
    assert (*grounded.names, *banks.OPEN_SET_NAMES) == large.names
    assert grounded.person_share == large.person_share
    assert banks.WORLDS["first"] == banks.FIRST_WORLD == banks.World()


def test_a_bank_that_names_no_world_is_of_the_first(bank, tmp_path):
    (tmp_path / "scenes.json").write_bytes((bank / "scenes.json").read_bytes())
    assert banks.load_world(tmp_path) == banks.FIRST_WORLD
