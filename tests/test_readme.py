"""What the README says is run or looked up here."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from demo.flags import parse_flags
from gligen.arguments import build_parser
from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.pictures.metadata import read_settings
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


def test_the_curl_lines_fetch_a_picture(tmp_path):
    (example,) = (block for block in blocks("bash") if "curl" in block)
    service = FakeService(KINDS)
    with served(service) as address:
        script = example.replace("http://127.0.0.1:7860", address.rstrip("/"))
        command = ["bash", "-euo", "pipefail", "-c", script]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=600)
    kind, request = service.requests[-1]
    assert (kind, request.prompt, request.seed) == ("generation_text_box", "a sun at night", 7)
    assert request.layout.phrases == ("a sun",)
    assert read_settings(tmp_path / "sky.png")["seed"] == 7


def test_command_lines_of_the_app_are_understood(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("users.txt").write_text("anna:secret\n")
    lines = commands("python app.py ")
    assert len(lines) >= 2
    for line in lines:
        parse_flags(shlex.split(line)[2:])


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


def test_the_layout_file_is_one():
    (example,) = blocks("json")
    assert Layout.from_json(example).phrases == ("a dog",)
