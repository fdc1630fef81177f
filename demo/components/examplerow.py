"""The row of examples above an editor: a thumbnail and a name each, made by the embedded model."""

import base64
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import gradio as gr

from demo.components import assets
from demo.texts import page as texts


class ExampleRow(gr.HTML):
    """Buttons for examples; its event `select` says which was pressed.

    Args:
        titles: of the examples, in order.
        name: of the tab; the thumbnails are called after it.
    """

    def __init__(self, titles: Sequence[str], *, name: str, **gradio_options: Any):
        entries = [{"title": title, "picture": _thumbnail(name, title)} for title in titles]
        super().__init__(
            value=None,
            html_template=assets.read("examplerow.html"),
            css_template=assets.read("examplerow.css"),
            js_on_load=assets.read("words.js", "examplerow.js"),
            apply_default_css=False,
            elem_id=f"{name}-examples",
            name=name,
            examples=entries,
            texts={"caption": texts.EXAMPLES, "label": texts.EXAMPLE_LABEL},
            **gradio_options,
        )


def thumbnail_name(name: str, title: str) -> str:
    """Return the file of an example's thumbnail in `demo/thumbnails`."""
    return f"{name}-{re.sub('[^a-z0-9]+', '-', title.lower()).strip('-')}.webp"


def _thumbnail(name: str, title: str) -> str:
    """Return a thumbnail as a data address; nothing if there is none yet."""
    file = files("demo").joinpath("thumbnails", thumbnail_name(name, title))
    if not file.is_file():
        return ""
    return "data:image/webp;base64," + base64.b64encode(file.read_bytes()).decode()
