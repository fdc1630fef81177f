"""Runs a request for a tab: turns what happens into what its components show."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.components.progress import Notice, NoticeLine
from demo.components.results import ResultView
from demo.describing import (
    describe_request,
    describe_step,
    describe_tau,
    describe_wait,
    describe_withheld,
)
from demo.desk import Desk
from demo.gallery import output_folder, write_gallery
from demo.handlers import Asked, Options, Stopped
from demo.history import Visits
from demo.jobs import Caller, JobEvent, Made, Replaced, work
from demo.knowing import describe_unknown
from demo.line import Waiting
from demo.remembering import remember
from demo.service import PictureService
from demo.session import StopSignal, StopSignals
from demo.texts import operations as texts

# Everything that computes waits in the line of the desk, whichever tab or endpoint it comes from.
# Gradio's own queue lets all of it through at once, so that those who wait hear where they are.
DEVICE_QUEUE = "device"
DEVICE_LIMIT = None


@dataclass(frozen=True)
class Workshop:
    """What the tabs share."""

    service: PictureService
    desk: Desk
    defaults: Options  # first values of the settings
    folder: Path | None = None  # where finished pictures are kept; None: nowhere
    visits: Visits | None = None  # keep finished pictures for those who made them

    @property
    def signals(self) -> StopSignals:
        """The stop signals of all runs."""
        return self.desk.signals


@dataclass(frozen=True)
class RunButtons:
    """Components that show and steer a run."""

    start: gr.Button
    stop: gr.Button
    notice: NoticeLine
    results: ResultView


def build_buttons(
    start_label: str, placeholder: str, name: str, can_reuse: bool = False
) -> RunButtons:
    """Build the buttons, the line below them, and the place for results.

    Args:
        start_label: what the button says that begins a run.
        placeholder: what stands where results will be.
        name: prefix of the ids.
        can_reuse: whether a person can go on with a result; see `ResultView`.
    """
    with gr.Row(elem_classes="run-buttons"):
        start = gr.Button(start_label, variant="primary", scale=3, elem_id=f"{name}-start")
        stop = gr.Button(
            texts.STOP,
            variant="stop",
            scale=1,
            min_width=90,
            interactive=False,
            elem_id=f"{name}-stop",
        )
    notice = NoticeLine(elem_id=f"{name}-notice")
    results = ResultView(placeholder=placeholder, can_reuse=can_reuse, elem_id=f"{name}-results")
    return RunButtons(start, stop, notice, results)


def wire(
    buttons: RunButtons,
    inputs: set[Any],
    run: Callable[[dict[Any, Any], gr.Request], Iterator[dict[Any, Any]]],
    key: Callable[[gr.Request], str],
    signals: StopSignals,
    seed: gr.Number,
) -> None:
    """Connect Generate and Stop; the buttons change at once, before the run has its turn.

    A run writes the seed that it used into `seed`, so that ticking "fixed" repeats the picture.
    """

    def waiting(request: gr.Request) -> dict[Any, Any]:
        signals.enter(key(request), address_of(request))
        return {
            buttons.start: gr.Button(interactive=False),
            buttons.stop: gr.Button(interactive=True),
            buttons.notice: Notice(texts.WAITING, "busy", share=0),
        }

    def stop(request: gr.Request) -> dict[Any, Any]:
        signals.stop(key(request))
        return {buttons.stop: gr.Button(texts.STOPPING, interactive=False)}

    def failed(request: gr.Request) -> dict[Any, Any]:
        signals.finish(key(request))
        return {**ready(buttons), buttons.notice: Notice(texts.LOST, "bad")}

    outputs = [buttons.start, buttons.stop, buttons.notice, buttons.results, seed]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    started = buttons.start.click(waiting, outputs=outputs[:3], queue=False, **quiet)
    done = started.then(
        run,
        inputs=inputs,
        outputs=outputs,
        concurrency_id=DEVICE_QUEUE,
        concurrency_limit=DEVICE_LIMIT,
        **quiet,
    )
    done.failure(failed, outputs=outputs[:3], queue=False, **quiet)
    buttons.stop.click(stop, outputs=[buttons.stop], queue=False, **quiet)


def ready(buttons: RunButtons) -> dict[Any, Any]:
    """Return the buttons as they are when nothing runs."""
    return {
        buttons.start: gr.Button(interactive=True),
        buttons.stop: gr.Button(texts.STOP, interactive=False),
    }


def run_request(
    workshop: Workshop,
    key: str,
    buttons: RunButtons,
    seed: gr.Number,
    read: Callable[[], Asked],
) -> Iterator[dict[Any, Any]]:
    """Make pictures and yield what the page shows; a fault becomes a sentence on the page."""
    signal = workshop.signals.signal(key)
    caller = Caller(key.partition("/")[0], signal)

    def paint() -> Iterator[dict[Any, Any]]:
        with closing(work(workshop.desk, workshop.service, caller, read)) as events:
            for event in events:
                if signal.reason == "replaced":  # the buttons belong to the newer run
                    return
                if isinstance(event, Made):
                    yield from _finished(event, workshop, buttons, seed, key)
                else:
                    yield {buttons.notice: _going(event, signal)}
        if signal.is_set():
            yield ready(buttons)

    yield from until_done(paint(), workshop, buttons, key, signal)


def until_done(
    updates: Iterator[dict[Any, Any]],
    workshop: Workshop,
    buttons: RunButtons,
    key: str,
    signal: StopSignal,
) -> Iterator[dict[Any, Any]]:
    """Yield what a run shows; a fault becomes a sentence, and the run's signal is given back."""
    try:
        yield from updates
    except Replaced:
        yield {**ready(buttons), buttons.notice: Notice(texts.REPLACED)}
    except (ValueError, TypeError) as error:
        yield {**ready(buttons), buttons.notice: Notice(str(error), "bad")}
    except Exception as error:  # noqa: BLE001 (it is in the log; a page always gets a sentence)
        yield {**ready(buttons), buttons.notice: Notice(describe_fault(error), "bad")}
    finally:
        workshop.signals.finish(key, signal)


