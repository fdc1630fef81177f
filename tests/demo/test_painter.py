"""What the painter of semantic maps takes from strangers, and the colours of its classes."""

import base64

import gradio as gr
import numpy as np
import pytest

from demo.components.painter import (
    MapPainter,
    PaintedMap,
    PainterData,
    class_colours,
    map_size,
    read_painting,
)
from gligen.pictures.ade import NAMES
from gligen.world.labels import LABEL_NAMES

SIZE = (6, 4)


def packed(labels) -> str:
    return base64.b64encode(bytes(labels)).decode()


def painter() -> MapPainter:
    return MapPainter(name="a", size=SIZE, label_names=LABEL_NAMES)


def test_a_map_comes_back_as_it_was_sent():
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    sent = painter().postprocess(PaintedMap(labels, "here.png"))
    assert (painter().preprocess(sent).labels == labels).all()
    assert painter().preprocess(sent).source == "here.png"
    assert painter().preprocess(None).labels is None
    assert painter().preprocess(PainterData()).labels is None


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (packed([0] * 23), "has 23 pixels; it must have 6 x 4"),
        (packed([0] * 26), "has 26 pixels"),
        (packed([0] * 300), "too long for 6 x 4"),
        (packed([0] * 23 + [152]), "label 152; labels go from 0 to 151"),
        ("$" * 32, "not in base64"),
        ("\u00e4" * 32, "not in base64"),
        ([0] * 24, "must be text"),
        (7, "must be text"),
    ],
)
def test_other_things_are_refused_in_words(labels, words):
    with pytest.raises((ValueError, TypeError), match=words):
        read_painting(PainterData(labels=labels), SIZE)
    with pytest.raises(gr.Error, match=words):
        painter().preprocess(PainterData(labels=labels))


def test_the_source_is_text_of_a_sensible_length():
    for source in (3, "x" * 5000):
        with pytest.raises((ValueError, TypeError)):
            read_painting(PainterData(labels=packed([0] * 24), source=source), SIZE)


def test_every_class_has_a_colour_of_its_own():
    assert len(class_colours(NAMES)) == len(NAMES)
    assert class_colours(NAMES)[NAMES.index("sky")] == "#06e6e6"
    own = class_colours(LABEL_NAMES)
    assert len(set(own)) == len(own) == len(LABEL_NAMES)


def test_a_large_picture_is_painted_no_larger_than_the_model_reads():
    assert map_size((64, 48)) == (64, 48)
    assert map_size((768, 512)) == (512, 512)


def test_templates_take_no_values():
    for template in (painter().html_template, painter().css_template):
        assert not any(mark in template for mark in ("${", "{{", "`"))
