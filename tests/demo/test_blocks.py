"""Answers of events leave the properties of components that they do not concern alone."""

import anyio.from_thread
import gradio as gr
import pytest

from demo.blocks import PageBlocks


def answers_of(kind: type[gr.Blocks]) -> list:
    with kind() as blocks:
        told, untold = gr.HTML("a", sentence="b"), gr.HTML("c", sentence="d")
        button = gr.Button()
        button.click(lambda: {told: gr.HTML(sentence="e")}, outputs=[told, untold])
    [function] = blocks.fns.values()
    # In a thread of its own: this one may hold the event loop of a browser opened by another test.
    with anyio.from_thread.start_blocking_portal() as elsewhere:
        return elsewhere.call(blocks.postprocess_data, function, function.fn(), None)


def test_an_output_without_a_value_keeps_its_properties():
    told, untold = answers_of(PageBlocks)
    assert untold == {"__type__": "update"}
    assert told["props"] == {"sentence": "e"}


def test_gradio_alone_would_overwrite_them():
    _, untold = answers_of(gr.Blocks)
    if "props" not in untold:
        pytest.fail("Gradio has mended this; demo/blocks.py can go.")
