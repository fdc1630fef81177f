"""Maps on the page: what the model reads of them is shown, and faults are sentences."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from demo.components.mapview import MapPreview
from demo.components.painter import PaintedMap
from demo.maps import (
    MAP_KINDS,
    MapView,
    edges_of,
    hint,
    load_painting,
    look_at,
    open_map_file,
    semantic_map,
)
from demo.texts.maps import HINTS
from gligen.pictures.ade import NAMES

SIZE = (64, 48)


def labels_file(path, labels) -> str:
    Image.fromarray(np.asarray(labels, np.uint8)).save(path)
    return path


def test_every_kind_says_what_its_map_looks_like():
    assert set(HINTS) == set(MAP_KINDS)
    for kind in MAP_KINDS:
        view = look_at(None, kind, SIZE)
        assert (view.image, view.message, view.is_bad) == (None, HINTS[kind], False)


def test_a_depth_map_is_shown_as_the_model_reads_it(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 128, dtype=np.uint8), (96, 1))
    Image.fromarray(ramp).save(tmp_path / "depth.png")
    view = look_at(tmp_path / "depth.png", "depth", SIZE)
    assert view.image.size == SIZE
    assert view.message == ""
    shown = np.asarray(view.image)[24, :, 0].astype(int)
    assert shown[0] < 10
    assert shown[-1] > 245
    assert (np.diff(shown) >= 0).all()


def test_a_map_of_another_shape_is_said(tmp_path):
    Image.new("L", (100, 100)).save(tmp_path / "square.png")
    view = look_at(tmp_path / "square.png", "depth", SIZE)
    assert "100 x 100 and is squeezed" in view.message
    assert not view.is_bad


def test_a_semantic_map_comes_into_the_painter_at_the_model_s_size(tmp_path):
    labels = np.full((96, 128), NAMES.index("sky"))
    labels[72:] = NAMES.index("grass")
    painting = load_painting(labels_file(tmp_path / "labels.png", labels), SIZE)
    assert painting.labels.shape == (SIZE[1], SIZE[0])
    assert painting.labels[0, 0] == NAMES.index("sky")
    assert painting.labels[-1, -1] == NAMES.index("grass")
    assert painting.began_with(tmp_path / "labels.png")
    assert (painting.message, painting.is_bad) == ("", False)


def test_labels_that_the_model_does_not_know_are_named(tmp_path):
    labels = np.full((48, 64), 1)
    labels[36:] = 9
    path, names = labels_file(tmp_path / "labels.png", labels), ("background", "a dog")
    assert "labels 9 of the map" in load_painting(path, SIZE, names).message
    assert "own classes (grey or palette, 0 to 1)" in hint("semantic", names)
    assert "ADE20K" in hint("semantic")
    assert hint("depth", names) == hint("depth")


def test_the_painting_is_used_unless_the_file_is_newer(tmp_path):
    first = labels_file(tmp_path / "first.png", np.full((48, 64), 1))
    second = labels_file(tmp_path / "second.png", np.full((48, 64), 2))
    painting = replace(load_painting(first, SIZE), labels=np.full((48, 64), 5, np.uint8))
    assert semantic_map(first, painting).getpixel((0, 0)) == 5
    assert semantic_map(None, painting).getpixel((0, 0)) == 5
    assert semantic_map(second, painting).getpixel((0, 0)) == 2
    assert semantic_map(second, PaintedMap()).getpixel((0, 0)) == 2
    with pytest.raises(ValueError, match="paint one"):
        semantic_map(None, PaintedMap())


@pytest.mark.parametrize(
    ("kind", "colour", "words"),
    [
        ("depth", "red", "must be grey"),
        ("canny", "white", "Invert it"),
        ("normal", "black", "no colours"),
    ],
)
def test_a_picture_that_is_no_such_map_is_refused_in_words(tmp_path, kind, colour, words):
    Image.new("RGB", (8, 8), colour).save(tmp_path / "map.png")
    view = look_at(tmp_path / "map.png", kind, SIZE)
    assert view.is_bad
    assert view.image is None
    assert words in view.message


def test_a_picture_that_is_no_semantic_map_is_refused_and_what_is_painted_stays(tmp_path):
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "map.png")
    painting = load_painting(tmp_path / "map.png", SIZE)
    assert painting.is_bad
    assert painting.labels is None
    assert not painting.began_with(tmp_path / "map.png")
    assert "none of ADE20K" in painting.message


def test_no_picture_and_no_map_are_refused(tmp_path):
    (tmp_path / "map.png").write_text("hello")
    assert "not a picture" in look_at(tmp_path / "map.png", "hed", SIZE).message
    with pytest.raises(ValueError, match="no depth map yet; choose one"):
        open_map_file(None, "depth")
    with pytest.raises(ValueError, match="photo"):
        open_map_file(None, "canny")


def test_edges_of_a_photo_are_a_map_of_the_right_size(tmp_path):
    photo = Image.new("RGB", (200, 150), "black")
    photo.paste((255, 255, 255), (60, 40, 140, 110))
    photo.save(tmp_path / "photo.png")
    edges = edges_of(tmp_path / "photo.png", 100, 200, SIZE)
    assert edges.size == SIZE
    assert 0 < np.count_nonzero(edges) < 0.2 * SIZE[0] * SIZE[1]
    assert not np.count_nonzero(edges_of(tmp_path / "photo.png", 2040, 2040, SIZE))
    with pytest.raises(ValueError, match="low <= high"):
        edges_of(tmp_path / "photo.png", 300, 200, SIZE)


def test_the_preview_travels_as_a_data_address():
    data = MapPreview(MapView()).postprocess(MapView(Image.new("RGB", (5, 4), "red"), message="x"))
    head, content = data.image.split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as shown:
        assert shown.size == (5, 4)
    assert data.message == "x"
