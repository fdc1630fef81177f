"""Examples from the user's own files."""

import json

import numpy as np
import pytest
from PIL import Image

from gligen.layout import Layout
from gligen.training.settings import TrainingSettings
from gligen.training.sources import open_examples, with_crops
from tests.test_grounding import POSE, picture

SIZE = (80, 60)


@pytest.fixture
def folder(tmp_path):
    """Write three pictures; a red block marks the box of each dog."""
    lines = []
    for index, box in enumerate([(10, 10, 30, 40), (40, 20, 70, 50), (30, 5, 60, 30)]):
        image = Image.new("RGB", SIZE, "gray")
        image.paste((255, 0, 0), box)
        image.save(tmp_path / f"{index}.png")
        Image.new("L", SIZE, index).save(tmp_path / f"{index}_depth.png")
        lines.append(
            {
                "image": f"{index}.png",
                "caption": f"a dog number {index}",
                "box_format": "pixels",
                "regions": [{"phrase": "a dog", "box": box}],
                "persons": [[[x * 80, y * 60] for x, y in POSE]],
                "map": f"{index}_depth.png",
            }
        )
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def examples(folder, kind, **changes):
    settings = TrainingSettings(str(folder.parent / "run"), str(folder), kind, **changes)
    return open_examples(settings, 32, 8)


def test_boxes_follow_the_view(folder):
    source = examples(folder, "generation_text_box")
    assert len(source) == 3
    assert source.latent_size == (4, 4)
    captions = set()
    for number in range(40):
        example = source.example(number % 3, np.random.default_rng(number))
        captions.add(example.caption)
        red = example.pixels.numpy()[0] - example.pixels.numpy()[1] > 1
        if not example.layout.regions:
            assert red.mean() < 0.1
            continue
        rows, columns = np.nonzero(red)
        x0, y0, x1, y1 = (v * 32 for v in example.layout.regions[0].box)
        assert abs(columns.min() - x0) <= 1.5
        assert abs(columns.max() + 1 - x1) <= 1.5
        assert abs(rows.min() - y0) <= 1.5
        assert abs(rows.max() + 1 - y1) <= 1.5
    assert captions == {f"a dog number {index}" for index in range(3)}


def test_each_kind_reads_its_own_part(folder):
    rng = np.random.default_rng(0)
    keypoint = examples(folder, "keypoint").example(0, rng).layout
    assert keypoint.persons
    assert not keypoint.regions
    depth = examples(folder, "depth").example(1, rng).layout
    assert depth.map.size == (32, 32)
    assert not depth.regions
    images = examples(folder, "generation_text_image_box", crop=False, flip=False)
    region = images.example(1, rng).layout.regions[0]
    assert np.asarray(region.image)[2:-2, 2:-2, 0].min() > 200
    hole = examples(folder, "inpainting_text_box").example(1, rng).hole
    assert hole.shape == (4, 4)


def test_samples_show_the_first_pictures(folder):
    requests = examples(folder, "inpainting_text_box").requests(seed=0)
    assert [request.prompt for request in requests] == [f"a dog number {i}" for i in range(3)]
    assert requests[0].inpaint_image.size == (32, 32)


def test_a_crop_of_a_region_is_what_stands_there():
    whole = picture(3, (20, 10))
    layout = Layout.from_lists(["a"], [(0.25, 0.1, 0.75, 0.6)])
    crop = with_crops(layout, whole).regions[0].image
    assert np.array_equal(np.asarray(crop), np.asarray(whole)[1:6, 5:15])


def test_data_that_the_kind_cannot_use(folder):
    path = folder.with_name("plain.jsonl")
    path.write_text(json.dumps({"image": "0.png", "caption": "x"}) + "\n")
    with pytest.raises(ValueError, match="keypoint"):
        examples(path, "keypoint")
