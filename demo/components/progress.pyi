"""The line under the buttons: what a run is doing, how far it is, and what went wrong."""

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr
from gradio.data_classes import GradioModel
from PIL import Image

from demo.components import assets

@dataclass(frozen=True)
class Notice:
    """One state of the line."""

    message: str = ""
    tone: Literal["plain", "busy", "good", "bad"] = "plain"
    share: float | None = None  # of the work that is done, in [0, 1]; None: no bar
    preview: Image.Image | None = None  # the picture so far
    keeps_preview: bool = False  # without a new preview the one on the page stays

class NoticeData(GradioModel):
    """A `Notice` on its way to the page; the preview is a data address."""

    message: str = ""
    tone: str = "plain"
    share: float | None = None
    preview: str | None = None
    keeps_preview: bool = False

from gradio.events import Dependency

class NoticeLine(gr.HTML):
    """Shows a `Notice`. It takes no input from the page."""

    data_model = NoticeData

    def __init__(self, value: Notice | None = None, **gradio_options: Any):
        super().__init__(
            value=value,
            html_template=assets.read("progress.html"),
            css_template=assets.read("progress.css"),
            js_on_load=assets.read("progress.js"),
            apply_default_css=False,
            **gradio_options,
        )

    def preprocess(self, payload: NoticeData | None) -> None:
        """Take nothing: the line only shows."""

    def postprocess(self, value: Notice | None) -> NoticeData:
        """Return the notice with its preview as a JPEG data address."""
        notice = value or Notice()
        return NoticeData(
            message=notice.message,
            tone=notice.tone,
            share=notice.share,
            preview=_data_address(notice.preview) if notice.preview else None,
            keeps_preview=notice.keeps_preview,
        )

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"message": "Step 3 of 50"}

    def example_value(self) -> Notice:
        """Return a value as a Python caller would set it."""
        return Notice("Step 3 of 50")
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component

def _data_address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
