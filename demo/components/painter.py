"""A small painter of semantic maps: one class for each pixel, with the model's own names.

The page's half is `painter.html`, `painter.css` and the `painter*.js` scripts. What arrives from
there is data of strangers: `read_painting` checks every part of it.
"""

import base64
import binascii
import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import GradioModel
from numpy.typing import NDArray

from demo.components import assets
from demo.texts import maps as texts
from gligen.pictures.ade import COLOURS, NAMES, NUM_LABELS
from gligen.pictures.maps import MAX_SEMANTIC_SIDE

MAX_SOURCE_CHARACTERS = 4096  # of a path
SCRIPTS = ("words.js", "undo.js", "painter_model.js", "painter_view.js", "painter.js")


@dataclass(frozen=True)
class PaintedMap:
    """What the painter shows, or a sentence about a map that it cannot show."""

    labels: NDArray[np.uint8] | None = None  # (height, width); None: nothing is painted
    source: str = ""  # the file that the painting began with
    message: str = ""
    is_bad: bool = False  # the message is a fault, and what is painted stays

    def began_with(self, path: Path) -> bool:
        """Whether the painting began with a file."""
        return self.source == str(path)


class PainterData(GradioModel):
    """What travels between page and server; labels are bytes, row by row, in base64."""

    labels: Any = None
    source: Any = ""
    message: str = ""
    is_bad: bool = False


def read_painting(data: PainterData | None, size: tuple[int, int]) -> PaintedMap:
    """Check what the page sent and return it.

    Args:
        data: from the page.
        size: (width, height) in pixels of the map.

    Raises:
        ValueError: it is no base64, of another size, or has a label that does not exist.
        TypeError: it is no text at all.
    """
    if data is None or data.labels is None:
        return PaintedMap()
    if not isinstance(data.labels, str) or not isinstance(data.source, str):
        raise TypeError("The painted map must be text in base64, and so must its source be text.")
    width, height = size
    # Four characters hold three bytes; nothing longer is looked at.
    if len(data.labels) > 4 * (width * height // 3 + 1) or len(data.source) > MAX_SOURCE_CHARACTERS:
        raise ValueError(f"The painted map is too long for {width} x {height} pixels.")
    try:
        content = base64.b64decode(data.labels, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"The painted map is not in base64 ({error}).") from None
    if len(content) != width * height:
        raise ValueError(
            f"The painted map has {len(content)} pixels; it must have {width} x {height}."
        )
    labels = np.frombuffer(content, np.uint8).reshape(height, width)
    if labels.max() >= NUM_LABELS:
        raise ValueError(
            f"The painted map has the label {labels.max()}; labels go from 0 to {NUM_LABELS - 1}."
        )
    return PaintedMap(labels, data.source)


def map_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the pixels of the map that is painted for a picture of that size."""
    width, height = size
    return min(width, MAX_SEMANTIC_SIDE), min(height, MAX_SEMANTIC_SIDE)


def class_colours(label_names: Sequence[str]) -> list[str]:
    """Return a colour for each class: the usual ones of ADE20K, or as many that differ well."""
    if tuple(label_names) == NAMES:
        return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in COLOURS[: len(NAMES)]]
    colours = []
    for label in range(len(label_names)):
        # Golden steps around the circle of hues; neighbours differ in lightness as well.
        rgb = colorsys.hls_to_rgb(label * 0.618 % 1, (0.42, 0.6, 0.72)[label % 3], 0.68)
        colours.append("#{:02x}{:02x}{:02x}".format(*(round(255 * part) for part in rgb)))
    return colours


class MapPainter(gr.HTML):
    """A painter whose value is a `PaintedMap`.

    Args:
        name: prefix of its id, unique on the page.
        size: (width, height) in pixels of the map.
        label_names: of the classes, in the order of their labels.
    """

    data_model = PainterData

    def __init__(
        self, *, name: str, size: tuple[int, int], label_names: Sequence[str], **gradio_options: Any
    ):
        self._size = size
        colours = class_colours(label_names)
        classes = [
            {"name": label_name, "colour": colour}
            for label_name, colour in zip(label_names, colours, strict=True)
        ]
        super().__init__(
            value=None,
            html_template=assets.read("painter.html"),
            css_template=assets.read("editor.css", "painter.css"),
            js_on_load=assets.read(*SCRIPTS),
            apply_default_css=False,
            elem_id=f"{name}-painter",
            name=name,
            width=size[0],
            height=size[1],
            classes=classes,
            texts={**texts.PAINTER, "unknown": texts.UNKNOWN_LABEL},
            **gradio_options,
        )

    def preprocess(self, payload: PainterData | None) -> PaintedMap:
        """Return the checked map; a fault becomes the sentence that the page shows."""
        try:
            return read_painting(payload, self._size)
        except (ValueError, TypeError) as error:
            raise gr.Error(str(error), title=texts.TITLE_OF_FAULT) from None

    def postprocess(self, value: PaintedMap | None) -> PainterData:
        """Return the data that redraws the painter."""
        painted = value or PaintedMap()
        labels = None
        if painted.labels is not None:
            labels = base64.b64encode(np.ascontiguousarray(painted.labels).tobytes()).decode()
        return PainterData(
            labels=labels, source=painted.source, message=painted.message, is_bad=painted.is_bad
        )

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would send it."""
        return {"labels": None}

    def example_value(self) -> PaintedMap:
        """Return a value as a Python caller would set it."""
        return PaintedMap()
