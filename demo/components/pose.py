"""The canvas for people: a Gradio component on which skeletons are placed and bent.

The page's half is `pose.html`, `pose.css` and the `pose*.js` scripts. What arrives from there is
data of strangers: `read_people` checks every part of it.
"""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.data_classes import GradioModel

from demo.components import assets
from demo.components.refusing import refusal
from demo.texts import keypoints as texts
from gligen.person import BONES, JOINTS, MAX_PERSONS, Person
from gligen.pictures.poses import poses_from

SCRIPTS = (
    *("words.js", "undo.js", "pose_model.js", "pose_file.js"),
    *("pose_view.js", "pose.js", "pose_pointer.js", "pose_keys.js"),
)

# The left side of a person who stands and looks at us, one high; x is measured from the middle.
_LEFT = {
    "eye": (0.022, 0.055),
    "ear": (0.05, 0.07),
    "shoulder": (0.11, 0.2),
    "elbow": (0.16, 0.35),
    "wrist": (0.18, 0.49),
    "hip": (0.075, 0.51),
    "knee": (0.085, 0.74),
    "ankle": (0.09, 0.96),
}


def standing_figure() -> list[tuple[float, float]]:
    """Return the joints of the figure that a new person has, in the order of `JOINTS`."""
    points = []
    for joint in JOINTS:
        side, _, part = joint.partition(" ")
        x, y = _LEFT.get(part, (0, 0.09))  # the nose is in the middle
        points.append((-x if side == "right" else x, y))
    return points


class PoseData(GradioModel):
    """What travels between page and server; `read_people` checks it."""

    persons: Any = ()


def read_people(persons: Any) -> tuple[Person, ...]:
    """Check what the page or a program sent and return it.

    Raises:
        ValueError: there are too many people, or one breaks a rule; the sentence names which.
        TypeError: a part has the wrong type.
    """
    entries = [] if persons is None else persons
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"The people are {persons!r}; they must be a list.")
    if len(entries) > MAX_PERSONS:
        raise ValueError(
            f"There are {len(entries)} people; the model has slots for {MAX_PERSONS}. Delete "
            f"{len(entries) - MAX_PERSONS} of them."
        )
    return poses_from(list(entries))


class PoseCanvas(gr.HTML):
    """A canvas whose value is a tuple of `Person` objects.

    Args:
        name: prefix of its id, unique on the page.
        width: pixels of the picture; only the ratio matters.
        height: as `width`.
    """

    data_model = PoseData

    def __init__(self, *, name: str, width: int = 512, height: int = 512, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("pose.html"),
            css_template=assets.read("editor.css", "pose.css"),
            js_on_load=assets.read(*SCRIPTS),
            apply_default_css=False,
            elem_id=f"{name}-canvas",
            width=width,
            height=height,
            joints=JOINTS,
            bones=BONES,
            figure=standing_figure(),
            max_persons=MAX_PERSONS,
            texts=texts.EDITOR,
            **gradio_options,
        )

    def preprocess(self, payload: PoseData | None) -> tuple[Person, ...]:
        """Return the checked people; a fault becomes the sentence that the page shows."""
        try:
            return read_people(None if payload is None else payload.persons)
        except (ValueError, TypeError) as error:
            raise refusal(error, title=texts.TITLE_OF_FAULT) from None

    def postprocess(self, value: Sequence[Person] | None) -> PoseData:
        """Return the data that redraws the canvas."""
        return PoseData(persons=[list(person.keypoints) for person in value or ()])

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would send it."""
        return {"persons": [[[0.5, 0.5], *[None] * (len(JOINTS) - 1)]]}

    def example_value(self) -> tuple[Person, ...]:
        """Return a value as a Python caller would set it."""
        return (Person(tuple((0.5 + x, y) for x, y in standing_figure())),)
