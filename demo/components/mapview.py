"""Shows a map as the model reads it."""

import base64
import io
from typing import Any

import gradio as gr
from gradio.data_classes import GradioModel
from PIL import Image

from demo.components import assets
from demo.maps import MapView
from demo.texts import maps as texts


class MapViewData(GradioModel):
    """A `MapView` on its way to the page; the picture is a data address."""

    image: str | None = None
    message: str = ""
    is_bad: bool = False


class MapPreview(gr.HTML):
    """Shows a `MapView`. It takes no input from the page."""

    data_model = MapViewData

    def __init__(self, value: MapView | None = None, **gradio_options: Any):
        super().__init__(
            value=value,
            html_template=assets.read("mapview.html"),
            css_template=assets.read("mapview.css"),
            js_on_load=assets.read("words.js", "mapview.js"),
            apply_default_css=False,
            texts=texts.PREVIEW,
            **gradio_options,
        )

    def preprocess(self, payload: MapViewData | None) -> None:
        """Take nothing: the view only shows."""

    def postprocess(self, value: MapView | None) -> MapViewData:
        """Return the view with its picture as a PNG data address."""
        view = value or MapView()
        return MapViewData(
            image=_data_address(view.image) if view.image else None,
            message=view.message,
            is_bad=view.is_bad,
        )

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"message": texts.HINTS["depth"]}

    def example_value(self) -> MapView:
        """Return a value as a Python caller would set it."""
        return MapView(message=texts.HINTS["depth"])


def _data_address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
