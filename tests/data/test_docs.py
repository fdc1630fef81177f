"""The examples of docs/data.md are written to disk as they stand there, and read."""

import base64
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gligen.arguments import build_parser
from gligen.data.command import run_data
from gligen.data.report import RULES
from tests.data.files import HEIGHT, WIDTH, counts, open_here, write_picture

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with every file of the page, and the pictures that they name."""
    root = tmp_path_factory.mktemp("page")
    names = "lines/images/park lines/images/yard lines/images/dance lines/images/street"
    names += " coco/mine/park entities/flickr30k-images/1000092795"
    for name in names.split():
        write_picture(root / f"{name}.jpg")
    picture = base64.b64encode((root / "coco/mine/park.jpg").read_bytes()).decode()
    for _, path, text in BLOCKS:
        if path:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("PICTURE", picture))
    (root / "lines" / "labels").mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 7, np.uint8)).save(root / "lines/labels/street.png")
    return root


def test_lines(folder, tmp_path):
    dataset = open_here(folder / "lines/my_pictures.jsonl", tmp_path)
    assert counts(dataset) == {}
    park, yard, dance, street = dataset
    assert park.layout.phrases == ("a dog", "a red ball")
    assert park.layout.boxes[1] == (0.7, 0.6, 0.8, 0.8)
    assert yard.captions == ("a yard", "a cat in a yard")
    assert yard.layout.boxes == ((0.125, 0.125, 0.5, 0.875),)
    assert dance.layout.persons[0].keypoints[5] == (0.6, 0.3)
    assert street.id == "street"
    assert street.open_layout().map.getpixel((0, 0)) == 7


def test_coco(folder, tmp_path):
    dataset = open_here(folder / "coco", tmp_path)
    assert counts(dataset) == {}
    (sample,) = dataset
    assert sample.captions == ("a dog in a park",)
    assert sample.layout.phrases == ("dog",)
    assert sample.layout.boxes == ((0.1, 0.1, 0.6, 0.85),)
    assert sample.layout.persons[0].keypoints == ((0.75, 0.2), *[None] * 16)


def test_flickr(folder, tmp_path):
    dataset = open_here(folder / "entities", tmp_path)
    assert counts(dataset) == {"phrase_without_box": 1}
    assert [sample.captions[0] for sample in dataset] == [
        "Two young guys look at their hands in the yard .",
        "Two men stand .",
    ]
    assert dataset[0].layout.phrases == ("Two young guys", "their hands")


def test_tsv(folder, tmp_path):
    dataset = open_here(folder / "tsv", tmp_path)
    assert [sample.layout.phrases for sample in dataset] == [("a black dog",), ("Chair",)]
    assert dataset[1].open_picture().size == (WIDTH, HEIGHT)


def test_several(folder, tmp_path):
    dataset = open_here(folder / "all.yaml", tmp_path)
    assert dataset.form == "lines, coco, tsv"
    assert len(dataset) == 4 + 1 + 2


def test_the_python_example_runs(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder / "lines")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (example,) = [text for language, _, text in BLOCKS if language == "python"]
    exec(example, {})  # the page's own text
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "4 samples; 0 problems, 0 repairs, 0 notes."
    assert printed[1].startswith("('a dog runs after a ball',) ('a dog', 'a red ball')")
    assert printed[2].startswith("(512, 512) ((")


def test_the_commands_are_understood(folder, tmp_path, monkeypatch, capsys):
    (text,) = [text for language, _, text in BLOCKS if language == "bash"]
    lines = [shlex.split(line)[3:] for line in text.splitlines()]
    assert len(lines) == 2
    options = [build_parser().parse_args(line) for line in lines]
    assert options[1].split == "train2017"
    monkeypatch.chdir(folder / "lines")
    options[0].cache = tmp_path
    assert run_data(options[0]) == 0
    assert capsys.readouterr().out == "lines: 4 samples; 0 problems, 0 repairs, 0 notes.\n"


def test_every_rule_is_in_the_table():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(rule.name, rule.level, rule.meaning) for rule in RULES.values()]
