"""The examples use what the embedded model knows."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import demo
from demo import examples
from demo.components.canvas import Drawing
from demo.components.examplerow import thumbnail_name
from demo.handlers import Options, build_request
from demo.service import GENERATION, INPAINTING, KEYPOINT, ModelCard
from demo.tabs.maps import fitting_examples
from demo.tabs.sample_row import example_at
from gligen.layout import Layout
from gligen.world import IMAGE_SIZE, SPRITE_NAMES
from gligen.world.labels import LABEL_NAMES, label_of

ALL = [*examples.GENERATE, *examples.INPAINT]


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.title)
def test_phrases_are_of_the_model_s_world(example):
    assert all(phrase in SPRITE_NAMES for phrase, _ in example.regions if phrase)
    # Larger than a few pixels of the model, or nothing can be painted there.
    for _, (x0, y0, x1, y1) in example.regions:
        assert min(x1 - x0, y1 - y0) * IMAGE_SIZE >= 16


@pytest.mark.parametrize("example", examples.INPAINT, ids=lambda example: example.title)
def test_inpainting_examples_bring_their_photo(example):
    drawing = example.drawing()
    assert drawing.photo is not None
    assert build_request(Options(), drawing, INPAINTING).inpaint_image.size == drawing.photo.size


def test_generating_examples_make_requests():
    for example in examples.GENERATE:
        request = build_request(Options(prompt=example.prompt), example.drawing(), GENERATION)
        assert len(request.layout) == len(example.regions)


def test_the_original_s_example_is_there_and_a_phrase_occurs_twice():
    first = examples.GENERATE[0]
    assert first.title == "Sun; Comet"
    assert first.drawing().layout.phrases == ("sun", "comet")
    repeated = [len(e.regions) != len({p for p, _ in e.regions}) for e in examples.GENERATE]
    assert any(repeated)
    assert isinstance(first.drawing(), Drawing)


@pytest.mark.parametrize("example", examples.KEYPOINTS, ids=lambda example: example.title)
def test_people_of_examples_stand_inside_the_picture(example):
    people = example.drawing()
    assert len(people) == len(example.places)
    request = build_request(
        Options(prompt=example.prompt), Drawing(Layout(persons=people)), KEYPOINT
    )
    assert request.layout.persons == people
    assert example.drawing() == people


@pytest.mark.parametrize("example", examples.MAPS, ids=lambda example: example.title)
def test_maps_of_examples_show_their_scene(example):
    layout = Layout(map=example.drawing())
    request = build_request(Options(prompt=example.prompt), Drawing(layout), example.kind)
    values = set(np.unique(np.asarray(request.layout.map)))
    if example.kind == "semantic":
        assert values == {0, *(label_of(thing.name) for thing in example.scene.objects)}
    else:
        assert values == {0, 255}


def test_every_example_has_a_small_thumbnail_and_no_thumbnail_is_left_over():
    tabs = {
        "generate": examples.GENERATE,
        "inpaint": examples.INPAINT,
        "keypoints": examples.KEYPOINTS,
        "maps": examples.MAPS,
    }
    wanted = {thumbnail_name(tab, e.title) for tab, all_of in tabs.items() for e in all_of}
    folder = Path(demo.__file__).parent / "thumbnails"
    assert {path.name for path in folder.iterdir()} == wanted
    assert sum(path.stat().st_size for path in folder.iterdir()) < 60_000
    for path in folder.iterdir():
        with Image.open(path) as picture:
            assert picture.size == (112, 112)


def test_only_an_example_that_exists_can_be_chosen():
    assert example_at(examples.MAPS, 1) is examples.MAPS[1]
    for index in (-1, len(examples.MAPS), "0", True, None, [0, 1]):
        with pytest.raises(gr.Error, match="no example"):
            example_at(examples.MAPS, index)


def test_a_model_with_other_classes_gets_no_example_of_classes():
    sizes = {"canny": (64, 64), "semantic": (64, 64)}
    card = ModelCard("a", "b", "cpu", sizes)
    assert {example.kind for example in fitting_examples(card)} == {"canny"}
    own = replace(card, label_names=LABEL_NAMES)
    assert len(fitting_examples(own)) == len(examples.MAPS)
    assert fitting_examples(replace(own, image_sizes={"hed": (64, 64)})) == []
