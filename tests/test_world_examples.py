"""Examples of the synthetic world."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from gligen.training.bank import World, build_bank, load_images, load_scenes
from gligen.training.settings import TrainingSettings
from gligen.training.sources import open_examples
from gligen.training.world_examples import NUM_VALIDATION, WorldExamples
from gligen.world import SPRITE_NAMES, Scene, SceneObject, draw_scene
from gligen.world.labels import PERSON_LABEL, draw_labels, label_of


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Draw a bank, give it latents that tell which scene they belong to."""
    folder = tmp_path_factory.mktemp("bank")
    build_bank(folder, 1000, 1, World(SPRITE_NAMES, 0.5))
    latents = np.zeros((1000, 12, 16, 16), np.float16)
    latents += np.arange(1000, dtype=np.float16)[:, None, None, None]
    np.save(folder / "latents.npy", latents)
    return folder


def examples(bank, kind):
    return WorldExamples(bank, TrainingSettings("run", f"world:{bank}", kind))


@pytest.mark.parametrize(
    "kind",
    [
        "generation_text_box",
        "inpainting_text_box",
        "generation_text_image_box",
        "keypoint",
        "semantic",
        "canny",
    ],
)
def test_an_example_shows_its_scene(bank, kind):
    source, scenes = examples(bank, kind), load_scenes(bank)
    for index in range(20):
        example = source.example(index, np.random.default_rng(index))
        scene = scenes[int(example.latents[0, 0, 0])]
        layout = example.layout
        if kind == "keypoint":
            assert len(layout.persons) == len(scene.persons) > 0
            assert layout.persons[0].keypoints[5] == pytest.approx(scene.persons[0].joints[5])
        elif kind == "semantic":
            assert np.array_equal(np.asarray(layout.map), draw_labels(scene))
        elif kind == "canny":
            assert layout.map.size == (64, 64)
            assert 0 < np.asarray(layout.map.convert("L")).mean() < 128
        else:
            boxes = {item.box for item in scene.things}
            assert set(layout.boxes) <= boxes
            names = {item.box: item.name for item in scene.things}
            assert all(names[region.box] in region.phrase for region in layout)
            if kind.startswith("generation"):
                assert set(layout.boxes) == boxes
            assert all((r.image is not None) == ("image" in kind) for r in layout)
        assert (example.hole is not None) == kind.startswith("inpainting")


def test_the_end_of_the_bank_is_held_out(bank):
    source = examples(bank, "generation_text_box")
    assert len(source) == 1000 - NUM_VALIDATION
    seeds = [request.seed for request in source.requests(0)]
    assert min(seeds) >= 1000 - NUM_VALIDATION
    last = source.example(len(source) - 1, np.random.default_rng(0))
    assert last.latents[0, 0, 0] == 1000 - NUM_VALIDATION - 1


def test_what_cannot_be_had_is_said(bank, tmp_path):
    with pytest.raises(ValueError, match="no maps of the kind depth; it has semantic and canny"):
        examples(bank, "depth")
    with pytest.raises(ValueError, match=r"has no latents; draw it with python -m"):
        open_examples(TrainingSettings("run", f"world:{tmp_path}"), 64, 4)


def test_labels_cover_what_is_drawn():
    objects = (SceneObject("apple", (0.1, 0.1, 0.5, 0.5)), SceneObject("house", (0.5, 0.5, 1, 1)))
    scene = Scene("plain white", objects)
    labels = draw_labels(scene)
    assert set(np.unique(labels)) == {0, label_of("apple"), label_of("house")}
    rows, columns = np.nonzero(labels == label_of("house"))
    assert (rows.min(), columns.min(), rows.max(), columns.max()) >= (32, 32, 63, 63)
    pictures = [draw_scene(s, np.random.default_rng(0)) for s in (scene, Scene("plain white", ()))]
    changed = (pictures[0].astype(int) - pictures[1]).any(-1)
    assert (changed & (labels > 0)).sum() > 0.95 * (labels > 0).sum()
    assert label_of("person") == PERSON_LABEL < 152


def test_persons_have_their_label(bank):
    scene = next(scene for scene in load_scenes(bank) if scene.persons)
    labels = draw_labels(scene)
    x0, y0, x1, y1 = (round(v * 64) for v in scene.persons[0].box)
    inside = labels[y0:y1, x0:x1] == PERSON_LABEL
    assert inside.mean() > 0.15
    assert json.loads(json.dumps(asdict(scene)))["persons"]
    assert load_images(bank).shape == (1000, 64, 64, 3)
