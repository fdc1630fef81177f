"""The tables on the synthetic world: planned, painted, resumed, reported."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gligen.cli import main
from gligen.evaluation import Ablation, Subject, WorldOptions, evaluate_world
from gligen.evaluation.quality import EQUAL_PSNR
from gligen.evaluation.subject import fingerprint, knows
from gligen.evaluation.tables import ablations, boxes, canny, images, inpainting, presets, tau
from gligen.evaluation.world import choose_tables, plan_series
from gligen.presets import PRESETS
from tests.conftest import small_pipeline
from tests.world_painters import Blank, Painter

NAMES = ("dog", "sun", "apple", "tree", "rocket", "cat", "whale")
TWO = NAMES[:2]  # where it does not matter what is found, for speed
KINDS = (
    "generation_text_box",
    "inpainting_text_box",
    "generation_text_image_box",
    "keypoint",
    "semantic",
    "canny",
)
FIVE = WorldOptions(num_layouts=5, batch_size=2)


def subject(painter=None, kinds=KINDS, **changes):
    painter = painter or Painter()
    return Subject("painter", dict.fromkeys(kinds, painter), **{"names": NAMES, **changes})


def evaluated(folder, options, painter=None, **changes):
    """Evaluate a painter that knows every item that it will be asked for."""
    own = subject(painter, **changes)
    tables, _ = choose_tables(own, options)
    painter = next(iter(own.pipelines.values()))
    painter.items = [item for series in plan_series(tables, own, options) for item in series.items]
    report = evaluate_world(own, folder, options)
    return report, report.to_json()["tables"]


# ---------------------------------------------------------------- what the tables say


def test_whoever_paints_the_scenes_has_the_figures_of_drawn_scenes(tmp_path):
    names = ("boxes", "open_set", "semantic")
    _, tables = evaluated(tmp_path, replace(FIVE, tables=names), knows_persons=True)
    by_series = tables["boxes"]["by_series"]
    assert by_series["boxes-on"] == by_series["boxes-drawn"]
    assert by_series["boxes-on"]["ap50"] >= 0.95
    assert by_series["boxes-on"]["top1"] >= 0.95
    assert by_series["boxes-mirrored"]["ap50"] >= 0.95
    assert by_series["boxes-off"]["ap50"] <= 0.3, "there, but elsewhere"
    unseen = tables["open_set"]["by_series"]
    assert unseen["open_set-on"]["ap50"] >= 0.95
    assert unseen["open_set-on"]["ap50_by_name"].keys() == {"cat", "whale"}
    maps = tables["semantic"]["mean_iou"]
    assert maps["semantic-on"] == maps["semantic-drawn"] >= 0.8
    assert maps["semantic-off"] <= 0.5


@pytest.mark.slow
def test_whoever_paints_nothing_has_nothing(tmp_path):
    options = WorldOptions(num_layouts=3, tables=("boxes", "keypoints", "inpainting"))
    _, tables = evaluated(tmp_path, options, Blank())
    assert tables["boxes"]["by_series"]["boxes-on"]["ap50"] <= 0.2
    assert tables["boxes"]["by_series"]["boxes-on"]["mean_iou"] == 0
    assert tables["keypoints"]["ap50"]["keypoints-on"] <= 0.1
    assert tables["inpainting"]["by_series"]["inpainting-1x-zoom4-5-10"]["outside_equal"] == 0


def test_whoever_paints_the_mirrored_scene_is_found_out(tmp_path):
    options = replace(FIVE, tables=("boxes",))
    _, tables = evaluated(tmp_path, options, Painter(mirrors=True))
    assert tables["boxes"]["by_series"]["boxes-on"]["ap50"] <= 0.3
    assert tables["boxes"]["by_series"]["boxes-drawn"]["ap50"] >= 0.95


@pytest.mark.slow
def test_holes_reference_pictures_and_persons(tmp_path):
    options = WorldOptions(num_layouts=6, tables=("inpainting", "images", "keypoints"))
    _, tables = evaluated(tmp_path, options)
    for figures in tables["inpainting"]["by_series"].values():
        assert figures["num_pictures"] == 2
        assert figures["ap50"] == pytest.approx(1)
        assert figures["top1"] == 1
        assert figures["outside_equal"] == 1
    assert tables["inpainting"]["ap50_mean"] == pytest.approx(1)
    accuracy = tables["images"]["accuracy"]
    assert accuracy["images-on"] == 1
    assert accuracy["images-off"] <= 0.5
    persons = tables["keypoints"]["ap50"]
    assert persons["keypoints-on"] == persons["keypoints-drawn"] >= 0.9
    assert persons["keypoints-off"] <= 0.2


def test_a_hole_that_is_larger_than_its_box_is_noticed(tmp_path):
    class Careless(Painter):
        def _paint(self, item, before):
            picture = super()._paint(item, before)
            picture.putpixel((0, 0), (255, 0, 255))
            return picture

    options = WorldOptions(num_layouts=3, tables=("inpainting",))
    _, tables = evaluated(tmp_path, options, Careless())
    shares = [
        f["outside_equal"] for n, f in tables["inpainting"]["by_series"].items() if "drawn" not in n
    ]
    assert max(shares) == 0


@pytest.mark.slow
def test_edges_and_tau_with_a_model_s_own_parts(tmp_path):
    options = WorldOptions(num_layouts=4, tables=("tau", "canny"))
    painter = Painter(parts=small_pipeline())
    _, tables = evaluated(tmp_path, options, painter, names=("dog", "sun", "apple", "tree"))
    rows = tables["tau"]["rows"]
    assert [row["tau"] for row in rows] == list(tau.TAUS)
    assert rows[0]["ap50"] <= 0.3
    assert min(row["ap50"] for row in rows[1:]) >= 0.9
    # What is painted is the drawn scene, whatever the tau above 0.
    assert rows[1]["distance"] == tables["tau"]["distance_of_drawn"] > 0
    edges = tables["canny"]["by_series"]
    assert edges["canny-on"]["1"]["f1"] == 1
    assert edges["canny-off"]["1"]["f1"] < edges["canny-off"]["2"]["f1"] < 0.9
    assert edges["canny-autoencoder"]["1"]["f1"] < 0.9, "a random autoencoder keeps no edges"


def test_presets_are_painted_from_the_same_noise_and_compared_with_the_exact(tmp_path):
    class Coarse(Painter):
        """Paints as well as ever, but for one preset."""

        def __call__(self, *args, preset="exact", **options):
            painted = super().__call__(*args, preset=preset, **options)
            if preset == "deepcache=5":
                painted.images = [image.rotate(180) for image in painted.images]
            return painted

    painter = Coarse(parts=small_pipeline())
    options = WorldOptions(num_layouts=3, tables=("presets",), preset="fast")
    report, tables = evaluated(tmp_path, options, painter, names=TWO)
    rows = tables["presets"]["by_preset"]
    assert list(rows) == list(PRESETS)
    assert rows["exact"]["psnr"] is rows["exact"]["similarity"] is None
    for name in ("fast", "faster", "deepcache=2", "deepcache=3"):
        assert rows[name]["boxes"] == rows["exact"]["boxes"]
        assert (rows[name]["psnr"], rows[name]["similarity"]) == (EQUAL_PSNR, pytest.approx(1))
        assert rows[name]["distance"] == rows["exact"]["distance"]
    assert rows["deepcache=5"]["boxes"]["ap50"] < 0.5 < rows["exact"]["boxes"]["ap50"]
    assert rows["deepcache=5"]["psnr"] < 30
    assert rows["deepcache=5"]["similarity"] < 0.9
    asked = {call["preset"]: call.get("sampler") for call in painter.calls}
    assert asked == {"fast": None, "faster": None} | dict.fromkeys(
        ("exact", "deepcache=2", "deepcache=3", "deepcache=5"), "plms"
    )
    assert report.facts["settings"]["steps"] == 20, "what the other tables would have"


def test_the_work_of_a_preset_is_counted_where_it_is_done():
    item = boxes.plan(subject(names=TWO), FIVE)[0].items[0]
    speeds = presets.measure_speeds(small_pipeline(), item, WorldOptions(steps=5), num_rounds=1)
    work = {name: (speed.evaluations, speed.whole_evaluations) for name, speed in speeds.items()}
    assert work == {
        "exact": (12, 12),
        "fast": (10, 10),
        "faster": (8, 8),  # three steps with both halves, two with one
        "deepcache=2": (12, 8),  # two in the first step, then at tau and two steps later
        "deepcache=3": (12, 8),
        "deepcache=5": (12, 6),
    }
    assert all(speed.seconds > 0 for speed in speeds.values())
    assert speeds["exact"].speed_up == 1


def test_ablations_are_painted_on_the_same_boxes(tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "load_subject", lambda *_: subject(other))
    other = Painter(mirrors=True)
    options = WorldOptions(
        num_layouts=3, tables=("ablations",), ablations=(Ablation("wrong way", "x", "y"),)
    )
    other.items = list(boxes.plan(subject(), options)[0].items)
    _, tables = evaluated(tmp_path, options)
    by_label = tables["ablations"]["by_label"]
    assert by_label[ablations.THIS_MODEL]["ap50"] >= 0.9
    assert by_label["wrong way"]["ap50"] <= 0.3
    assert (tmp_path / "pictures" / "ablation-wrong-way").is_dir()


def test_a_reference_shows_the_thing_turned_and_tells_nothing_else():
    item = images.with_references(boxes.plan(subject(), FIVE)[0].items[1])
    assert item.caption == ""
    assert {region.phrase for region in item.layout} == {""}
    assert item.layout.boxes == item.boxes
    first, again = (images.with_references(item).layout.regions[0].image for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_holes_have_the_areas_that_are_said():
    for low, high in inpainting.HOLE_AREAS.values():
        for index in range(20):
            item = inpainting.hole_item(index, NAMES[:5], (low, high))
            x0, y0, x1, y1 = item.boxes[-1]
            assert 0.9 * low <= (x1 - x0) * (y1 - y0) <= high + 1e-9
            assert item.layout.boxes == (item.boxes[-1],)
            assert item.names[-1] in item.caption


def test_edges_are_near_within_their_tolerance_only():
    edges = np.zeros((9, 9), bool)
    edges[4, 4] = True
    assert canny.widened(edges, 1).sum() == 9
    assert canny.widened(edges, 2).sum() == 25


# ---------------------------------------------------------------- the run


def test_pictures_are_made_with_the_options_and_each_with_its_seed(tmp_path):
    painter = Painter()
    options = WorldOptions(3, 7, "ddim", 3.0, 0.4, tables=("boxes",))
    evaluated(tmp_path, options, painter, names=TWO)
    assert len(painter.calls) == 9
    first, off = painter.calls[0], painter.calls[3]
    assert first["num_inference_steps"] == 7
    assert first["sampler"] == "ddim"
    assert first["guidance_scale"] == 3.0
    assert [c["gligen_scheduled_sampling_beta"] for c in (first, off)] == [0.4, 0.0]
    assert [call["seed"] for call in painter.calls] == [0, 1, 2] * 3


def test_without_options_the_library_s_own_are_used(tmp_path):
    painter = Painter()
    report, _ = evaluated(tmp_path, WorldOptions(1, tables=("boxes",)), painter, names=TWO)
    assert painter.calls[0].keys() == {"caption", "seed"}
    assert report.facts["settings"]["steps"] == 50
    assert report.facts["settings"]["guidance"] == 7.5
    assert report.facts["settings"]["tau"]["generation_text_box"] == 0.3


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(tmp_path):
    options = replace(FIVE, tables=("boxes",))
    whole, _ = evaluated(tmp_path / "whole", options, names=TWO)
    cut = Painter(fail_after=7)
    with pytest.raises(KeyboardInterrupt):
        evaluated(tmp_path / "cut", options, cut, names=TWO)
    assert not (tmp_path / "cut" / "report.md").exists()
    assert not list((tmp_path / "cut").rglob("*.partial"))
    goes_on = Painter()
    continued, _ = evaluated(tmp_path / "cut", options, goes_on, names=TWO)
    assert len(goes_on.calls) == 15 - 7, "five and two of fifteen were done"
    assert continued.to_json()["tables"] == whole.to_json()["tables"]


def test_more_layouts_and_tables_use_the_pictures_that_are_there(tmp_path):
    evaluated(tmp_path, WorldOptions(2, tables=("boxes",)), names=TWO)
    painter = Painter()
    evaluated(tmp_path, WorldOptions(3, batch_size=7, tables=("boxes",)), painter, names=TWO)
    assert len(painter.calls) == 3, "one more for each of on, off and mirrored"
    fewer = Painter()
    report, _ = evaluated(tmp_path, WorldOptions(1, tables=("boxes",)), fewer, names=TWO)
    assert not fewer.calls
    assert report.facts["series"]["boxes-on"]["pictures"] == 1


def test_pictures_of_other_settings_or_weights_are_refused(tmp_path):
    options = WorldOptions(1, tables=("boxes",))
    evaluated(tmp_path, options, names=TWO)
    with pytest.raises(ValueError, match=r"other settings .*None, now 0.5.* another --out"):
        evaluated(tmp_path, replace(options, tau=0.5), names=TWO)
    other = Painter()
    other.unet.weight.data.fill_(0.6)
    assert fingerprint(other.unet) != fingerprint(Painter().unet)
    with pytest.raises(ValueError, match="weights"):
        evaluated(tmp_path, options, other, names=TWO)
    for path in (tmp_path / "pictures" / "boxes-on").glob("*.npz"):
        path.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(ValueError, match=r"cannot be read .* delete the folder"):
        evaluated(tmp_path, options, names=TWO)


def test_the_report_is_there_with_its_pictures(tmp_path):
    options = WorldOptions(1, tables=("boxes", "canny"))
    report, _ = evaluated(tmp_path, options, kinds=KINDS[:1], names=TWO)
    text = (tmp_path / "report.md").read_text()
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_json()))
    assert "- **canny**: the model has no pipeline of the kind canny." in text
    for section in report.sections:
        for illustration in section.illustrations:
            assert f"]({illustration.file_name})" in text
            assert Image.open(tmp_path / illustration.file_name).width > 100
    assert f"{stored['tables']['boxes']['by_series']['boxes-on']['ap50']:.3f}" in text
    assert stored["software"]["pycocotools"] in text


def test_nothing_to_measure_is_said():
    with pytest.raises(ValueError, match=r"None of the tables .* canny: the model has no pipeline"):
        choose_tables(subject(kinds=KINDS[:1]), WorldOptions(tables=("canny",)))
    unseen = subject(names=("dog", "sun"))
    _, lacking = choose_tables(unseen, WorldOptions())
    assert lacking.keys() == {"open_set", "ablations"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layouts": 0}, "num_layouts is 0; it must be 1 or more"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"steps": 0}, "steps is 0"),
        ({"tau": 0.0}, "tau is 0"),
        ({"preset": "best"}, "no preset 'best'"),
        ({"tables": ("boxes", "chairs")}, "no table 'chairs'"),
        ({"tables": ()}, "the tables are boxes, open_set"),
        ({"ablations": (Ablation("a b", "x"), Ablation("A-b", "y"))}, "each its own label"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WorldOptions(**options)


def test_an_ablation_is_read_from_text():
    assert Ablation.from_text("mlp=a/b.safetensors") == Ablation("mlp", "a/b.safetensors")
    assert Ablation.from_text("no Fourier=a:b") == Ablation("no Fourier", "a", "b")
    assert Ablation.from_text("mlp=a", "base").base == "base"
    for text in ("mlp", "=a", "mlp="):
        with pytest.raises(ValueError, match="LABEL=ADAPTER"):
            Ablation.from_text(text)


def test_a_base_knows_the_words_of_its_captions(pipeline):
    assert knows(pipeline.tokenizer, "dog")
    assert not knows(pipeline.tokenizer, "penguin")


def test_the_command_writes_a_report(tmp_path, monkeypatch, capsys):
    own = subject(kinds=KINDS[:1], names=TWO)
    options = WorldOptions(2, tables=("boxes",))
    painter = own.pipelines[KINDS[0]]
    painter.items = [i for s in boxes.plan(own, options) for i in s.items]
    monkeypatch.setattr("gligen.evaluation.subject.load_subject", lambda *_: own)
    out = tmp_path / "deep" / "report"
    words = ["evaluate", "world", "--num-layouts", "2", "--tables", "boxes", "--out", str(out)]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.md")
    assert main([*words, "--tau", "0"]) == 2
    assert "tau is 0; it must be above 0" in capsys.readouterr().err
