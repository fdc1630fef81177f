"""Sentences about runs: how long they wait, how far they are, what was unexpected about them."""

import math

from demo.components.canvas import Drawing
from demo.handlers import Running
from demo.line import Waiting
from demo.texts import operations as texts
from gligen.request import Request, Result


def describe_wait(wait: Waiting) -> str:
    """Say how many runs are before a person's own, and how long they may take, in words."""
    if wait.ahead == 0:
        return texts.WAITING
    about = ""
    if wait.seconds_left is not None and wait.seconds_left >= 1:
        about = texts.ABOUT.format(time=describe_time(wait.seconds_left))
    sentence = texts.NEXT if wait.ahead == 1 else texts.IN_LINE
    return sentence.format(ahead=wait.ahead, about=about)


def describe_step(event: Running) -> str:
    """Say how far a run is, in words."""
    if event.step == 0:
        return texts.STARTING
    text = f"Step {event.step} of {event.num_steps}"
    return text if event.step < 2 else text + describe_time_left(event.seconds_left)


def describe_time_left(seconds_left: float | None) -> str:
    """Return the end of a sentence that says how long a run goes on; empty if nobody knows."""
    return "" if seconds_left is None else f", about {describe_time(seconds_left)} left"


def describe_time(seconds: float) -> str:
    """Say a length of time, in words."""
    whole = math.ceil(seconds)
    if whole < 90:
        return texts.SECONDS.format(seconds=whole)
    return texts.MINUTES.format(minutes=whole // 60, seconds=whole % 60)


def describe_request(request: Request, drawing: Drawing) -> list[str]:
    """Say what a person may not expect of this request: holes without phrase, unused phrases."""
    notes = []
    holes = [
        str(number)
        for number, r in zip(drawing.numbers, request.layout, strict=True)
        if not r.is_grounded
    ]
    if holes:
        boxes = f"Box {holes[0]} has" if len(holes) == 1 else f"Boxes {', '.join(holes)} have"
        notes.append(f"{boxes} no name: the hole is filled from the prompt and its surroundings.")
    if drawing.pending:
        notes.append(f"Not used, because there is no box for it: {'; '.join(drawing.pending)}.")
    if request.inpaint_image is not None and request.inpaint_mask is not None:
        notes.append("The painted mask was repainted; everything else is as it was.")
    elif request.inpaint_image is not None:
        unused = " The painted mask was not used." if drawing.mask is not None else ""
        notes.append(f"The boxes were repainted; everything else is as it was.{unused}")
    return notes


def describe_withheld(result: Result) -> list[str]:
    """Say that the safety checker painted pictures black."""
    count, total = sum(result.withheld), len(result.images)
    if count == 0:
        return []
    if total == 1:
        return [texts.WITHHELD]
    return [texts.SOME_WITHHELD.format(count=count, total=total)]


def describe_tau(request: Request, usual: float) -> list[str]:
    """Say that reference pictures act for less of the steps than they usually do.

    Args:
        request: that was answered.
        usual: the tau of the kind that answered it, unless a person says another.
    """
    tau = request.gate_schedule
    layout = request.layout
    has_pictures = layout.style is not None or any(r.image is not None for r in layout)
    if not has_pictures or isinstance(tau, tuple) or tau >= usual:
        return []
    return [
        f"Grounding acted in {tau:.0%} of the steps (tau). With pictures {usual:.0%} is usual: "
        "raise tau if they do not show."
    ]
