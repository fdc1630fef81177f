"""The trainer: only new layers move, and nothing depends on how often a run was cut."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gligen.kinds import KINDS
from gligen.loading import load_pipeline
from gligen.request import Request
from gligen.training import adapter
from gligen.training.adapter import learning_rate, train_adapter
from gligen.training.examples import Draws, Shares, drop_halves
from gligen.training.objective import GroundedLoss, encode_draws
from gligen.training.preparing import check_frozen, fingerprints, prepare_model
from gligen.training.settings import STARTS, TrainingSettings, read_settings
from tests.conftest import small_unet
from tests.test_grounding import layout_for, picture
from tests.training_examples import RandomExamples, save_plain_base, save_reading_parts


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = save_plain_base(tmp_path_factory.mktemp("base"))
    # For the kinds that read pictures; a plain Stable Diffusion is none the worse for them.
    return save_reading_parts(folder)


def settings_for(base, output, kind="generation_text_box", **changes) -> TrainingSettings:
    usual = {
        "num_steps": 4,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "num_workers": 0,
        "sample_every_steps": 0,
        "watch_every_steps": 6,
        "backbone_widths": [4, 4, 8, 8],
        "backbone_depths": [1, 1, 1, 1],
    }
    return TrainingSettings(str(output), "random", kind, str(base), **usual | changes)


def train(settings, source=None):
    source = source or RandomExamples(settings.kind)
    return train_adapter(settings, lambda *_: source, device="cpu")


def test_the_names_of_its_labels_stay_with_a_model_of_semantic_maps(base, tmp_path):
    for kind, names in (("semantic", ("background", "thing")), ("hed", ())):
        path = train(settings_for(base, tmp_path / kind, kind, num_steps=1))
        assert load_pipeline(path, base=base, device="cpu").label_names == names


@pytest.mark.parametrize(
    "kind",
    [
        "generation_text_box",
        "inpainting_text_box",
        "generation_text_image_box",
        "keypoint",
        "hed",
    ],
)
def test_an_adapter_comes_out_and_changes_pictures(base, tmp_path, kind):
    settings = settings_for(base, tmp_path, kind)
    path = train(settings)
    pipeline = load_pipeline(path, kind, base)
    assert pipeline.kind == kind
    picture_given = {"inpaint_image": picture(9, (64, 64))} if "inpainting" in kind else {}
    request = Request("a dog", layout_for(kind), num_inference_steps=2, seed=1, **picture_given)
    grounded = pipeline.generate(replace(request, gate_schedule=1.0)).images[0]
    plain = pipeline.generate(replace(request, gate_schedule=0.0)).images[0]
    assert grounded != plain


@pytest.mark.parametrize("kind", KINDS)
def test_only_new_layers_move(base, tmp_path, kind):
    settings = settings_for(base, tmp_path, kind)
    model = prepare_model(settings, torch.device("cpu"))
    before = {name: p.clone() for name, p in model.unet.named_parameters()}
    source = RandomExamples(kind)
    draws = Draws(source, replace(settings, grounding_dropout=0.0), 4)
    objective = GroundedLoss(model.unet, model.scheduler.alphas_cumprod, "epsilon")
    # With gates shut most new layers have no gradient; open them to see that all are reached.
    with torch.no_grad():
        for name, parameter in model.unet.named_parameters():
            if "alpha_" in name or "gamma" in name:
                parameter.fill_(0.5)
            if name == "conv_in.weight":
                parameter[:, 4:] = 0.1
    optimizer = torch.optim.SGD([p for p in model.unet.parameters() if p.requires_grad], lr=0.1)
    objective(encode_draws(model._components, [draws[i] for i in range(4)])).mean().backward()
    optimizer.step()
    frozen = [name for name, p in model.unet.named_parameters() if not p.requires_grad]
    new = [name for name, p in model.unet.named_parameters() if p.requires_grad]
    assert all(torch.equal(before[name], model.unet.get_parameter(name)) for name in frozen)
    still = [name for name in new if torch.equal(before[name], model.unet.get_parameter(name))]
    unused = ("null_", "base_", "person_embeddings") if kind == "keypoint" else ("null_",)
    assert not [name for name in still if not any(word in name for word in unused)]
    assert any("fuser" in name for name in new)
    assert not any("fuser" in name or "position_net" in name for name in frozen)
    is_trained = "conv_in.weight" in new
    assert is_trained == (kind.startswith("inpainting") or kind in KINDS[5:])


def test_a_frozen_parameter_that_moves_is_noticed(base, tmp_path):
    model = prepare_model(settings_for(base, tmp_path), torch.device("cpu"))
    before = fingerprints(model.unet, frozen=True)
    check_frozen(before, model.unet)
    model.unet.conv_out.bias.data[0] += 1e-7
    with pytest.raises(RuntimeError, match=r"conv_out.bias belongs to the frozen base"):
        check_frozen(before, model.unet)


def test_before_the_first_step_the_model_is_the_base(base, tmp_path):
    model = prepare_model(settings_for(base, tmp_path), torch.device("cpu"))
    request = Request("a dog", layout_for("generation_text_box"), num_inference_steps=2, seed=1)
    grounded = model.generate(replace(request, gate_schedule=1.0)).images[0]
    assert grounded == model.generate(replace(request, gate_schedule=0.0)).images[0]


class CutError(RuntimeError):
    """The power fails."""


class CutExamples(RandomExamples):
    """Examples that end in the middle of a run."""

    def __init__(self, kind, after):
        super().__init__(kind)
        self.left = after

    def example(self, index, rng):
        self.left -= 1
        if self.left < 0:
            raise CutError
        return super().example(index, rng)


@pytest.mark.parametrize(
    ("after", "optimizer"),
    [(5, "adamw"), pytest.param(11, "muon", marks=pytest.mark.slow), (17, "adamw")],
)
def test_a_run_that_was_cut_ends_like_one_that_was_not(base, tmp_path, after, optimizer):
    changes = {"num_steps": 6, "save_every_seconds": 0.0, "optimizer": optimizer}
    whole = settings_for(base, tmp_path / "whole", **changes)
    cut = replace(whole, output=str(tmp_path / "cut"))
    expected = load_file(train(whole))
    with pytest.raises(CutError):
        train(cut, CutExamples(cut.kind, after))
    found = load_file(train(cut))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "cut")]
    figures = [[json.loads(line) for line in log.splitlines()] for log in logs]
    assert {"loss", "right", "wrong", "null", "mirrored"} <= set(figures[0][-1])
    for name in ("loss", "right", "wrong"):
        assert [line[name] for line in figures[0]] == [line[name] for line in figures[1]]


def test_accumulation_changes_nothing_but_roundings(base, tmp_path):
    whole = settings_for(base, tmp_path / "whole", num_steps=3)
    parts = replace(whole, output=str(tmp_path / "parts"), accumulation=2)
    expected, found = load_file(train(whole)), load_file(train(parts))
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-3, atol=1e-4)


def test_a_folder_of_another_run_is_refused(base, tmp_path):
    settings = settings_for(base, tmp_path)
    train(settings)
    with pytest.raises(ValueError, match="a run with learning_rate: 0.01.*0.5"):
        train(replace(settings, learning_rate=0.5))


@pytest.mark.parametrize("start", STARTS)
def test_starts_differ_in_gates_tokenizer_and_attention(base, tmp_path, monkeypatch, start):
    found = []
    usual = adapter.prepare_model
    monkeypatch.setattr(adapter, "prepare_model", lambda *a: found.append(usual(*a)) or found[0])
    # Cut at the first picture after the watched ones.
    source = CutExamples("generation_text_box", 3)
    fresh = usual(settings_for(base, tmp_path / "fresh"), torch.device("cpu")).unet.state_dict()
    with pytest.raises(CutError):
        train(settings_for(base, tmp_path / "run", start=start), source)
    started = found[0].unet.state_dict()
    moved = {name for name, value in started.items() if not torch.equal(value, fresh[name])}
    has_moved = {
        part: any(part in name for name in moved) for part in ("alpha_attn", "position_net", "to_q")
    }
    opened = start != "closed"
    assert has_moved == {"alpha_attn": opened, "position_net": opened, "to_q": start == "aimed"}
    assert all("fuser" in name or "position_net" in name for name in moved)


def test_samples_are_painted_with_their_boxes(base, tmp_path):
    settings = settings_for(base, tmp_path, sample_every_steps=2)
    train(settings)
    sheets = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert sheets == ["step_0000002.png", "step_0000004.png"]


def test_tensorboard_shows_what_the_log_says(base, tmp_path):
    train(settings_for(base, tmp_path, log="tensorboard", watch_every_steps=2))
    (events,) = (tmp_path / "tensorboard").rglob("events.out.tfevents.*")
    content = events.read_bytes()
    for name in (b"loss", b"right", b"learning_rate", b"data_share"):
        assert name in content


def test_tensorboard_that_is_not_there_is_said(base, tmp_path, monkeypatch):
    monkeypatch.setattr(adapter, "is_tensorboard_available", lambda: False)
    with pytest.raises(ValueError, match=r"run pip install 'gligen\[tensorboard\]', or set log"):
        train(settings_for(base, tmp_path, log="tensorboard"))


def test_the_extras_that_messages_name_exist():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert re.search(r'^tensorboard = \["tensorboard', text, re.MULTILINE)
    assert re.search(r'^train8bit = \["bitsandbytes', text, re.MULTILINE)


def test_every_number_is_drawn_once_and_alike_by_any_process():
    one = Shares(8, 1, 0, 1, 0, 3)
    two = [Shares(8, 2, process, 2, 0, 3) for process in (0, 1)]
    expected = [number for part in one for number in part]
    assert expected == list(range(24))
    assert sorted(n for share in two for part in share for n in part) == expected
    assert len(two[0]) == 6
    assert next(iter(Shares(8, 1, 0, 1, 2, 3))) == list(range(16, 24))
    with pytest.raises(ValueError, match="multiple of 6"):
        Shares(8, 3, 0, 2, 0, 1)


def test_a_draw_depends_on_its_number_alone(base, tmp_path):
    settings = settings_for(base, tmp_path)
    first, second = (Draws(RandomExamples(settings.kind), settings, 4) for _ in range(2))
    for number in (30, 3, 12):
        a, b = first[number], second[number]
        assert torch.equal(a.noise, b.noise)
        assert (a.timestep, a.example.caption, a.is_grounded) == (
            b.timestep,
            b.example.caption,
            b.is_grounded,
        )
    epoch = {first._item(number) for number in range(12)}
    assert epoch == set(range(12))
    assert [first._item(n) for n in range(12)] != [first._item(n) for n in range(12, 24)]


def test_dropout_shares(base, tmp_path):
    settings = settings_for(base, tmp_path, caption_dropout=0.3, grounding_dropout=0.2)
    draws = Draws(RandomExamples(settings.kind), settings, 4)
    drawn = [draws[number] for number in range(600)]
    assert 0.15 < sum(not draw.is_grounded for draw in drawn) / 600 < 0.25
    empty = sum(not draw.example.caption for draw in drawn) / 600
    assert abs(empty - (0.3 + 0.7 * 0.25)) < 0.08  # a quarter of the captions is empty anyway


def test_halves_of_regions_are_dropped(base, tmp_path):
    import numpy as np

    kind = "generation_text_image_box"
    settings = settings_for(base, tmp_path, kind, phrase_dropout=0.4, image_dropout=0.4)
    layout = layout_for(kind)
    rng = np.random.default_rng(0)
    dropped = [drop_halves(layout, settings, rng).regions[0] for _ in range(300)]
    images = sum(region.image is not None for region in dropped) / 300
    phrases = sum(bool(region.phrase) for region in dropped) / 300
    assert 0.5 < images < 0.7
    assert 0.5 < phrases < 0.7
    assert all(region.phrase or region.image for region in dropped)


def test_min_snr_weights():
    alphas = torch.tensor([0.99, 0.5, 0.01])
    loss = GroundedLoss(small_unet(), alphas, "epsilon", min_snr_gamma=5.0)
    assert loss._weights(alphas).tolist() == pytest.approx([5 / 99, 1, 1], rel=1e-3)
    velocity = GroundedLoss(small_unet(), alphas, "v_prediction", 5.0)
    assert velocity._weights(alphas).tolist() == pytest.approx(
        [5 / 100, 0.5, (1 / 99) / (1 + 1 / 99)], rel=1e-3
    )


def test_learning_rate(base, tmp_path):
    settings = settings_for(
        base, tmp_path, num_steps=100, warmup_steps=10, learning_rate=1.0, schedule="cosine"
    )
    assert [learning_rate(step, settings) for step in (0, 9, 10)] == pytest.approx([0.1, 1, 1])
    assert learning_rate(55, settings) == pytest.approx(0.51)
    assert learning_rate(99, settings) < 0.03
    assert learning_rate(99, replace(settings, schedule="constant")) == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: x", "lack output"),
        ("output: x\ndata: y\nlearning_rat: 1", "unknown entry 'learning_rat'"),
        ("output: x\ndata: y\nlearning_rate: fast", "learning_rate is 'fast', which is no float"),
        ("output: x\ndata: y\nnum_steps: 1.5", "num_steps is 1.5, which is no int"),
        ("output: x\ndata: y\nkind: hte", "no kind 'hte'"),
        ("output: x\ndata: y\nbatch_size: 0", "batch_size is 0"),
        ("output: x\ndata: y\ncaption_dropout: 1", "caption_dropout is 1"),
        ("output: x\ndata: y\noptimizer: sgd", "'sgd'.*adamw8bit"),
        ("output: [", "not YAML"),
        ("- 1", "must be lines"),
    ],
)
def test_bad_settings_are_refused(tmp_path, text, words):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_settings(path)


def test_settings_are_read_in_their_types(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("output: x\ndata: y\nlearning_rate: 5e-5\nmin_snr_gamma: 5\nflip: false\n")
    settings = read_settings(path, num_steps=7)
    assert settings.learning_rate == 5e-5
    assert settings.min_snr_gamma == 5.0
    assert settings.flip is False
    assert settings.num_steps == 7
    assert math.isclose(settings.ema_decay, 0.999)
    with pytest.raises(ValueError, match="cannot be read"):
        read_settings(tmp_path / "none.yaml")
