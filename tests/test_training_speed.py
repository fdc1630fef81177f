"""The measurement of training speed: what it draws can be trained on, what it counts is right."""

import json
import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from benchmarks.training_speed import SIZE, build_parser, draw_coco, main
from gligen.data import open_dataset
from gligen.kinds import KINDS
from gligen.training.progress import Clock
from gligen.training.settings import read_settings
from tests.training_examples import save_plain_base


def test_the_drawn_folder_is_whole_and_serves_boxes_and_joints(tmp_path):
    dataset = open_dataset(draw_coco(tmp_path / "coco", 12), cache=tmp_path / "cache")
    assert len(dataset) == 12
    for kind in ("generation_text_box", "inpainting_text_box", "keypoint"):
        assert len(dataset.for_kind(kind))
    assert len(dataset.for_kind("keypoint")) < 12
    for sample in (dataset[index] for index in range(12)):
        assert sample.open_picture().size == SIZE
        assert all(0 <= x0 < x1 <= 1 for x0, _, x1, _ in sample.layout.boxes)


def test_figures_come_out(tmp_path, monkeypatch, capsys):
    base = save_plain_base(tmp_path / "base")
    figures = tmp_path / "speed.json"
    arguments = ["--base", str(base), "--device", "cpu", "--json", str(figures), "--workers", "0"]
    arguments += ["--num-pictures", "4", "--steps", "10", "--batch-size", "2", "--precision", "no"]
    monkeypatch.setattr(sys, "argv", ["training_speed.py", *arguments])
    main()
    (speed,) = json.loads(figures.read_text())["speeds"]
    assert speed["pictures_per_second"] > 0
    assert 0 < speed["data_share"] < 1
    assert speed["gpu_load"] is None
    assert 0 < speed["cores"] < 4
    printed = capsys.readouterr().out
    assert f"| files, 0 readers | {speed['pictures_per_second']:.1f} |" in printed
    assert "pictures a second, " in printed  # the end of the run itself


def test_a_sitting_is_described(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock(seconds_before=50, first_step=20)
    clock.waited(0.5)
    now[0] += 10
    # 30 steps of 4 pictures in 10 s; the earlier sitting does not count.
    assert (
        clock.describe(50, 4) == "12.0 pictures a second, 5.0 % of the time spent waiting for data."
    )
    assert clock.data_share == pytest.approx(0.05)


def test_the_commands_of_the_page_are_understood():
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("python -m benchmarks.")]
    assert lines
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)[3:]).kind in KINDS
    for settings in re.findall(r"configs/training/ablations/\w+\.yaml", page):
        assert read_settings(Path(__file__).parent.parent / settings)
