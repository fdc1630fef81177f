"""The size of the picture: what is asked for, and what is refused."""

import gradio as gr
import pytest

from demo.components.canvas import Canvas, Drawing
from demo.handlers import Asked, Options, request_for
from demo.service import GENERATION, ModelCard
from demo.tabs.size import build_size, is_size_for, read_size
from gligen.layout import Layout

CARD = ModelCard("fake", "", "cpu", {GENERATION: (512, 512)})
DRAWING = Drawing(Layout.from_lists(["sun"], [(0, 0, 1, 1)]))


def asked(**size) -> Asked:
    return Asked(GENERATION, Options(**size), DRAWING)


def test_the_size_reaches_the_request():
    request = request_for(CARD, asked(width=768, height=448))
    assert (request.width, request.height) == (768, 448)
    assert request_for(CARD, asked()).width is None


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        ({"width": 1088, "height": 1024}, ValueError, "1088 x 1024 pixels, more than 4 times"),
        ({"width": 2056}, ValueError, "2056 x 512"),
        ({"width": 512.5}, TypeError, "whole numbers"),
    ],
)
def test_sizes_that_would_take_the_device_are_refused(size, error, words):
    with pytest.raises(error, match=words):
        request_for(CARD, asked(**size))


def test_fields_start_at_the_size_of_the_model_and_must_not_be_empty():
    with gr.Blocks():
        fields = build_size(Canvas(), (512, 384))
    assert (fields.width.value, fields.height.value) == (512, 384)
    assert read_size(fields, {fields.width: 640, fields.height: 384}) == {
        "width": 640,
        "height": 384,
    }
    with pytest.raises(ValueError, match="Height is empty"):
        read_size(fields, {fields.width: 640, fields.height: None})


@pytest.mark.parametrize(
    ("size", "trained", "is_possible"),
    [
        ((64, 128), (64, 64), True),
        ((128, 128), (64, 64), True),
        ((136, 128), (64, 64), False),  # more than four times the pixels
        ((60, 64), (64, 64), False),
        ((520, 512), (512, 512), False),
        ((576, 512), (512, 512), True),
        ((None, 64), (64, 64), False),
        ((0, 64), (64, 64), False),
    ],
)
def test_what_sizes_the_page_makes(size, trained, is_possible):
    assert is_size_for(size, trained) == is_possible
