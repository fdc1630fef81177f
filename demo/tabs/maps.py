"""The tab Maps: edges, depth, normals or classes of the whole picture become a picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.components.canvas import Drawing
from demo.components.mapview import MapPreview
from demo.components.picture import PictureField
from demo.handlers import Asked
from demo.maps import MAP_KINDS, MapView, edges_of, look_at, open_map_file
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from gligen.kinds import kind_named
from gligen.layout import Layout
from gligen.pictures.ade import NAMES
from gligen.pictures.canny import HIGH, LOW

PLACEHOLDER = "Choose a map, write a prompt, press Generate.\nThe picture appears here."
MAX_THRESHOLD = 1000  # edges of photographs are rarely stronger


@dataclass(frozen=True)
class MapsTab:
    """Components of the tab."""

    kind: gr.Radio
    map: PictureField
    from_photo: gr.Column  # what is shown for canny only
    photo: PictureField
    low: gr.Slider
    high: gr.Slider
    classes: gr.Accordion  # shown for semantic only
    preview: MapPreview
    controls: Controls
    buttons: RunButtons


def build(workshop: Workshop) -> MapsTab:
    """Build the tab and wire its events."""
    card = workshop.service.card
    kinds = [kind for kind in MAP_KINDS if card.has(kind)]
    first = kinds[0]
    prompt, append = build_prompt("What the whole picture shows.", has_phrases=False)
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=7, min_width=340):
            choices = [(_title(kind, card.label_names), kind) for kind in kinds]
            kind = gr.Radio(choices, value=first, label="Kind of map")
            with gr.Row(elem_classes="map-row"):
                with gr.Column(min_width=220):
                    map_field = PictureField(
                        name="maps-map", caption="Map", call="Choose a map", tallest=150
                    )
                    with gr.Column(visible=first == "canny", elem_classes="pictures") as from_photo:
                        photo, low, high = _build_photo()
                    with gr.Accordion(
                        "All classes and their labels", open=False, visible=first == "semantic"
                    ) as classes:
                        gr.Markdown(
                            ", ".join(f"{i} {name}" for i, name in enumerate(card.label_names))
                        )
                with gr.Column(min_width=260):
                    preview = MapPreview(
                        look_at(None, first, card.image_sizes[first], card.label_names),
                        elem_id="maps-preview",
                    )
            with gr.Column(elem_classes="settings"):
                controls = build_controls(prompt, append, workshop.defaults, card.tau(first))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            buttons = build_buttons("Generate", PLACEHOLDER, "maps")
    tab = MapsTab(
        kind, map_field, from_photo, photo, low, high, classes, preview, controls, buttons
    )
    _wire_map(tab, workshop)
    _wire_run(tab, workshop)
    return tab


def _title(kind: str, names: Sequence[str]) -> str:
    title = kind_named(kind).title
    if kind == "semantic" and names != NAMES:
        title = f"semantic map of this model's {len(names)} classes"
    return title[0].upper() + title[1:]


def _build_photo() -> tuple[PictureField, gr.Slider, gr.Slider]:
    photo = PictureField(
        name="maps-photo",
        caption="Or take the edges of a photo",
        call="Choose a photo",
        tallest=150,
    )
    low = gr.Slider(
        0,
        MAX_THRESHOLD,
        LOW,
        step=5,
        label="Lower threshold",
        info="Edges this strong count where they continue a strong one",
    )
    high = gr.Slider(
        0,
        MAX_THRESHOLD,
        HIGH,
        step=5,
        label="Upper threshold",
        info="Edges stronger than this always count",
    )
    return photo, low, high


def _wire_map(tab: MapsTab, workshop: Workshop) -> None:
    """Show what the model reads as soon as the map, its kind or the photo changes."""
    card = workshop.service.card

    def show(kind: str, path: Any) -> MapView:
        return look_at(path, kind, card.image_sizes[kind], card.label_names)

    def change_kind(kind: str, path: Any) -> dict[Any, Any]:
        shown: dict[Any, Any] = {
            tab.preview: show(kind, path),
            tab.from_photo: gr.Column(visible=kind == "canny"),
            tab.classes: gr.Accordion(visible=kind == "semantic"),
        }
        if workshop.defaults.tau is None:
            shown[tab.controls.tau] = card.tau(kind)
        return shown

    def derive(photo: Any, low: float, high: float) -> dict[Any, Any]:
        if photo is None:
            return {tab.photo: gr.skip()}
        size = card.image_sizes["canny"]
        try:
            edges = edges_of(photo, low, high, size)
        except ValueError as error:
            return {tab.preview: MapView(message=str(error), is_bad=True)}
        return {tab.map: edges, tab.preview: MapView(edges)}

    quiet = {
        "show_progress": "hidden",
        "api_visibility": "private",
        # A large map takes a second and much memory; not everybody's at once.
        "concurrency_id": "maps",
        "concurrency_limit": 2,
    }
    tab.map.change(show, inputs=[tab.kind, tab.map], outputs=[tab.preview], **quiet)
    tab.kind.change(
        change_kind,
        inputs=[tab.kind, tab.map],
        outputs=[tab.preview, tab.from_photo, tab.classes, tab.controls.tau],
        **quiet,
    )
    gr.on(
        [tab.photo.change, tab.low.change, tab.high.change],
        derive,
        inputs=[tab.photo, tab.low, tab.high],
        outputs=[tab.map, tab.preview, tab.photo],
        trigger_mode="always_last",
        **quiet,
    )


def _wire_run(tab: MapsTab, workshop: Workshop) -> None:
    def key(request: gr.Request) -> str:
        return f"{request.session_hash}/maps"

    def run(values: Mapping[Component, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        def read() -> Asked:
            kind = values[tab.kind]
            layout = Layout(map=open_map_file(values[tab.map], kind))
            return Asked(kind, read_options(tab.controls, values), Drawing(layout))

        yield from run_request(workshop, key(request), tab.buttons, tab.controls.seed, read)

    inputs = {tab.kind, tab.map, *tab.controls.inputs()}
    wire(tab.buttons, inputs, run, key, workshop.signals, tab.controls.seed)
