"""The detector, the metrics and the run that puts them together."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gligen.evaluation import __main__ as command
from gligen.evaluation.detector import THRESHOLD, Detection, best_fit, detect, detect_all
from gligen.evaluation.layouts import held_out_layouts, mirrored
from gligen.evaluation.metrics import (
    Finding,
    average_precision,
    intersection_over_union,
    summarise,
)
from gligen.evaluation.options import Options
from gligen.evaluation.run import (
    draw_grid,
    evaluate,
    fingerprint,
    generate_batch,
    load_progress,
    make_report,
)
from gligen.layout import Layout
from gligen.training.bank import CHUNK, HELD_OUT_SEED
from gligen.world import IMAGE_SIZE, Scene, SceneObject, draw_scene, sample_scene

# --- detector ------------------------------------------------------------------------------------


def drawn(*objects, background="sky", seed=0):
    scene = Scene(background, tuple(SceneObject(name, box) for name, box in objects))
    return draw_scene(scene, np.random.default_rng(seed))


DOG = ("dog", (0.125, 0.25, 0.625, 0.625))
SUN = ("sun", (0.625, 0.03125, 0.96875, 0.375))


def test_a_drawn_object_is_found_in_its_box():
    found = detect(drawn(DOG, SUN), "dog")
    assert isinstance(found, Detection)
    assert found.name == "dog"
    assert intersection_over_union(found.box, DOG[1]) > 0.8
    assert 0.5 < found.score <= 1


def test_the_detection_follows_the_object():
    moved = ("dog", (0.375, 0.5, 0.875, 0.875))
    first, second = detect(drawn(DOG), "dog"), detect(drawn(moved), "dog")
    shift = np.subtract(second.box, first.box)
    assert shift == pytest.approx([0.25] * 4, abs=0.05)


def test_size_is_measured():
    boxes = [(0.2, 0.2, 0.2 + side, 0.2 + side) for side in (0.3, 0.5, 0.7)]
    for box in boxes:
        found = detect(drawn(("donut", box)), "donut")
        assert intersection_over_union(found.box, box) > 0.75


def test_absent_objects_and_empty_pictures_have_none():
    picture = drawn(DOG, SUN)
    for name in ("rocket", "banana", "donut", "house"):
        assert detect(picture, name) is None
    flat = np.full((64, 64, 3), 128, np.uint8)
    assert detect_all(flat) == []
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert detect_all(noise) == []


def test_all_objects_of_a_scene_come_first_in_order_of_score():
    found = detect_all(drawn(DOG, SUN))
    assert {d.name for d in found[:2]} == {"dog", "sun"}
    scores = [d.score for d in found]
    assert scores == sorted(scores, reverse=True)


def test_the_score_is_one_for_the_model_s_own_picture_and_falls_with_blur():
    sharp = drawn(DOG, background="plain white")
    soft = np.asarray(Image.fromarray(sharp).resize((16, 16)).resize((64, 64)))
    scores = [best_fit(picture, "dog").score for picture in (sharp, soft)]
    assert scores[0] > 0.85
    assert scores[1] < scores[0] - 0.1


def test_another_colour_is_another_thing():
    picture = drawn(("apple", (0.3, 0.3, 0.7, 0.7)), background="plain white")
    assert detect(picture, "apple").score > 0.7
    assert detect(picture[..., ::-1].copy(), "apple") is None, "a blue apple"


def test_a_much_darker_thing_does_not_count():
    bright = drawn(DOG, background="plain white")
    dark = (bright * 0.35).astype(np.uint8)
    assert best_fit(dark, "dog").score < best_fit(bright, "dog").score - 0.5


def test_real_scenes_are_told_from_absent_names():
    """A small cut of the calibration: 1,000 scenes gave 99.9 % and 2.9 %."""
    rng = np.random.default_rng(5)
    present, absent = [], []
    for _ in range(30):
        scene = sample_scene(rng)
        picture = draw_scene(scene, rng)
        names = {item.name for item in scene.objects}
        for item in scene.objects:
            found = best_fit(picture, item.name)
            is_there = intersection_over_union(found.box, item.box) >= 0.5
            present.append(is_there and found.score >= THRESHOLD)
        stranger = next(n for n in ("frog", "house", "tree", "comet", "banana") if n not in names)
        absent.append(best_fit(picture, stranger).score >= THRESHOLD)
    assert np.mean(present) >= 0.97
    assert np.mean(absent) <= 0.1


def test_the_detector_refuses_other_pictures_and_names():
    with pytest.raises(ValueError, match="no sprite 'unicorn'"):
        detect(np.zeros((64, 64, 3), np.uint8), "unicorn")


# --- layouts -------------------------------------------------------------------------------------


def test_held_out_layouts_are_fixed_and_not_among_the_training_seeds():
    assert held_out_layouts(12)[:5] == held_out_layouts(5)
    assert HELD_OUT_SEED > 100 * 1_000_000 / CHUNK
    layouts = held_out_layouts(60)
    assert {len(item.layout) for item in layouts} == {1, 2, 3, 4}
    assert len({item.layout for item in layouts}) == 60
    assert len({item.seed for item in layouts}) == 60


def test_captions_and_phrases_name_the_objects_and_no_place():
    for item in held_out_layouts(60):
        assert len(item.names) == len(item.layout)
        for name, region, thing in zip(item.names, item.layout, item.scene.objects, strict=True):
            assert name in item.caption
            assert region.phrase in {f"a {name}", f"an {name}"}
            assert region.box == thing.box
        words = set(item.caption.replace(",", " ").split())
        assert not words & {"left", "right", "top", "bottom", "middle"}


def test_mirrored_boxes():
    layout = Layout.from_lists(["a dog", "a sun"], [(0.0, 0.25, 0.5, 0.5), (0.75, 0.0, 1.0, 0.125)])
    assert mirrored(layout).boxes == ((0.5, 0.5, 1.0, 0.75), (0.0, 0.875, 0.25, 1.0))
    assert mirrored(layout).phrases == layout.phrases
    assert mirrored(mirrored(layout)) == layout


# --- metrics -------------------------------------------------------------------------------------

ASKED = (0.0, 0.0, 0.5, 0.5)
MISSED = (0.5, 0.5, 1.0, 1.0)
HALF = (0.0, 0.0, 0.5, 0.25)  # half the box: overlap 0.5


def finding(found=ASKED, score=0.9, name="dog", layout=0):
    return Finding(layout, name, ASKED, found, score)


def test_overlap():
    assert intersection_over_union(ASKED, ASKED) == 1
    assert intersection_over_union(ASKED, MISSED) == 0
    assert intersection_over_union(ASKED, HALF) == 0.5
    assert intersection_over_union((0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)) == pytest.approx(
        1 / 7
    )


def test_an_object_counts_only_if_recognised_and_in_its_box():
    summary = summarise(
        [
            finding(),
            finding(HALF),
            finding(MISSED),
            finding(score=THRESHOLD - 0.01),
        ]
    )
    assert summary.num_objects == 4
    assert summary.recognised == 0.75
    assert summary.placed == 0.5
    assert summary.mean_iou == (1 + 0.5) / 4


def test_average_precision_rewards_the_right_ranking():
    assert average_precision([finding()] * 3) == 1
    assert average_precision([finding(MISSED)] * 3) == 0
    # Hit, miss: precision 1 up to recall 0.5, never more. 51 of 101 recalls.
    hit_first = [finding(score=0.9), finding(MISSED, score=0.4)]
    assert average_precision(hit_first) == pytest.approx(51 / 101)
    miss_first = [finding(score=0.4), finding(MISSED, score=0.9)]
    assert average_precision(miss_first) == pytest.approx(0.5 * 51 / 101)


def test_ap50_is_the_mean_over_classes():
    findings = [finding(name="dog")] * 9 + [finding(MISSED, name="sun")]
    assert summarise(findings).ap50 == 0.5
    with pytest.raises(ValueError, match="nothing to summarise"):
        summarise([])


# --- the run -------------------------------------------------------------------------------------


class Obedient:
    """Stands in for a pipeline: draws the sprites in the boxes, or anywhere without grounding."""

    model_name = "obedient"

    def __init__(self, fail_after=None, size=IMAGE_SIZE):
        self.unet = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(self.unet.weight, 0.5)
        torch.nn.init.zeros_(self.unet.bias)
        self.fail_after, self.size, self.calls = fail_after, size, []

    def __call__(self, prompts, *, layout, gligen_scheduled_sampling_beta, generator, **options):
        if self.fail_after is not None and len(self.calls) == self.fail_after:
            raise KeyboardInterrupt
        self.calls.append(options | {"tau": gligen_scheduled_sampling_beta, "prompts": prompts})
        images = [
            self.draw(regions, source.initial_seed(), gligen_scheduled_sampling_beta > 0)
            for regions, source in zip(layout, generator, strict=True)
        ]
        return SimpleNamespace(images=images)

    def draw(self, layout, seed, is_grounded):
        rng = np.random.default_rng(seed)
        objects = []
        for region in layout:
            width, height = region.box[2] - region.box[0], region.box[3] - region.box[1]
            corner = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
            free = (*corner, corner[0] + width, corner[1] + height)
            name = region.phrase.split(" ", 1)[1]
            objects.append(SceneObject(name, region.box if is_grounded else free))
        return Image.fromarray(draw_scene(Scene("field", tuple(objects)), rng, self.size))


SMALL = Options(num_layouts=10, steps=7, batch_size=4, sampler="ddim", guidance_scale=3.0, tau=0.4)


def test_the_run_tells_grounding_from_none_and_follows_the_boxes_given():
    pipeline = Obedient()
    progress = evaluate(pipeline, SMALL)
    report = make_report(progress, SMALL, "obedient")
    placed = {mode: figures["placed"] for mode, figures in report["modes"].items()}
    assert placed["on"] >= 0.95
    assert placed["mirrored"] >= 0.95
    assert placed["off"] <= 0.5
    assert report["modes"]["off"]["recognised"] > 0.7, "there, but elsewhere"
    assert [call["tau"] for call in pipeline.calls] == [0.4] * 3 + [0.0] * 3 + [0.4] * 3
    first = pipeline.calls[0]
    assert first["num_inference_steps"] == 7
    assert first["sampler"] == "ddim"
    assert first["guidance_scale"] == 3.0
    assert first["prompts"] == [item.caption for item in held_out_layouts(4)]


def test_a_real_pipeline_makes_the_pictures_with_its_layouts_and_seeds(pipeline):
    batch = held_out_layouts(3)
    options = Options(num_layouts=3, steps=2, batch_size=3, tau=1.0)
    on, again, off = (
        generate_batch(pipeline, batch, mode, options) for mode in ("on", "on", "off")
    )
    assert [picture.shape for picture in on] == [(64, 64, 3)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(on, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(on, off, strict=True))


def test_a_model_that_ignores_mirroring_is_found_out():
    class Stubborn(Obedient):
        def __call__(self, prompts, *, layout, **options):
            original = [item.layout for item in held_out_layouts(10) if item.caption in prompts]
            return super().__call__(prompts, layout=original, **options)

    report = make_report(evaluate(Stubborn(), SMALL), SMALL, "stubborn")
    assert report["modes"]["on"]["placed"] >= 0.95
    assert report["modes"]["mirrored"]["placed"] <= 0.4


def test_the_report_adds_up():
    report = make_report(evaluate(Obedient(), SMALL), SMALL, "obedient")
    assert json.loads(json.dumps(report)) == report
    figures = report["modes"]["on"]
    assert figures["num_objects"] == sum(len(item.layout) for item in held_out_layouts(10))
    assert sum(c["num_objects"] for c in figures["classes"].values()) == figures["num_objects"]
    assert (
        sum(c["num_objects"] for c in figures["by_num_objects"].values())
        == (figures["num_objects"])
    )
    table = command.format_report(report)
    assert "obedient: 10 layouts" in table
    assert f"{figures['placed']:.1%}" in table


def test_a_run_that_was_cut_short_continues_where_it_stopped(tmp_path):
    state = tmp_path / "state.npz"
    whole = evaluate(Obedient(), SMALL)
    with pytest.raises(KeyboardInterrupt):
        evaluate(Obedient(fail_after=4), SMALL, state)
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]
    pipeline, counted = Obedient(), []
    continued = evaluate(pipeline, SMALL, state, lambda _, count: counted.append(count))
    assert len(pipeline.calls) == 5, "four of nine batches were done"
    assert continued.findings == whole.findings
    assert sum(counted) == 30
    for mode in SMALL.modes:
        assert np.array_equal(continued.shown[mode], whole.shown[mode])


def test_a_state_of_other_options_or_weights_is_refused(tmp_path):
    state = tmp_path / "state.npz"
    options = Options(num_layouts=1, modes=("on",))
    evaluate(Obedient(), options, state)
    with pytest.raises(ValueError, match=r"other settings .* delete it"):
        evaluate(Obedient(), Options(num_layouts=1, modes=("on",), tau=0.5), state)
    other = Obedient()
    torch.nn.init.constant_(other.unet.weight, 0.6)
    assert fingerprint(other.unet) != fingerprint(Obedient().unet)
    with pytest.raises(ValueError, match="other settings"):
        evaluate(other, options, state)
    state.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ValueError, match=r"cannot be read .* delete it"):
        load_progress(state, {})


def test_pictures_of_other_sizes_are_judged_too():
    options = Options(num_layouts=4, modes=("on",))
    progress = evaluate(Obedient(size=256), options)
    assert summarise(progress.findings["on"]).placed >= 0.8


def test_the_grid_shows_every_mode():
    options = Options(num_layouts=3, modes=("on", "off"))
    grid = np.asarray(draw_grid(evaluate(Obedient(), options), options))
    assert grid.shape[1] == 8 + 4 * 200
    assert (grid[8:200, 8:200] != grid[8:200, 208:400]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layouts": 0}, "num_layouts is 0; it must be 1 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"tau": 0.0}, "tau is 0"),
        ({"modes": ("on", "up")}, "modes are on, off, mirrored"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Options(**options)


def test_the_command_writes_report_and_grid_and_removes_its_state(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("gligen.loading.load_pipeline", lambda *_, **__: Obedient())
    out = tmp_path / "deep" / "report.json"
    words = ["--num-layouts", "3", "--batch", "2", "--modes", "on", "--out", str(out)]
    assert command.run(command.build_parser().parse_args(words)) == 0
    assert json.loads(out.read_text())["modes"]["on"]["placed"] > 0.8
    assert Image.open(out.with_suffix(".png")).width > 400
    assert sorted(path.suffix for path in out.parent.iterdir()) == [".json", ".png"]
    assert "Written to" in capsys.readouterr().out


def test_the_command_answers_bad_values_with_a_sentence_and_code_2(capsys):
    args = command.build_parser().parse_args(["--steps", "0"])
    assert command.run(args) == 2
    assert capsys.readouterr().err.strip() == "steps is 0; it must be 1 or more."
