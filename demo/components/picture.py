"""A place for one picture: chosen or dropped, shown, taken away again."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from demo.components import assets
from demo.components.canvas import MAX_FILE_BYTES
from gligen.pictures.images import MAX_PIXELS


class FieldData(GradioModel):
    """What travels between page and server."""

    file: FileData | None = None


class PictureField(gr.HTML):
    """A picture field; its value is the path of the uploaded file, not yet opened, or None.

    Args:
        name: id of the field, unique on the page.
        caption: what stands above it, and what it is called for those who cannot see it.
        call: what the empty field says.
        tallest: pixels that a shown picture may be high.
    """

    data_model = FieldData

    def __init__(
        self,
        *,
        name: str,
        caption: str,
        call: str = "Choose a picture",
        tallest: int = 220,
        **gradio_options: Any,
    ):
        super().__init__(
            value=None,
            html_template=assets.read("picture.html"),
            css_template=assets.read("picture.css"),
            js_on_load=assets.read("files.js", "picture.js"),
            apply_default_css=False,
            elem_id=name,
            caption=caption,
            call=call,
            tallest=tallest,
            max_file_bytes=MAX_FILE_BYTES,
            max_pixels=MAX_PIXELS,
            **gradio_options,
        )

    def preprocess(self, payload: FieldData | None) -> Path | None:
        """Return the path of the uploaded file."""
        if payload is None or payload.file is None:
            return None
        return Path(payload.file.path)

    def postprocess(self, value: Image.Image | None) -> FieldData:
        """Show a picture that Python made, or nothing."""
        if value is None:
            return FieldData()
        return FieldData(
            file=FileData(path=save_pil_to_cache(value, self.GRADIO_CACHE, format="png"))
        )

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would send it."""
        return {"file": None}

    def example_value(self) -> None:
        """Return a value as a Python caller would set it."""
