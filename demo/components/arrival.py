"""What a browser brings along when the page is opened; nothing of it is shown."""

import uuid
from typing import Any

import gradio as gr
from gradio.data_classes import GradioModel

from demo.components import assets
from demo.links import FRAGMENT
from demo.recipes import TABS


class ArrivalData(GradioModel):
    """As the page sends it: data of strangers, which is checked where it is read."""

    secret: Any = None  # of the visit
    kept: Any = None  # tab -> JSON text of its recipe
    link: Any = None  # packed recipe
    turn: str = ""  # new with each answer, so that the page notices it


class Arrival(gr.HTML):
    """Says what the browser brings, once the page is there and whenever a link is opened on it.

    As an output of an event it says, by its event submit, that tabs were filled.
    """

    data_model = ArrivalData

    def __init__(self, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template="<span></span>",
            js_on_load=assets.read("arrival.js"),
            apply_default_css=False,
            visible="hidden",
            tabs=TABS,
            fragment=FRAGMENT,
            **gradio_options,
        )

    def preprocess(self, payload: ArrivalData | None) -> ArrivalData:
        """Return what came, unchecked."""
        return payload or ArrivalData()

    def postprocess(self, value: None) -> ArrivalData:  # noqa: ARG002 (Gradio's signature)
        """Return nothing but that tabs were filled; the page then lets the browser keep them."""
        return ArrivalData(turn=uuid.uuid4().hex)

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would send it."""
        return {"kept": {}}

    def example_value(self) -> None:
        """Return a value as a Python caller would set it."""
