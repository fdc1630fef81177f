"""Training: the bank, the starts of the models, and stage 2 on a tiny base, resumed bit for bit."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from gligen.attention import GatedSelfAttention, Grounding
from gligen.checkpoints import read_adapter, save_adapter
from gligen.tokenizers import BoxGrounding
from gligen.training import bank as banks
from gligen.training import grounding
from gligen.training.aiming import _cell_centres, _set_heads
from gligen.training.autoencoder import (
    LATENT_CHANNELS,
    NUM_VALIDATION,
    make_autoencoder,
    psnr,
    to_pixels,
)
from gligen.training.base import make_scheduler
from gligen.training.grounding import check_frozen, loss_of, paired_loss, train
from gligen.training.runs import TrainingRun
from gligen.training.scene_batches import (
    OPEN_SET_NAMES,
    GroundingRecipe,
    SceneBatches,
    Vocabulary,
    encode,
    grounded_names,
    mirrored,
)
from gligen.training.starting import start_on, widen_first_convolution
from gligen.training.text import EXTRA_WORDS, MAX_TOKENS, make_tokenizer, save_text
from gligen.unet import add_grounding, is_grounding_key, predict
from gligen.world import ALL_SPRITE_NAMES, SPRITE_NAMES
from tests.conftest import open_gates

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


def tiny_unet() -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer):
    """The folder of an untrained base, as stage 1 writes it."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(1)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    save_text(folder, tokenizer, text_encoder)
    tiny_unet().save_pretrained(folder / "unet")
    make_scheduler().save_pretrained(folder / "scheduler")
    return folder


@pytest.fixture(scope="module")
def text_encoder(base):
    return CLIPTextModel.from_pretrained(base / "text_encoder").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vocabulary(tokenizer, text_encoder):
    return Vocabulary(tokenizer, text_encoder)


def recipe(**changes) -> GroundingRecipe:
    return GroundingRecipe(**{"num_steps": 3, "batch_size": 4, **changes})


def some_grounding(vocabulary, batch_size=2) -> BoxGrounding:
    boxes, masks = torch.zeros(batch_size, 30, 4), torch.zeros(batch_size, 30)
    features = torch.zeros(batch_size, 30, WIDTH)
    boxes[:, 0], boxes[:, 1] = torch.tensor([0.1, 0.2, 0.5, 0.6]), torch.tensor([0.6, 0.5, 1, 0.9])
    masks[:, :2] = 1
    features[:, 0], features[:, 1] = vocabulary.feature("dog"), vocabulary.feature("a sun")
    return BoxGrounding(boxes, masks, features)


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
    unet = tiny_unet().eval()
    plain = run_unet(unet)
    widen_first_convolution(unet)
    assert unet.config.in_channels == 9
    assert torch.equal(run_unet(unet, extra=torch.zeros(2, 5, SIDE, SIDE)), plain)
    noise = torch.randn(2, 5, SIDE, SIDE)
    torch.testing.assert_close(run_unet(unet, extra=noise), plain, rtol=0, atol=1e-6)


@pytest.fixture
def started(bank, vocabulary, tokenizer, text_encoder):
    """A tiny UNet whose new layers are set to where training starts, the batch, and the fits."""
    unet = add_grounding(tiny_unet().eval())
    batch = SceneBatches(bank, vocabulary, recipe(), "cpu").validation(64)
    fits = start_on(unet, make_scheduler(), tokenizer, text_encoder, batch)
    return unet, batch, fits


def test_started_layers_leave_the_base_as_it_is_behind_open_gates(started, vocabulary):
    unet, _, _ = started
    plain = run_unet(tiny_unet().eval())
    tokens = unet.position_net.tokens(some_grounding(vocabulary)).detach()
    torch.testing.assert_close(run_unet(unet, tokens), plain, rtol=0, atol=1e-6)

    fusers = [m for m in unet.modules() if isinstance(m, GatedSelfAttention)]
    assert fusers
    assert all(fuser.alpha_attn == 1 == fuser.alpha_dense for fuser in fusers)
    for fuser in fusers:  # the first step of training opens the outputs; the gates let it through
        torch.nn.init.normal_(fuser.attn.to_out[0].weight)
    assert not torch.allclose(run_unet(unet, tokens), plain, atol=1e-3)


def test_started_tokens_tell_regions_apart(started):
    unet, batch, fits = started
    tokens = unet.position_net.tokens(batch.grounding)[batch.grounding.masks > 0]
    torch.testing.assert_close(tokens.mean(0), torch.zeros(WIDTH), rtol=0, atol=1e-3)
    torch.testing.assert_close(tokens.std(0), torch.ones(WIDTH), rtol=0, atol=1e-2)
    assert all(boxes > 0.2 for _, boxes in fits.values()), fits
    usual = add_grounding(tiny_unet()).position_net.tokens(batch.grounding)
    assert usual[batch.grounding.masks > 0].std(0).mean() < 0.3


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


