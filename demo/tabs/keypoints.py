"""The tab Keypoints: people placed by their joints become a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo import examples
from demo.components.canvas import Drawing
from demo.components.keeper import Keeper
from demo.components.pose import PoseCanvas
from demo.components.progress import Notice
from demo.handlers import Asked, read_pose_file
from demo.service import KEYPOINT
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from demo.tabs.sample_row import build_examples, wire_examples
from demo.texts import keypoints as texts
from gligen.layout import Layout


@dataclass(frozen=True)
class KeypointsTab:
    """Components of the tab."""

    canvas: PoseCanvas
    load: gr.UploadButton
    controls: Controls
    buttons: RunButtons
    keeper: Keeper


def build(workshop: Workshop) -> KeypointsTab:
    """Build the tab and wire its events."""
    card = workshop.service.card
    width, height = card.image_sizes[KEYPOINT]
    prompt, append = build_prompt(texts.PROMPT, has_phrases=False)
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=7, min_width=340):
            row = build_examples(examples.KEYPOINTS, "keypoints")
            canvas = PoseCanvas(name="keypoints", width=width, height=height)
            load = gr.UploadButton(
                texts.LOAD,
                file_types=[".json"],
                type="filepath",
                size="sm",
                elem_id="keypoints-load",
            )
            with gr.Column(elem_classes="settings"):
                controls = build_controls(prompt, append, workshop.defaults, card.tau(KEYPOINT))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            buttons = build_buttons("Generate", texts.PLACEHOLDER, "keypoints")
            keeper = Keeper("keypoints")
    tab = KeypointsTab(canvas, load, controls, buttons, keeper)
    wire_examples(row, examples.KEYPOINTS, canvas, prompt, buttons.notice)
    _wire_load(tab)
    _wire_run(tab, workshop)
    return tab


def _wire_load(tab: KeypointsTab) -> None:
    def load(path: str) -> dict[Any, Any]:
        try:
            people = read_pose_file(Path(path))
        except (ValueError, TypeError) as error:
            return {tab.buttons.notice: Notice(str(error), "bad")}
        return {tab.canvas: people, tab.buttons.notice: Notice()}

    tab.load.upload(
        load,
        inputs=[tab.load],
        outputs=[tab.canvas, tab.buttons.notice],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _wire_run(tab: KeypointsTab, workshop: Workshop) -> None:
    def key(request: gr.Request) -> str:
        return f"{request.session_hash}/keypoints"

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        def read() -> Asked:
            drawing = Drawing(Layout(persons=values[tab.canvas]))
            return Asked(KEYPOINT, read_options(tab.controls, values), drawing)

        yield from run_request(workshop, key(request), tab.buttons, tab.controls.seed, read)

    inputs = {tab.canvas, *tab.controls.inputs()}
    wire(tab.buttons, inputs, run, key, workshop.signals, tab.controls.seed)
