"""The tab Maps: edges, depth, normals or classes of the whole picture become a picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr
import numpy as np
from gradio.components import Component

from demo import examples
from demo.components.canvas import Drawing
from demo.components.examplerow import ExampleRow
from demo.components.keeper import Keeper
from demo.components.mapview import MapPreview
from demo.components.painter import MapPainter, PaintedMap, map_size
from demo.components.picture import PictureField
from demo.components.progress import Notice
from demo.examples import MapExample
from demo.handlers import Asked
from demo.maps import (
    MAP_KINDS,
    MapView,
    edges_of,
    load_painting,
    look_at,
    open_map_file,
    semantic_map,
    title_of,
)
from demo.service import ModelCard
from demo.tabs.controls import Controls, build_controls, build_prompt, read_options
from demo.tabs.running import RunButtons, Workshop, build_buttons, run_request, wire
from demo.tabs.sample_row import build_examples, forget_faults, wire_choice
from demo.texts import maps as texts
from gligen.layout import Layout
from gligen.pictures.canny import HIGH, LOW
from gligen.world.labels import LABEL_NAMES

MAX_THRESHOLD = 1000  # edges of photographs are rarely stronger


@dataclass(frozen=True)
class MapsTab:
    """Components of the tab."""

    kind: gr.Radio
    painting: gr.Column  # the painter, shown for semantic only
    painter: MapPainter
    map: PictureField
    from_photo: gr.Column  # what is shown for canny only
    photo: PictureField
    low: gr.Slider
    high: gr.Slider
    beside: gr.Column  # the preview, shown for all others than semantic
    preview: MapPreview
    controls: Controls
    buttons: RunButtons
    keeper: Keeper


def build(workshop: Workshop) -> MapsTab:
    """Build the tab and wire its events."""
    card = workshop.service.card
    kinds = [kind for kind in MAP_KINDS if card.has(kind)]
    first, samples = kinds[0], fitting_examples(card)
    prompt, append = build_prompt(texts.PROMPT, has_phrases=False)
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=7, min_width=340):
            row = build_examples(samples, "maps") if samples else None
            choices = [(_title(kind, card.label_names), kind) for kind in kinds]
            kind = gr.Radio(choices, value=first, label=texts.KIND)
            # Not "hidden": Gradio shows such a column when its tab is opened for the first time.
            with gr.Column(visible=first == "semantic") as painting:
                painter = MapPainter(
                    name="maps",
                    size=map_size(card.image_sizes.get("semantic", (64, 64))),
                    label_names=card.label_names,
                )
            with gr.Row(elem_classes="map-row"):
                with gr.Column(min_width=220):
                    map_field = PictureField(
                        name="maps-map", caption=texts.MAP, call=texts.CHOOSE_MAP, tallest=150
                    )
                    with gr.Column(visible=first == "canny", elem_classes="pictures") as from_photo:
                        photo, low, high = _build_photo()
                with gr.Column(min_width=260, visible=first != "semantic") as beside:
                    view = look_at(None, first, card.image_sizes[first])
                    preview = MapPreview(view, elem_id="maps-preview")
            with gr.Column(elem_classes="settings"):
                controls = build_controls(prompt, append, workshop.defaults, card.tau(first))
        with gr.Column(scale=4, min_width=320):
            prompt.render()
            append.render()
            buttons = build_buttons("Generate", texts.PLACEHOLDER, "maps")
            keeper = Keeper("maps")
    tab = MapsTab(
        *(kind, painting, painter, map_field, from_photo, photo, low, high, beside, preview),
        *(controls, buttons, keeper),
    )
    _wire_map(tab, workshop)
    _wire_run(tab, workshop)
    made_of = (tab.kind.input, tab.map.change, tab.photo.change, tab.painter.change, prompt.input)
    forget_faults(made_of, buttons.notice)
    if row is not None:
        _wire_examples(tab, row, samples)
    return tab


def fitting_examples(card: ModelCard) -> list[MapExample]:
    """Return the examples whose kind is loaded, and whose classes are the model's own."""
    return [
        example
        for example in examples.MAPS
        if card.has(example.kind)
        and (example.kind != "semantic" or tuple(card.label_names) == LABEL_NAMES)
    ]


