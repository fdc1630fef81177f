"""Runs a request for a tab: turns what happens into what its components show."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.components.progress import Notice, NoticeLine
from demo.components.results import ResultView
from demo.describing import describe_request, describe_step, describe_tau, describe_wait
from demo.gallery import output_folder, write_gallery
from demo.handlers import Asked, Finished, Options, Running, Stopped, follow, request_for
from demo.service import PictureService
from demo.session import StopSignals

logger = logging.getLogger(__name__)

# Everything that computes waits in one line, whichever tab or endpoint it comes from.
DEVICE_QUEUE = "device"

BROKEN = (
    "The picture was not made: something went wrong inside the app (its terminal shows what), or "
    "too many people are waiting. The page goes on working: try again in a moment."
)


@dataclass(frozen=True)
class Workshop:
    """What the tabs share."""

    service: PictureService
    signals: StopSignals
    defaults: Options  # first values of the settings
    folder: Path | None = None  # where finished pictures are kept; None: nowhere


@dataclass(frozen=True)
class RunButtons:
    """Components that show and steer a run."""

    start: gr.Button
    stop: gr.Button
    notice: NoticeLine
    results: ResultView


def build_buttons(start_label: str, placeholder: str, name: str) -> RunButtons:
    """Build the buttons, the line below them, and the place for results."""
    with gr.Row(elem_classes="run-buttons"):
        start = gr.Button(start_label, variant="primary", scale=3, elem_id=f"{name}-start")
        stop = gr.Button(
            "Stop", variant="stop", scale=1, min_width=90, interactive=False, elem_id=f"{name}-stop"
        )
    notice = NoticeLine(elem_id=f"{name}-notice")
    results = ResultView(placeholder=placeholder, elem_id=f"{name}-results")
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
        ahead = signals.enter(key(request))
        return {
            buttons.start: gr.Button(interactive=False),
            buttons.stop: gr.Button(interactive=True),
            buttons.notice: Notice(describe_wait(ahead), "busy", share=0),
        }

    def stop(request: gr.Request) -> dict[Any, Any]:
        signals.stop(key(request))
        return {buttons.stop: gr.Button("Stopping...", interactive=False)}

    def failed(request: gr.Request) -> dict[Any, Any]:
        signals.finish(key(request))
        return {**ready(buttons), buttons.notice: Notice(BROKEN, "bad")}

    outputs = [buttons.start, buttons.stop, buttons.notice, buttons.results, seed]
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    started = buttons.start.click(waiting, outputs=outputs[:3], queue=False, **quiet)
    done = started.then(
        run,
        inputs=inputs,
        outputs=outputs,
        concurrency_id=DEVICE_QUEUE,
        concurrency_limit=1,
        **quiet,
    )
    done.failure(failed, outputs=outputs[:3], queue=False, **quiet)
    buttons.stop.click(stop, outputs=[buttons.stop], queue=False, **quiet)


def ready(buttons: RunButtons) -> dict[Any, Any]:
    """Return the buttons as they are when nothing runs."""
    return {
        buttons.start: gr.Button(interactive=True),
        buttons.stop: gr.Button("Stop", interactive=False),
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
    try:
        asked = read()
        request = request_for(workshop.service.card, asked)
        if signal.is_set():
            yield {**ready(buttons), buttons.notice: Notice("Stopped before it began.")}
            return
        yield {buttons.notice: Notice("Starting...", "busy", share=0)}
        for event in follow(workshop.service, asked.kind, request, signal.is_set):
            if isinstance(event, Finished):
                yield from _finished(event, asked, workshop, buttons, seed)
            else:
                yield _going(event, buttons)
    except (ValueError, TypeError) as error:
        yield {**ready(buttons), buttons.notice: Notice(str(error), "bad")}
    except (RuntimeError, OSError, MemoryError):
        logger.exception("A picture could not be made.")
        yield {**ready(buttons), buttons.notice: Notice(BROKEN, "bad")}
    finally:
        workshop.signals.finish(key, signal)


def _finished(
    event: Finished, asked: Asked, workshop: Workshop, buttons: RunButtons, seed: gr.Number
) -> Iterator[dict[Any, Any]]:
    request, drawing = event.result.request, asked.drawing
    notes = describe_request(request, drawing)
    notes += describe_tau(request, workshop.service.card.tau(asked.kind))
    # The files have to be there until the page has taken its copies, which is before this goes on.
    with output_folder(workshop.folder) as folder:
        yield {
            **ready(buttons),
            buttons.notice: Notice(),
            buttons.results: write_gallery(event.result, folder, notes, drawing.numbers),
            seed: event.result.seeds[0],
        }


def _going(event: Running | Stopped, buttons: RunButtons) -> dict[Any, Any]:
    if isinstance(event, Stopped):
        text = f"Stopped after step {event.step} of {event.num_steps}."
        return {**ready(buttons), buttons.notice: Notice(text, keeps_preview=True)}
    share = event.step / event.num_steps
    notice = Notice(describe_step(event), "busy", share, event.preview, keeps_preview=True)
    return {buttons.notice: notice}
