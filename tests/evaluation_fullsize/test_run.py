import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gligen.cli import main
from gligen.evaluation.fullsize import run as stages
from gligen.evaluation.fullsize.detectors import Detection
from gligen.evaluation.fullsize.layouts import choose_layouts
from gligen.evaluation.fullsize.options import Choice, Judging, Painting
from gligen.evaluation.fullsize.processes import Processes
from gligen.evaluation.fullsize.run import Evaluation, evaluate
from tests.evaluation_fullsize.models import (
    IDS,
    save_clip,
    save_closed_set,
    save_owl,
    write_annotations,
)
from tests.model_files import save_base_folder

REPOSITORY = Path(__file__).parents[2]
LABELS = ("person", "fire hydrant", "kite")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Write a tiny model of both kinds, detectors and CLIP."""
    folder = tmp_path_factory.mktemp("models")
    save_base_folder(folder / "base")
    save_closed_set(folder / "yolos", LABELS)
    save_clip(folder / "clip")
    save_owl(folder / "owl")
    return folder


def arguments(models, root, *further):
    return [
        *("evaluate", "coco", "--out", str(root / "out"), "--device", "cpu", "--steps", "1"),
        *("--instances", str(root / "instances.json"), "--captions", str(root / "captions.json")),
        *("--model", str(models / "base"), "--min-objects", "2", "--sampler", "ddim"),
        *("--detector", str(models / "yolos"), "--threshold", "0", "--batch", "4"),
        *further,
    ]


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_from_annotations_to_a_report_and_on_after_a_kill(models, tmp_path, capsys):
    write_annotations(tmp_path, pictures=True)
    further = ("--clip", str(models / "clip"), "--modes", "on", "mirrored", "real")
    whole = arguments(models, tmp_path, *further, "--images", str(tmp_path / "pictures"))
    assert main(whole) == 0
    out = tmp_path / "out"
    report = json.loads((out / "report.json").read_text())
    assert [figures["name"] for figures in report["series"]] == ["on", "mirrored", "real"]
    assert all(0 <= figures["AP"] <= 1 for figures in report["series"])
    assert all(figures["num_objects"] == 12 for figures in report["series"])
    assert all(-0.1 < figures["clip_score"] <= 100 for figures in report["series"])
    text = (out / "report.md").read_text()
    assert "| boxes mirrored | 6 | 12 |" in text
    assert "nobody outside reproduced the FID of 5.8" in text
    assert "GLIGEN, pretrained on more data, zero-shot" in text
    assert text in capsys.readouterr().out
    pictures = files(out / "pictures")
    assert len(pictures) == 18
    assert len({content for path, content in pictures.items() if path.parts[0] != "real"}) == 12
    with Image.open(out / "pictures" / "real" / f"{12:012}.png") as real:
        assert real.size == (64, 64)
        assert real.getpixel((32, 32)) == pytest.approx((80, 80, 120), abs=3)

    # As a kill leaves it: one picture missing, one half written under its other name.
    before = {path: (out / "pictures" / path).stat().st_mtime_ns for path in pictures}
    lost = Path("on") / f"{13:012}.png"
    (out / "pictures" / lost).unlink()
    (out / "pictures" / "on" / f".{13:012}.png.1.partial").write_bytes(b"half")
    assert main(whole) == 0
    again = files(out / "pictures")
    assert all(again[path] == content for path, content in pictures.items())
    changed = {
        path for path in pictures if (out / "pictures" / path).stat().st_mtime_ns != before[path]
    }
    assert changed == {lost}

    assert main([*whole, "--guidance", "3"]) == 2
    assert "other settings (guidance_scale)" in capsys.readouterr().err


def test_holes_are_painted_into_the_real_pictures(models, tmp_path):
    write_annotations(tmp_path, pictures=True)
    further = ("--kind", "inpainting_text_box", "--images", str(tmp_path / "pictures"))
    assert main(arguments(models, tmp_path, *further, "--limit", "2")) == 0
    out = tmp_path / "out"
    (figures,) = json.loads((out / "report.json").read_text())["series"]
    assert figures["title"] == "hole of 5% to 10%"
    assert figures["num_objects"] == 2
    painted = sorted((out / "pictures" / "holes_5_to_10").iterdir())[0]
    number = int(painted.stem)
    with Image.open(painted) as picture:
        colour = (40 * (number - 10), 80, 120)
        assert picture.getpixel((5, 5)) == pytest.approx(colour, abs=3)
        # The hydrant's place, x and y from 0.5 to 0.75.
        assert picture.getpixel((40, 40)) != pytest.approx(colour, abs=3)


def test_lvis_is_told_by_its_frequencies_and_asked_by_name(models, tmp_path):
    write_annotations(tmp_path, lvis=True)
    further = ("--detector", str(models / "owl"), "--limit", "2")
    assert main(arguments(models, tmp_path, *further)) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {"AP_rare", "AP_frequent"} <= report["series"][0].keys()
    assert "AP_common" not in report["series"][0]  # no kite is large enough
    assert report["published"]["rows"][0]["system"] == "LAMA, supervised on LVIS"
    assert "--queries all" in (tmp_path / "out" / "report.md").read_text()


class Grey:
    """Stands for a model: paints the same grey whatever is asked."""

    image_size = (64, 64)

    def __call__(self, prompts, **options):
        images = [Image.new("RGB", self.image_size, "grey") for _ in prompts]
        return type("Output", (), {"images": images})


def test_a_detector_that_finds_all_boxes_gives_one_and_mirrored_little(tmp_path, monkeypatch):
    write_annotations(tmp_path)
    choice = Choice(tmp_path / "instances.json", min_objects=2)
    painting = Painting(modes=("on", "mirrored"), batch_size=1)
    layouts = iter(choose_layouts(choice, painting).series[0].items * 2)

    def finds_the_layout(pictures, queries):
        item = next(layouts)  # the straight one, in the mirrored series too
        return [
            [
                Detection(number, tuple(64 * side for side in box), 0.9)
                for number, box in zip(item.categories, item.layout.boxes, strict=True)
            ]
        ]

    monkeypatch.setattr(stages, "load_detector", lambda *_: finds_the_layout)
    monkeypatch.setattr(Evaluation, "pipeline", Grey())
    judging = Judging(detector="perfect")
    report = evaluate(Evaluation(choice, painting, judging, tmp_path / "out", Processes()))
    straight, mirrored = report["series"]
    assert (straight["AP"], straight["AP50"]) == pytest.approx((1, 1))
    assert mirrored["AP50"] < 0.05


def test_two_processes_paint_what_one_paints(models, tmp_path):
    write_annotations(tmp_path)
    choice = Choice(tmp_path / "instances.json", min_objects=2)
    painting = Painting(model=str(models / "base"), steps=1, batch_size=2, sampler="ddim")
    judging = Judging(clip=str(models / "clip"))
    alone = Evaluation(choice, painting, judging, tmp_path / "alone", Processes())
    one = evaluate(alone)
    waits = []
    second = Processes(1, 2, "cpu", lambda: waits.append(1))
    shared = replace(alone, out=tmp_path / "shared", processes=second)
    assert evaluate(shared) is None
    assert len(waits) == 3
    half = sorted(path.stem for path in (tmp_path / "shared" / "pictures" / "on").iterdir())
    assert [int(stem) for stem in half] == [13, 14]
    two = evaluate(replace(shared, processes=Processes(0, 2)))
    assert files(tmp_path / "alone" / "pictures") == files(tmp_path / "shared" / "pictures")
    assert one["series"] == two["series"]


def test_a_model_that_changed_under_its_name_is_refused(models, tmp_path):
    write_annotations(tmp_path)
    choice = Choice(tmp_path / "instances.json", min_objects=2, limit=1)
    painting = Painting(model=str(models / "base"), steps=1, sampler="ddim")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "weights.txt").write_text("00000000")
    with pytest.raises(ValueError, match="other weights"):
        evaluate(Evaluation(choice, painting, Judging(), tmp_path / "out", Processes()))


def test_pictures_that_are_needed_are_asked_for(tmp_path):
    write_annotations(tmp_path)
    choice = Choice(tmp_path / "instances.json", min_objects=2)
    painting = Painting(modes=("real",))
    evaluation = Evaluation(choice, painting, Judging(), tmp_path / "out", Processes())
    with pytest.raises(ValueError, match="--images"):
        evaluate(evaluation)
    with pytest.raises(ValueError, match=r"6 are missing, the first is '000000000011\.jpg'"):
        evaluate(replace(evaluation, choice=replace(choice, images=tmp_path)))


@pytest.mark.slow
def test_accelerate_launches_several_processes(models, tmp_path):
    write_annotations(tmp_path)
    command = arguments(models, tmp_path, "--batch", "1")
    launch = ("--num_processes", "2", "--cpu", "--num_machines", "1", "--mixed_precision", "no")
    subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *launch, "-m", "gligen", *command],
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)},
        timeout=600,
    )
    launched = files(tmp_path / "out" / "pictures")
    assert len(launched) == len(IDS)
    assert main([*command[:3], str(tmp_path / "alone"), *command[4:]]) == 0
    assert files(tmp_path / "alone" / "pictures") == launched
