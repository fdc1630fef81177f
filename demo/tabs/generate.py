"""The tab Generate: boxes and words become a picture."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from demo import examples
from demo.components.canvas import Canvas
from demo.components.keeper import Keeper
from demo.handlers import Asked, choose_kind
from demo.knowing import list_names
from demo.service import GENERATION, IMAGE_GENERATION
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.references import References, build_references, read_references
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from demo.tabs.sample_row import build_examples, wire_examples
from demo.tabs.size import SizeFields, build_size, read_size
from demo.texts import generate as texts


@dataclass(frozen=True)
class GenerateTab:
    """Components of the tab."""

    canvas: Canvas
    controls: Controls
    references: References
    size: SizeFields
    buttons: RunButtons
    keeper: Keeper

    def inputs(self) -> set[Component]:
        """Return the components that say what is asked for."""
        return {
            self.canvas,
            *self.controls.inputs(),
            *self.references.inputs(),
            *self.size.inputs(),
        }


def build(workshop: Workshop) -> GenerateTab:
    """Build the tab and wire its events."""
    card = workshop.service.card
    main = GENERATION if card.has(GENERATION) else IMAGE_GENERATION
    width, height = card.image_sizes[main]
    prompt, append = build_prompt()
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=7, min_width=340):
            sample_buttons = build_examples(examples.GENERATE, "generate")
            canvas = Canvas(
                name="generate",
                width=width,
                height=height,
                takes_pictures=card.has(IMAGE_GENERATION),
            )
            if card.known_names:
                gr.Markdown(list_names(card.known_names), elem_classes="small-print")
            with gr.Column(elem_classes="settings"):
                references = build_references(IMAGE_GENERATION, card, "generate")
                controls = build_controls(prompt, append, workshop.defaults, card.tau(main))
                size = build_size(canvas, (width, height))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            buttons = build_buttons("Generate", texts.PLACEHOLDER, "generate")
            keeper = Keeper("generate")
    tab = GenerateTab(canvas, controls, references, size, buttons, keeper)
    wire_examples(sample_buttons, examples.GENERATE, canvas, prompt, buttons.notice)
    _wire_run(tab, workshop)
    return tab


def _wire_run(tab: GenerateTab, workshop: Workshop) -> None:
    def key(request: gr.Request) -> str:
        return f"{request.session_hash}/generate"

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        def read() -> Asked:
            return read_asked(tab, workshop, values)

        yield from run_request(workshop, key(request), tab.buttons, tab.controls.seed, read)

    wire(tab.buttons, tab.inputs(), run, key, workshop.signals, tab.controls.seed)


def read_asked(tab: GenerateTab, workshop: Workshop, values: Mapping[Component, Any]) -> Asked:
    """Return what a person asks for with the tab.

    Raises:
        ValueError: a field is empty, or no loaded kind can follow the layout.
    """
    drawing, more = read_references(tab.references, values, values[tab.canvas])
    kind = choose_kind(workshop.service.card, "generation", drawing.layout)
    more |= read_size(tab.size, values)
    return Asked(kind, read_options(tab.controls, values, **more), drawing)
