"""What the README says is run or looked up here."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from gligen.arguments import build_parser
from gligen.kinds import KINDS
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for found, text in fenced if found == language]


def commands(start: str) -> list[str]:
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [line.split("#")[0] for line in text.splitlines() if line.startswith(start)]


def test_the_python_example_makes_a_picture(tmp_path, monkeypatch):
    example = next(block for block in blocks("python") if "load_pipeline()" in block)
    monkeypatch.chdir(tmp_path)
    exec(example, {})  # the README's own text
    assert (tmp_path / "sky.png").stat().st_size > 1000


def test_the_calls_of_the_app_are_answered(tmp_path, monkeypatch):
    example = next(block for block in blocks("python") if "gradio_client" in block)
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r'handle_file\("([^"]+)"\)', example):
        Image.new("L", (80, 60), 90).save(name)
    service = FakeService(KINDS)
    with served(service) as address:
        exec(example.replace("http://127.0.0.1:7860", address), {})
    assert [kind for kind, _ in service.requests] == [
        "generation_text_box",
        "generation_text_image_box",
        "inpainting_text_image_box",
        "keypoint",
        "depth",
        "canny",
    ]


def test_command_lines_are_understood():
    lines = commands("python -m gligen ")
    assert len(lines) >= 3
    for line in lines:
        build_parser().parse_args(shlex.split(line)[3:])


def test_files_of_the_tree_and_links_exist():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    tree = next(block for block in blocks("") if "app.py" in block)
    inside = ""
    paths = []
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        if not line.startswith(" "):
            inside = names[0] if names[0].endswith("/") else ""
            paths += names
        else:
            paths += [inside + name for name in names]
    for path in [*links, *paths]:
        assert (ROOT / path).exists(), f"{path} is named in the README and does not exist"


@pytest.mark.parametrize("placeholder", ["@", "TODO", "XXX"])
def test_nothing_is_left_to_fill_in(placeholder):
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert placeholder not in prose
