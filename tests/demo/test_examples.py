"""The examples use what the embedded model knows."""

import pytest

from demo import examples
from demo.components.canvas import Drawing
from demo.handlers import Options, build_request
from demo.service import GENERATION, INPAINTING
from gligen.world import IMAGE_SIZE, SPRITE_NAMES

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