def _title(kind: str, names: Sequence[str]) -> str:
    title = title_of(kind, names)
    return title[0].upper() + title[1:]


def _painting_shown(kind: str) -> bool | Literal["hidden"]:
    """Say whether the painter is shown; it is there also when hidden, so that it keeps its map."""
    return True if kind == "semantic" else "hidden"


def _build_photo() -> tuple[PictureField, gr.Slider, gr.Slider]:
    photo = PictureField(
        name="maps-photo", caption=texts.FROM_PHOTO, call=texts.CHOOSE_PHOTO, tallest=150
    )
    low = gr.Slider(0, MAX_THRESHOLD, LOW, step=5, label=texts.LOWER, info=texts.LOWER_INFO)
    high = gr.Slider(0, MAX_THRESHOLD, HIGH, step=5, label=texts.UPPER, info=texts.UPPER_INFO)
    return photo, low, high


def _wire_map(tab: MapsTab, workshop: Workshop) -> None:
    """Show what the model reads as soon as the map, its kind or the photo changes."""
    card = workshop.service.card

    def show(kind: str, path: Any) -> dict[Any, Any]:
        if kind != "semantic":
            return {tab.preview: look_at(path, kind, card.image_sizes[kind])}
        if path is None:  # what is painted stays
            return {tab.painter: gr.skip()}
        size = map_size(card.image_sizes[kind])
        return {tab.painter: load_painting(path, size, card.label_names)}

    def change_kind(kind: str, path: Any) -> dict[Any, Any]:
        return {
            **show(kind, path),
            tab.painting: gr.Column(visible=_painting_shown(kind)),
            tab.beside: gr.Column(visible=kind != "semantic"),
            tab.from_photo: gr.Column(visible=kind == "canny"),
        }

    def usual_tau(kind: str) -> Any:
        return card.tau(kind) if workshop.defaults.tau is None else gr.skip()

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
    both = [tab.painter, tab.preview]
    tab.map.change(show, inputs=[tab.kind, tab.map], outputs=both, **quiet)
    tab.kind.change(
        change_kind,
        inputs=[tab.kind, tab.map],
        outputs=[*both, tab.painting, tab.beside, tab.from_photo],
        **quiet,
    )
    # Only where a person chooses the kind: settings that are loaded bring their own tau.
    tab.kind.input(usual_tau, inputs=[tab.kind], outputs=[tab.controls.tau], **quiet)
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
            kind, path = values[tab.kind], values[tab.map]
            is_semantic = kind == "semantic"
            painted = values[tab.painter]
            picture = semantic_map(path, painted) if is_semantic else open_map_file(path, kind)
            options = read_options(tab.controls, values)
            return Asked(kind, options, Drawing(Layout(map=picture)))

        yield from run_request(workshop, key(request), tab.buttons, tab.controls.seed, read)

    inputs = {tab.kind, tab.map, tab.painter, *tab.controls.inputs()}
    wire(tab.buttons, inputs, run, key, workshop.signals, tab.controls.seed)


def _wire_examples(tab: MapsTab, row: ExampleRow, samples: Sequence[MapExample]) -> None:
    def fill(example: MapExample) -> dict[Any, Any]:
        picture = example.drawing()
        filled = {tab.kind: example.kind, tab.controls.prompt: example.prompt}
        filled[tab.buttons.notice] = Notice()
        if example.kind == "semantic":
            return {**filled, tab.painter: PaintedMap(np.asarray(picture)), tab.map: None}
        return {**filled, tab.map: picture, tab.preview: MapView(picture)}

    outputs = [tab.kind, tab.painter, tab.map, tab.preview, tab.controls.prompt, tab.buttons.notice]
    wire_choice(row, samples, fill, outputs)