def test_mirroring_twice_returns_the_boxes(vocabulary):
    regions = some_grounding(vocabulary)
    once = mirrored(regions)
    torch.testing.assert_close(once.boxes[0, 0], torch.tensor([0.5, 0.4, 0.9, 0.8]))
    torch.testing.assert_close(mirrored(once).boxes, regions.boxes)


def test_right_wrong_mirrored_and_null_regions_are_alike_at_the_start(
    started, tokenizer, text_encoder
):
    unet, batch, _ = started
    context = encode(tokenizer, text_encoder, batch.captions)
    losses = paired_loss(unet, make_scheduler(), context, batch)
    assert set(losses) == {"right", "mirrored", "wrong", "null"}
    assert len(set(losses.values())) == 1
    for fuser in (m for m in unet.modules() if isinstance(m, GatedSelfAttention)):
        torch.nn.init.normal_(fuser.attn.to_out[0].weight)
    assert len(set(paired_loss(unet, make_scheduler(), context, batch).values())) == 4


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["generation_text_box", "inpainting_text_box"])
def test_a_step_always_gives_the_same_batch_and_never_a_validation_picture(bank, vocabulary, kind):
    batches = SceneBatches(bank, vocabulary, recipe(kind=kind, batch_size=64), "cpu")
    one, again, other = batches.training(3), batches.training(3), batches.training(4)
    assert one.captions == again.captions != other.captions
    assert torch.equal(one.grounding.boxes, again.grounding.boxes)
    assert torch.equal(one.clean, again.clean)
    held_out = batches.latents[-NUM_VALIDATION:].astype(np.float32)
    for latents in one.clean.numpy():
        assert not (held_out == latents).all(axis=(1, 2, 3)).any()
    if kind == "generation_text_box":
        assert one.mask is None
    else:
        assert one.mask.shape == (64, 1, SIDE, SIDE)
        assert set(one.mask.unique().tolist()) == {0, 1}


# --- names held out ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_bank(tmp_path_factory):
    """A bank of the larger world, with random latents."""
    folder = tmp_path_factory.mktemp("large")
    banks.build_bank(folder, banks.CHUNK, workers=1, world=banks.LARGE_WORLD)
    latents = np.random.default_rng(0).standard_normal((banks.CHUNK, 4, SIDE, SIDE))
    np.save(folder / "latents.npy", latents.astype(np.float16))
    return folder


def test_a_bank_of_the_larger_world_reads_back_with_its_persons_and_its_world(large_bank):
    scenes = banks.load_scenes(large_bank)
    assert scenes == banks.draw_chunk(0, banks.LARGE_WORLD)[1]
    assert any(scene.persons for scene in scenes)
    assert banks.load_world(large_bank) == banks.LARGE_WORLD


def test_the_grounded_world_is_the_large_one_without_its_open_set():
    options = recipe(held_out=OPEN_SET_NAMES)
    grounded = grounded_names(banks.WORLDS["grounded"], recipe())
    assert grounded == grounded_names(banks.WORLDS["large"], options)
    assert banks.WORLDS["first"] == banks.FIRST_WORLD == banks.World()


def test_a_bank_that_names_no_world_is_of_the_first(bank, tmp_path):
    (tmp_path / "scenes.json").write_bytes((bank / "scenes.json").read_bytes())
    assert banks.load_world(tmp_path) == banks.FIRST_WORLD


@pytest.mark.parametrize("kind", ["generation_text_box", "inpainting_text_box"])
def test_held_out_names_are_never_seen_in_grounded_training(
    large_bank, tokenizer, text_encoder, kind
):
    options = recipe(kind=kind, batch_size=64, caption_dropout=0.0, held_out=OPEN_SET_NAMES)
    names = grounded_names(banks.LARGE_WORLD, options)
    assert names == (*SPRITE_NAMES, "person")
    vocabulary = Vocabulary(tokenizer, text_encoder, names)
    batches = SceneBatches(large_bank, vocabulary, options, "cpu")
    captions = [c for step in range(4) for c in batches.training(step).captions]
    captions += batches.validation().captions
    assert any("person" in caption for caption in captions)
    for name in OPEN_SET_NAMES:
        assert not any(name in caption for caption in captions)
    everything = SceneBatches(
        large_bank,
        Vocabulary(tokenizer, text_encoder, (*ALL_SPRITE_NAMES, "person")),
        recipe(batch_size=64, caption_dropout=0.0),
        "cpu",
    )
    assert any(OPEN_SET_NAMES[0] in caption for caption in everything.validation().captions)


def test_persons_are_regions_too(large_bank, tokenizer, text_encoder):
    names = (*ALL_SPRITE_NAMES, "person")
    vocabulary = Vocabulary(tokenizer, text_encoder, names)
    batches = SceneBatches(large_bank, vocabulary, recipe(), "cpu")
    grounding = batches.validation(32).grounding
    features = {vocabulary.feature(phrase) for phrase in ("person", "a person")}
    for row, scene in enumerate(batches.scenes[-32:]):
        assert grounding.masks[row].sum() == len(scene.objects) + len(scene.persons)
        for slot, person in enumerate(scene.persons, len(scene.objects)):
            box = torch.tensor(person.box)
            torch.testing.assert_close(grounding.boxes[row, slot], box)
            assert any(torch.equal(grounding.phrase_features[row, slot], f) for f in features)


