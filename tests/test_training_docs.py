"""What docs/training.md and configs/training say exists and fits."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from gligen.kinds import KINDS, kind_named
from gligen.tokenizers import make_tokenizer
from gligen.training.inheriting import can_inherit
from gligen.training.settings import TrainingSettings, read_settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
CONFIGS = sorted((ROOT / "configs" / "training").glob("world_*.yaml"))


def test_the_world_trains_six_kinds():
    settings = [read_settings(path) for path in CONFIGS]
    assert {run.kind for run in settings} == {
        "generation_text_box",
        "inpainting_text_box",
        "generation_text_image_box",
        "keypoint",
        "semantic",
        "canny",
    }
    for run, path in zip(settings, CONFIGS, strict=True):
        assert f"{path.stem.removeprefix('world_')}" == Path(run.output).name
        assert path.name in TEXT
        # Either begins as another run's layers, or is aimed.
        assert (run.adapter == "runs/text_box/adapter.safetensors") != (run.start == "aimed")
        if run.adapter is not None:
            assert can_inherit(run.kind, "generation_text_box")


@pytest.mark.parametrize("kind", ["semantic", "canny"])
def test_map_kinds_of_the_world_read_its_pictures_as_they_are_and_stay_small(kind):
    run = read_settings(ROOT / "configs" / "training" / f"world_{kind}.yaml")
    tokenizer = make_tokenizer(
        kind_named(kind), 192, widths=run.backbone_widths, depths=run.backbone_depths
    )
    assert tokenizer.side == 64
    assert sum(parameter.numel() for parameter in tokenizer.parameters()) < 900_000
    assert make_tokenizer(kind_named(kind), 192).side == 256


def test_the_table_of_beginnings_is_right():
    (table,) = re.findall(r"\| begins as \|.*?\n\n", TEXT, flags=re.DOTALL)
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.strip().splitlines()]
    kinds = [cell.strip("` ") for cell in rows[0][1:]]
    for cells in rows[2:]:
        origin = cells[0].strip("`")
        marks = [*cells[1:], "", "", ""]
        for kind, mark in zip(kinds, marks, strict=False):
            assert can_inherit(kind, origin) == (mark == "yes"), (origin, kind)


def test_what_the_page_names_exists():
    names = {field.name for field in fields(TrainingSettings)}
    for name in re.findall(r"`([a-z_0-9]+): ", TEXT):
        assert name in names, name
    for kind in re.findall(r"`((?:generation|inpainting)_\w+)`", TEXT):
        assert kind in KINDS
    for path in re.findall(r"configs/training/\w+\.yaml", TEXT):
        assert (ROOT / path).is_file()
