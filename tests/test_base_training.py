"""Training before grounding: the autoencoder, captions and the base, each at tiny size."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

import gligen
from gligen.training import autoencoder, base
from gligen.training import bank as banks
from gligen.training.base import BaseBatches, BaseRecipe, make_unet
from gligen.training.captions import caption_ids, tokenize
from gligen.training.runs import TrainingRun
from gligen.training.text import MAX_TOKENS, make_tokenizer

SHIPPED = Path(gligen.__file__).parent / "models" / "embedded"
NUM_SCENES = 40
NUM_VALIDATION = 8


class PowerCutError(Exception):
    """Ends a run in the middle."""


class FragileRun(TrainingRun):
    """A run that saves after every step and breaks off after the second."""

    def save(self, state):
        super().save(state)
        if state["step"] == 2:
            raise PowerCutError


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(banks.LARGE_WORLD)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch, tokenizer):
    monkeypatch.setattr(base, "make_tokenizer", lambda world: tokenizer)  # made once for all
    monkeypatch.setattr(banks, "CHUNK", NUM_SCENES)
    monkeypatch.setattr(autoencoder, "NUM_VALIDATION", NUM_VALIDATION)
    monkeypatch.setattr(base, "NUM_VALIDATION", NUM_VALIDATION)


@pytest.fixture
def bank(tmp_path):
    """A bank of the larger world, its pictures given random latents."""
    folder = tmp_path / "bank"
    pictures, scenes = banks.draw_chunk(0, banks.LARGE_WORLD)
    folder.mkdir()
    np.save(folder / "images.npy", pictures)
    (folder / "scenes.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
    (folder / "world.json").write_text(json.dumps(asdict(banks.LARGE_WORLD)))
    latents = np.random.default_rng(0).standard_normal((NUM_SCENES, 12, 16, 16))
    np.save(folder / "latents.npy", latents.astype(np.float16))
    return folder


# --- autoencoder ---------------------------------------------------------------------------------


def train_autoencoder(bank, folder, run=TrainingRun):
    return autoencoder.train(bank, run(folder, 0), num_steps=3, batch_size=2, device="cpu")


@pytest.mark.slow
def test_an_autoencoder_resumed_ends_bit_for_bit_where_an_unbroken_one_does(bank, tmp_path):
    unbroken = train_autoencoder(bank, tmp_path / "unbroken").state_dict()
    with pytest.raises(PowerCutError):
        train_autoencoder(bank, tmp_path / "broken", FragileRun)
    resumed = train_autoencoder(bank, tmp_path / "broken").state_dict()
    torch.manual_seed(0)
    untrained = autoencoder.make_autoencoder().state_dict()
    for key, value in unbroken.items():
        assert torch.equal(resumed[key], value), key
    assert any(not torch.equal(untrained[key], value) for key, value in unbroken.items())


@pytest.mark.slow
def test_the_loss_of_the_autoencoder_falls_with_better_pictures(bank):
    torch.manual_seed(0)
    model = autoencoder.make_autoencoder()
    pixels = autoencoder.to_pixels(banks.load_images(bank)[:4])

    def loss():
        return autoencoder.losses(model, pixels, torch.Generator().manual_seed(0))[0].item()

    good = loss()
    with torch.no_grad():
        model.decoder.conv_out.bias += 0.5
    assert loss() > good + 0.1


def test_an_encoded_bank_has_unit_variance(bank):
    torch.manual_seed(0)
    model = autoencoder.make_autoencoder().eval()
    autoencoder.fit_scaling(model, bank, "cpu")
    autoencoder.encode_bank(model, bank, "cpu")
    latents = np.load(bank / "latents.npy").astype(np.float32)
    assert latents.shape == (NUM_SCENES, 12, 16, 16)
    assert latents.std() == pytest.approx(1, abs=0.01)
    decoded = model.decode(torch.from_numpy(latents) / model.config.scaling_factor).sample
    pictures = autoencoder.to_pixels(banks.load_images(bank)[np.arange(NUM_SCENES)])
    assert (decoded - pictures).abs().mean() < 0.2


def test_another_bank_is_encoded_with_the_scaling_that_the_base_knows(bank, tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = autoencoder.make_autoencoder()
    model.register_to_config(scaling_factor=0.5)
    model.save_pretrained(tmp_path / "vae")
    options = ["--bank", str(bank), "--vae", str(tmp_path / "vae"), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["autoencoder", *options])
    autoencoder.main()
    latents = torch.from_numpy(np.load(bank / "latents.npy")[:2]).float()
    pixels = autoencoder.to_pixels(banks.load_images(bank)[:2])
    with torch.no_grad():
        expected = model.eval().encode(pixels).latent_dist.mode() * 0.5
    torch.testing.assert_close(latents, expected, rtol=0, atol=2e-3)


# --- captions ------------------------------------------------------------------------------------


def test_caption_ids_are_captions_of_their_scenes_and_follow_from_the_seed(bank, tokenizer):
    scenes = banks.load_scenes(bank)
    ids = caption_ids(scenes, tokenizer, 3, 0.5, seed=1)
    assert ids.shape == (NUM_SCENES, 3, MAX_TOKENS)
    for scene, wordings in zip(scenes, ids, strict=True):
        for text in tokenizer.decode(wordings, skip_special_tokens=True):
            assert all(thing.name in text for thing in scene.things), text
    assert np.array_equal(ids, caption_ids(scenes, tokenizer, 3, 0.5, seed=1))
    assert not np.array_equal(ids, caption_ids(scenes, tokenizer, 3, 0.5, seed=2))


def test_every_word_of_a_caption_of_the_larger_world_is_one_token(tokenizer):
    texts = ["two persons, a soccer ball and a racing car at the top left under a blue sky"]
    (ids,) = tokenize(tokenizer, texts).tolist()
    words = texts[0].replace(",", " ,").split()
    assert ids[1 : len(words) + 2] == [
        *(tokenizer.convert_tokens_to_ids(f"{word}</w>") for word in words),
        tokenizer.eos_token_id,
    ]


# --- base ----------------------------------------------------------------------------------------


def recipe(**changes) -> BaseRecipe:
    sizes = {"channels": (16, 16), "attention": (False, True)}
    return BaseRecipe(
        **{"num_steps": 3, "batch_size": 2, "captions_per_scene": 2, **sizes, **changes}
    )


def train_base(bank, folder, run=TrainingRun, **changes):
    base.train(bank, run(folder, 0), recipe(**changes), "cpu", compile_loss=False)
    return UNet2DConditionModel.from_pretrained(folder / "unet")


def test_the_default_recipe_builds_the_shipped_unet():
    with torch.device("meta"):
        built = make_unet(BaseRecipe()).state_dict()
    with torch.device("meta"):
        config = UNet2DConditionModel.load_config(SHIPPED / "unet")
        shipped = UNet2DConditionModel.from_config(config).state_dict()
    assert {k: v.shape for k, v in built.items()} == {k: v.shape for k, v in shipped.items()}


def test_channels_and_attention_are_those_of_the_recipe():
    unet = make_unet(recipe(channels=(16, 32, 48), attention=(False, True, False)))
    assert unet.config.block_out_channels == (16, 32, 48)
    levels = {
        name.split(".")[1] for name in unet.state_dict() if "down" in name and "attn1" in name
    }
    assert levels == {"1"}
    assert any(name.startswith("mid_block.attentions") for name in unet.state_dict())


def test_a_step_always_gives_the_same_batch_and_never_a_validation_picture(
    bank, tmp_path, tokenizer
):
    options = recipe(batch_size=64, caption_dropout=0.5)
    batches = BaseBatches(bank, TrainingRun(tmp_path), tokenizer, options, "cpu")
    one, again, other = batches.draw(3), batches.draw(3), batches.draw(4)
    for name in ("clean", "ids", "timesteps", "noise"):
        assert torch.equal(getattr(one, name), getattr(again, name))
        assert not torch.equal(getattr(one, name), getattr(other, name))
    held_out = np.load(bank / "latents.npy")[-NUM_VALIDATION:].astype(np.float32)
    for latents in one.clean.numpy():
        assert not (held_out == latents).all(axis=(1, 2, 3)).any()
    dropped = (one.ids == batches.empty).all(1)
    assert 0.2 < dropped.float().mean() < 0.8


def test_a_base_resumed_ends_bit_for_bit_where_an_unbroken_one_does(bank, tmp_path):
    unbroken = train_base(bank, tmp_path / "unbroken").state_dict()
    with pytest.raises(PowerCutError):
        train_base(bank, tmp_path / "broken", FragileRun)
    resumed = train_base(bank, tmp_path / "broken").state_dict()
    for key, value in unbroken.items():
        assert torch.equal(resumed[key], value), key


def test_a_trained_base_loads_as_the_parts_of_a_pipeline(bank, tmp_path):
    unet = train_base(bank, tmp_path / "run", num_steps=1)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "run" / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(tmp_path / "run" / "text_encoder")
    with torch.no_grad():
        context = text_encoder(tokenize(tokenizer, ["a person and a cat"])).last_hidden_state
        output = unet(torch.zeros(1, 12, 16, 16), 500, context).sample
    assert output.shape == (1, 12, 16, 16)
    assert output.isfinite().all()
    assert (tmp_path / "run" / "scheduler" / "scheduler_config.json").exists()


def test_a_state_of_another_size_is_refused(bank, tmp_path):
    train_base(bank, tmp_path / "run", num_steps=1)
    with pytest.raises(ValueError, match=r"is of another unet: .*Choose another folder"):
        train_base(bank, tmp_path / "run", channels=(16, 16, 16), attention=(False, True, False))


def test_the_shipped_autoencoder_has_the_size_that_training_builds():
    with torch.device("meta"):
        config = AutoencoderKL.load_config(SHIPPED / "vae")
        shipped = AutoencoderKL.from_config(config).state_dict()
    built = autoencoder.make_autoencoder().state_dict()
    assert {k: v.shape for k, v in built.items()} == {k: v.shape for k, v in shipped.items()}
