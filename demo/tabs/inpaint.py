"""The tab Inpaint: parts of a photo are painted anew, everything else stays as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo import examples
from demo.components.canvas import Canvas
from demo.handlers import Asked, choose_kind
from demo.service import IMAGE_INPAINTING, INPAINTING
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.references import References, build_references, read_references
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from demo.tabs.sample_row import build_examples, wire_examples

PLACEHOLDER = "Choose a photo, mark what may change, press Inpaint.\nThe result appears here."
REPAINT_CHOICES = [
    ("automatic", "auto"),
    ("boxes", "boxes"),
    ("painted mask", "mask"),
]


@dataclass(frozen=True)
class InpaintTab:
    """Components of the tab."""

    canvas: Canvas
    controls: Controls
    references: References
    repaint: gr.Radio
    mask_feather: gr.Slider
    buttons: RunButtons


def build(workshop: Workshop) -> InpaintTab:
    """Build the tab and wire its events."""
    card = workshop.service.card
    main = INPAINTING if card.has(INPAINTING) else IMAGE_INPAINTING
    width, height = card.image_sizes[main]
    prompt, append = build_prompt()
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=7, min_width=340):
            sample_buttons = build_examples(examples.INPAINT, "inpaint")
            canvas = Canvas(
                name="inpaint",
                width=width,
                height=height,
                takes_photo=True,
                takes_pictures=card.has(IMAGE_INPAINTING),
            )
            with gr.Column(elem_classes="settings"):
                repaint, feather = _build_hole_settings()
                references = build_references(IMAGE_INPAINTING, card, "inpaint")
                controls = build_controls(prompt, append, workshop.defaults, card.tau(main))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            buttons = build_buttons("Inpaint", PLACEHOLDER, "inpaint")
    tab = InpaintTab(canvas, controls, references, repaint, feather, buttons)
    wire_examples(sample_buttons, examples.INPAINT, canvas, prompt)
    _wire_run(tab, workshop)
    return tab


def _build_hole_settings() -> tuple[gr.Radio, gr.Slider]:
    with gr.Row():
        repaint = gr.Radio(
            REPAINT_CHOICES,
            value="auto",
            label="Repaint",
            info="Automatic: the painted mask if there is one, else the boxes",
            min_width=150,
        )
        feather = gr.Slider(
            0,
            64,
            0,
            step=1,
            label="Feather",
            info="Soft edge in pixels of the photo",
            min_width=150,
        )
    return repaint, feather


def _wire_run(tab: InpaintTab, workshop: Workshop) -> None:
    def key(request: gr.Request) -> str:
        return f"{request.session_hash}/inpaint"

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        def read() -> Asked:
            drawing, more = read_references(tab.references, values, values[tab.canvas])
            kind = choose_kind(workshop.service.card, "inpainting", drawing.layout)
            options = read_options(
                tab.controls,
                values,
                repaint=values[tab.repaint],
                mask_feather=values[tab.mask_feather],
                **more,
            )
            return Asked(kind, options, drawing)

        yield from run_request(workshop, key(request), tab.buttons, tab.controls.seed, read)

    inputs = {
        *(tab.canvas, tab.repaint, tab.mask_feather),
        *tab.controls.inputs(),
        *tab.references.inputs(),
    }
    wire(tab.buttons, inputs, run, key, workshop.signals, tab.controls.seed)