def _finished(
    made: Made, workshop: Workshop, buttons: RunButtons, seed: gr.Number, key: str
) -> Iterator[dict[Any, Any]]:
    result, asked = made.result, made.asked
    request, drawing, card = result.request, asked.drawing, workshop.service.card
    notes = describe_withheld(result) + describe_request(request, drawing)
    notes += describe_tau(request, card.tau(asked.kind))
    warning = describe_unknown(request.layout, drawing.numbers, card.known_names)
    # The files have to be there until the page has taken its copies, which is before this goes on.
    with output_folder(workshop.folder) as folder:
        gallery = write_gallery(result, folder, notes, drawing.numbers)
        if workshop.visits is not None:
            files = [picture.file for picture in gallery.pictures]
            remember(workshop.visits, key.partition("/")[0], asked, result, files)
        yield {
            **ready(buttons),
            buttons.notice: Notice(warning),
            buttons.results: gallery,
            seed: result.seeds[0],
        }


def _going(event: JobEvent, signal: StopSignal) -> Notice:
    if isinstance(event, Waiting):
        return Notice(describe_wait(event), "busy", share=0)
    if isinstance(event, Stopped):
        return Notice(describe_stop(event, signal), keeps_preview=True)
    share = event.step / event.num_steps
    return Notice(describe_step(event), "busy", share, event.preview, keeps_preview=True)


def describe_stop(event: Stopped, signal: StopSignal) -> str:
    """Say where a run stopped, in words."""
    if event.step == 0:
        return texts.CLOSING if signal.reason == "closing" else texts.STOPPED_WAITING
    sentence = texts.CUT_OFF if signal.reason == "closing" else texts.STOPPED
    return sentence.format(step=event.step, num_steps=event.num_steps)


def describe_fault(error: Exception) -> str:
    """Say what a person can do about a fault of the app, in words."""
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return texts.OUT_OF_MEMORY if is_memory else texts.BROKEN


def address_of(request: gr.Request) -> str:
    """Return the network address that a request came from."""
    client = request.client
    return client.host if client else ""
