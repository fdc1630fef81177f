"""The tab Inpaint: parts of a photo are painted anew, everything else stays as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo import examples
from demo.components.canvas import Canvas
from demo.components.keeper import Keeper
from demo.components.progress import Notice
from demo.gallery import result_as_photo
from demo.handlers import MAX_PAGE_FEATHER, Asked, choose_kind
from demo.knowing import list_names
from demo.service import IMAGE_INPAINTING, INPAINTING
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.references import References, build_references, read_references
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from demo.tabs.sample_row import build_examples, wire_examples
from demo.texts import inpaint as texts

# Brings the canvas into view: on a phone it lies above the result.
SHOW_CANVAS = "() => document.querySelector('#inpaint-canvas')?.scrollIntoView({ block: 'start' })"


@dataclass(frozen=True)
class InpaintTab:
    """Components of the tab."""

    canvas: Canvas
    controls: Controls
    references: References
    repaint: gr.Radio
    mask_feather: gr.Slider
    buttons: RunButtons
    keeper: Keeper


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
            if card.known_names:
                gr.Markdown(list_names(card.known_names), elem_classes="small-print")
            with gr.Column(elem_classes="settings"):
                repaint, feather = _build_hole_settings()
                references = build_references(IMAGE_INPAINTING, card, "inpaint")
                controls = build_controls(prompt, append, workshop.defaults, card.tau(main))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            gr.Markdown(
                texts.NATIVE_SIZE.format(width=width, height=height), elem_classes="small-print"
            )
            buttons = build_buttons("Inpaint", texts.PLACEHOLDER, "inpaint", can_reuse=True)
            keeper = Keeper("inpaint")
    tab = InpaintTab(canvas, controls, references, repaint, feather, buttons, keeper)
    wire_examples(sample_buttons, examples.INPAINT, canvas, prompt, buttons.notice)
    _wire_run(tab, workshop)
    _wire_reuse(tab)
    return tab


def _build_hole_settings() -> tuple[gr.Radio, gr.Slider]:
    with gr.Row():
        repaint = gr.Radio(
            texts.REPAINT_CHOICES,
            value="auto",
            label=texts.REPAINT,
            info=texts.REPAINT_INFO,
            min_width=200,
        )
        feather = gr.Slider(
            0,
            MAX_PAGE_FEATHER,
            0,
            step=1,
            label=texts.FEATHER,
            info=texts.FEATHER_INFO,
            min_width=200,
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


def _wire_reuse(tab: InpaintTab) -> None:
    results, notice = tab.buttons.results, tab.buttons.notice

    def reuse(files: tuple[Path, ...], event: gr.EventData) -> dict[Any, Any]:
        try:
            drawing = result_as_photo(files, getattr(event, "index", None))
        except ValueError as error:
            return {notice: Notice(str(error), "bad")}
        return {tab.canvas: drawing, notice: Notice(texts.REUSED, "good")}

    results.select(
        reuse,
        inputs=[results],
        outputs=[tab.canvas, notice],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    ).success(None, js=SHOW_CANVAS, api_visibility="private")
