"""Below the results of a tab: saves, loads and shares what stands on it, and says how that went."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from demo.components import assets
from demo.components.canvas import MAX_FILE_BYTES
from demo.links import FRAGMENT, MAX_LINK_CHARACTERS
from demo.texts import memory as texts


@dataclass(frozen=True)
class Said:
    """A sentence about what was loaded."""

    message: str = ""
    is_bad: bool = False


class KeeperData(GradioModel):
    """What travels between page and server."""

    file: FileData | None = None  # chosen to be loaded
    message: str | None = None
    is_bad: bool = False


class Keeper(gr.HTML):
    """Shows a `Said`; its value is the path of the file to load, not yet opened, or None.

    Args:
        tab: that it belongs to.
    """

    data_model = KeeperData

    def __init__(self, tab: str, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("keeper.html"),
            css_template=assets.read("keeper.css"),
            js_on_load=assets.read("keeper.js"),
            apply_default_css=False,
            elem_id=f"{tab}-keeper",
            tab=tab,
            texts=texts.KEEPER,
            fragment=FRAGMENT,
            max_link=MAX_LINK_CHARACTERS,
            max_file_bytes=MAX_FILE_BYTES,
            **gradio_options,
        )

    def preprocess(self, payload: KeeperData | None) -> Path | None:
        """Return the path of the uploaded file."""
        if payload is None or payload.file is None:
            return None
        return Path(payload.file.path)

    def postprocess(self, value: Said | None) -> KeeperData:
        """Return the sentence."""
        said = value or Said()
        return KeeperData(message=said.message, is_bad=said.is_bad)

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"file": None}

    def example_value(self) -> Said:
        """Return a value as a Python caller would set it."""
        return Said(texts.RESTORED)


def document_script() -> str:
    """Return the JavaScript function that makes the document of a tab and keeps it."""
    lines = assets.read("keeper_document.js").splitlines()
    return "\n".join(line for line in lines if not line.startswith("//"))
