"""Settings inside PNG files: written, read back, and refused where there are none."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gligen.pictures.metadata import read_settings, readable, save_png

SETTINGS = {
    "prompt": "a dog; 狗, “ein Hund”",
    "negative_prompt": "blurry",
    "regions": [{"phrase": "a dog", "box": [0.1, 0.2, 0.5, 0.9]}],
    "seed": 7,
    "gate_schedule": [0.7, 0.2, 0.1],
    "width": None,
}


@pytest.fixture
def picture() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_settings_and_pixels_survive_in_a_file(tmp_path, picture):
    path = tmp_path / "out.png"
    save_png(picture, path, SETTINGS)
    assert read_settings(path) == SETTINGS
    with Image.open(path) as read:
        assert np.array_equal(np.asarray(read), np.asarray(picture))
        assert read.info["parameters"] == readable(SETTINGS)
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_settings_survive_in_memory(picture):
    file = BytesIO()
    save_png(picture, file, SETTINGS)
    file.seek(0)
    assert read_settings(file) == SETTINGS


def test_readable_settings_name_what_matters():
    assert readable(SETTINGS).split("\n") == [
        SETTINGS["prompt"],
        "Negative prompt: blurry",
        'regions: [{"phrase": "a dog", "box": [0.1, 0.2, 0.5, 0.9]}], seed: 7, '
        "gate_schedule: [0.7, 0.2, 0.1]",
    ]


def test_a_failed_write_keeps_the_old_file(tmp_path, picture):
    path = tmp_path / "out.png"
    save_png(picture, path, SETTINGS)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_png(picture, path, {"bad": object()})
    with pytest.raises(ValueError, match="Out of range float"):
        save_png(picture, path, {"bad": float("nan")})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_a_missing_folder_is_named(tmp_path, picture):
    with pytest.raises(ValueError, match=r"cannot be written to '.*nowhere.*'.*choose a folder"):
        save_png(picture, tmp_path / "nowhere" / "out.png", SETTINGS)


def _foreign(path, picture):
    picture.save(path)


def _with_text(text):
    def write(path, picture):
        info = PngInfo()
        info.add_itxt("gligen", text)
        picture.save(path, "PNG", pnginfo=info)

    return write


def _truncated(path, picture):
    save_png(picture, path, SETTINGS)
    path.write_bytes(path.read_bytes()[:-200])


def _huge(path, picture):
    Image.new("1", (30_000, 2_000)).save(path)


@pytest.mark.parametrize(
    ("write", "pattern"),
    [
        (_huge, "30000 x 2000 pixels"),
        (_with_text("[" * 100_000), "damaged: not valid JSON"),
        (_foreign, "carries no settings"),
        (lambda path, picture: picture.save(path, "JPEG"), "not a readable PNG"),
        (lambda path, picture: path.write_text("hello"), "not a readable PNG"),
        (_truncated, "not a readable PNG"),
        (_with_text("{'prompt'"), "damaged: not valid JSON"),
        (_with_text(json.dumps([1])), "damaged: not a JSON object but list"),
        (lambda path, picture: None, "There is no file"),
    ],
)
def test_unreadable_settings_get_a_sentence_with_the_name(tmp_path, picture, write, pattern):
    path = tmp_path / "given.png"
    write(path, picture)
    with pytest.raises(ValueError, match=pattern) as refusal:
        read_settings(path)
    assert "given.png" in str(refusal.value)
