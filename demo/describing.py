"""Sentences about runs: how long they wait, how far they are, what was unexpected about them."""

import math

from demo.components.canvas import Drawing
from demo.handlers import Running
from gligen.request import Request


def describe_wait(ahead: int) -> str:
    """Say how many runs are before a person's own, in words."""
    if ahead == 0:
        return "Waiting for the model..."
    return f"Waiting: {ahead} {'run is' if ahead == 1 else 'runs are'} before yours."


def describe_step(event: Running) -> str:
    """Say how far a run is, in words."""
    text = f"Step {event.step} of {event.num_steps}"
    if event.seconds_left is None or event.step < 2:
        return text
    seconds = math.ceil(event.seconds_left)
    left = f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"
    return f"{text}, about {left} left"


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
