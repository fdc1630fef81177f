"""The tab Compare: what is laid out in Generate, with more and with less grounding."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.comparing import (
    DEFAULT_TAUS,
    LEAST_TAUS,
    MOST_TAUS,
    Comparing,
    ComparisonStopped,
    VariantMade,
    comparable,
    compare,
    read_variants,
)
from demo.comparison_view import ComparisonFiles, describe_sketch, sketch_of
from demo.components.progress import Notice, NoticeLine
from demo.components.results import Gallery, ResultView
from demo.describing import describe_time_left, describe_wait
from demo.gallery import output_folder
from demo.handlers import Running, Stopped, request_for
from demo.jobs import Caller, Task, take_turn
from demo.line import Place, Waiting
from demo.tabs.generate import GenerateTab, read_asked
from demo.tabs.running import (
    RunButtons,
    Workshop,
    describe_stop,
    ready,
    until_done,
    wire,
)
from demo.texts import compare as texts
from demo.texts import operations

MODES = [(texts.ON_OFF, "on_off"), (texts.SWEEP, "sweep")]
LOOK = {"on_off": texts.LOOK_ON_OFF, "sweep": texts.LOOK_SWEEP}


@dataclass(frozen=True)
class CompareTab:
    """Components of the tab."""

    sketch: ResultView  # what is drawn in Generate
    summary: NoticeLine
    mode: gr.Radio
    taus: gr.Textbox
    buttons: RunButtons


def build(workshop: Workshop, source: GenerateTab, place: gr.Tab) -> CompareTab:
    """Build the tab and wire its events.

    Args:
        workshop: what the tabs share.
        source: the tab Generate, whose drawing and settings are compared.
        place: the tab that is built into.
    """
    gr.Markdown(texts.INTRODUCTION)
    with gr.Row(equal_height=False, elem_classes="tab-body"):
        with gr.Column(scale=3, min_width=300):
            mode = gr.Radio(MODES, value="on_off", label=texts.MODE, elem_id="compare-mode")
            taus = gr.Textbox(
                ", ".join(f"{tau:g}" for tau in DEFAULT_TAUS),
                label=texts.TAUS,
                info=texts.TAUS_INFO.format(least=LEAST_TAUS, most=MOST_TAUS),
                max_length=200,
                visible=False,
                elem_id="compare-taus",
            )
            start, stop, notice = _build_steering()
            # On a phone this stands below the results.
            with gr.Column(elem_classes="settings"):
                summary = NoticeLine(elem_id="compare-summary")
                sketch = ResultView(
                    placeholder=texts.NOTHING_YET, elem_id="compare-sketch", elem_classes="sketch"
                )
        with gr.Column(scale=8, min_width=320):
            results = ResultView(
                placeholder=texts.PLACEHOLDER, compact=True, elem_id="compare-results"
            )
    tab = CompareTab(sketch, summary, mode, taus, RunButtons(start, stop, notice, results))
    mode.change(
        lambda chosen: gr.Textbox(visible=chosen == "sweep"),
        inputs=[mode],
        outputs=[taus],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    _wire_sketch(tab, source, workshop, place)
    _wire_run(tab, source, workshop)
    return tab


def _build_steering() -> tuple[gr.Button, gr.Button, NoticeLine]:
    with gr.Row(elem_classes="run-buttons"):
        start = gr.Button(texts.START, variant="primary", scale=3, elem_id="compare-start")
        stop = gr.Button(
            operations.STOP,
            variant="stop",
            scale=1,
            min_width=90,
            interactive=False,
            elem_id="compare-stop",
        )
    return start, stop, NoticeLine(elem_id="compare-notice")


def _wire_sketch(tab: CompareTab, source: GenerateTab, workshop: Workshop, place: gr.Tab) -> None:
    """Show what is drawn in Generate whenever a person comes from there."""

    def look(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            asked = read_asked(source, workshop, values)
            request = request_for(workshop.service.card, asked)
        except (ValueError, TypeError) as error:
            return {tab.sketch: Gallery(), tab.summary: Notice(str(error))}
        size = workshop.service.card.image_sizes[asked.kind]
        return {
            tab.sketch: sketch_of(request, size, asked.drawing.numbers),
            tab.summary: Notice(describe_sketch(request)),
        }

    place.select(
        look,
        inputs=source.inputs(),
        outputs=[tab.sketch, tab.summary],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _wire_run(tab: CompareTab, source: GenerateTab, workshop: Workshop) -> None:
    def key(request: gr.Request) -> str:
        return f"{request.session_hash}/compare"

    def run(values: dict[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        yield from run_comparison(workshop, key(request), tab, source, values)

    inputs = {*source.inputs(), tab.mode, tab.taus}
    wire(tab.buttons, inputs, run, key, workshop.signals, source.controls.seed)


def run_comparison(
    workshop: Workshop,
    key: str,
    tab: CompareTab,
    source: GenerateTab,
    values: Mapping[Any, Any],
) -> Iterator[dict[Any, Any]]:
    """Make all pictures and yield what the page shows; a fault becomes a sentence on the page."""
    signal, buttons, mode = workshop.signals.signal(key), tab.buttons, values[tab.mode]
    caller, card = Caller(key.partition("/")[0], signal), workshop.service.card

    def updates() -> Iterator[dict[Any, Any]]:
        asked = read_asked(source, workshop, values)
        request = comparable(request_for(card, asked))
        variants = read_variants(mode, values[tab.taus], request)

        def paint(_: Place) -> Iterator[Comparing | ComparisonStopped | VariantMade]:
            yield from compare(workshop.service, asked.kind, request, variants, signal.is_set)

        task = Task(asked.kind, request, paint)
        with (
            output_folder(workshop.folder) as folder,
            closing(take_turn(workshop.desk, caller, lambda: task)) as events,
        ):
            size, numbers = card.image_sizes[asked.kind], asked.drawing.numbers
            files = ComparisonFiles(request, variants, size, numbers, folder, LOOK[mode])
            for event in events:
                if signal.reason == "replaced":  # the buttons belong to the newer run
                    return
                match event:
                    case Waiting():
                        yield {buttons.notice: Notice(describe_wait(event), "busy", share=0)}
                    case Running():
                        notice = Notice(texts.STARTING, "busy", share=0)
                        yield {buttons.notice: notice, buttons.results: files.gallery()}
                    case Stopped():
                        yield {
                            **ready(buttons),
                            buttons.notice: Notice(describe_stop(event, signal)),
                        }
                    case VariantMade():
                        files.add(event.index, event.result)
                        yield {buttons.results: files.gallery()}
                    case _:
                        yield _going(event, buttons)
            if files.is_complete:
                yield {
                    **ready(buttons),
                    buttons.notice: Notice(),
                    source.controls.seed: request.seed,
                }

    yield from until_done(updates(), workshop, buttons, key, signal)


def _going(event: Comparing | ComparisonStopped, buttons: RunButtons) -> dict[Any, Any]:
    where = {
        "index": event.index + 1,
        "count": event.num_variants,
        "step": event.step,
        "num_steps": event.num_steps,
    }
    if isinstance(event, ComparisonStopped):
        text = texts.STOPPED.format(**where)
        return {**ready(buttons), buttons.notice: Notice(text, keeps_preview=True)}
    text = texts.STEP.format(**where) + describe_time_left(event.seconds_left)
    notice = Notice(text, "busy", event.share, event.preview, keeps_preview=True)
    return {buttons.notice: notice}