def test_a_held_out_name_that_reaches_a_region_ends_the_run(large_bank, tokenizer, text_encoder):
    names = grounded_names(banks.LARGE_WORLD, recipe(held_out=OPEN_SET_NAMES))
    vocabulary = Vocabulary(tokenizer, text_encoder, names)
    leaking = SceneBatches(large_bank, vocabulary, recipe(batch_size=64), "cpu")
    with pytest.raises(ValueError, match=r"met the phrase .* does not hold"):
        leaking.training(0)


def test_only_names_of_the_bank_can_be_held_out():
    with pytest.raises(ValueError, match=r"'whale' cannot be held out.*dog, panda"):
        grounded_names(banks.FIRST_WORLD, recipe(held_out=("whale",)))


def test_a_bank_without_a_scene_to_train_on_is_an_error(bank, vocabulary):
    with pytest.raises(ValueError, match=r"No scene of .* is left"):
        SceneBatches(bank, vocabulary, recipe(held_out=SPRITE_NAMES), "cpu")


# --- stage 2 -------------------------------------------------------------------------------------


class PowerCutError(Exception):
    """Ends a run in the middle."""


class FragileRun(TrainingRun):
    """A run that saves after every step and breaks off after the second."""

    def save(self, state):
        super().save(state)
        if state["step"] == 2:
            raise PowerCutError


def train_tiny(bank, base, folder, start=None, run=TrainingRun, **changes):
    train(bank, base, run(folder, 0), recipe(**changes), start, "cpu")
    return folder / "adapter.safetensors"


@pytest.fixture(scope="module")
def adapter(bank, base, tmp_path_factory):
    """An adapter of four steps in one go."""
    return train_tiny(bank, base, tmp_path_factory.mktemp("run"), num_steps=4)


def test_training_writes_an_adapter_of_the_new_layers_alone(adapter):
    read = read_adapter(adapter)
    unet = add_grounding(tiny_unet())
    assert read.kind == "generation_text_box"
    assert set(read.state) == {key for key in unet.state_dict() if is_grounding_key(key)}
    assert all(value.isfinite().all() for value in read.state.values())


def test_a_base_that_moves_while_training_ends_the_run(bank, base, tmp_path, monkeypatch):
    def moving_loss(unet, *rest):
        with torch.no_grad():
            unet.conv_out.bias += 1e-3
        return loss_of(unet, *rest)

    monkeypatch.setattr(grounding, "loss_of", moving_loss)
    with pytest.raises(RuntimeError, match="belongs to the frozen base"):
        train_tiny(bank, base, tmp_path)


def test_a_resumed_run_ends_bit_for_bit_where_an_unbroken_one_does(adapter, bank, base, tmp_path):
    with pytest.raises(PowerCutError):
        train_tiny(bank, base, tmp_path, run=FragileRun, num_steps=4)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    resumed = read_adapter(train_tiny(bank, base, tmp_path, num_steps=4)).state
    unbroken = read_adapter(adapter).state
    assert set(resumed) == set(unbroken)
    for key, value in unbroken.items():
        assert torch.equal(resumed[key], value), key


def test_inpainting_continues_from_an_adapter_and_stores_its_first_convolution(
    bank, base, tmp_path
):
    start = tmp_path / "start.safetensors"
    save_adapter(start, open_gates(add_grounding(tiny_unet())), "generation_text_box")
    options = {"kind": "inpainting_text_box", "start": start}
    read = read_adapter(train_tiny(bank, base, tmp_path / "run", **options))
    assert read.kind == "inpainting_text_box"
    assert read.state["conv_in.weight"].shape[1] == 9
    assert read.state["conv_in.weight"][:, 4:].any(), "the new channels are read"
    moved = [(read.state[k] - value).abs().max() for k, value in read_adapter(start).state.items()]
    assert max(moved) < 1e-3, "three steps of warm-up stay near the start"


def test_a_moved_base_and_an_untrained_layer_are_both_errors():
    unet = add_grounding(tiny_unet()).requires_grad_(False)
    before = {name: p.clone() for name, p in unet.named_parameters()}
    trained = {name for name in before if is_grounding_key(name)}
    for name, parameter in unet.named_parameters():
        if name in trained:
            parameter += 1
    check_frozen(before, unet, trained)
    unet.conv_out.bias[0] += 1e-3
    with pytest.raises(RuntimeError, match=r"conv_out\.bias belongs to the frozen base"):
        check_frozen(before, unet, trained)
    unet.conv_out.bias.copy_(before["conv_out.bias"])
    null = "position_net.null_positive_feature"
    unet.position_net.null_positive_feature.copy_(before[null])
    with pytest.raises(RuntimeError, match=f"{null} was to be trained"):
        check_frozen(before, unet, trained)
