"""The fields for width and height, which the canvas follows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.components.canvas import Canvas
from demo.handlers import MAX_PAGE_AREA
from demo.texts import size as texts


@dataclass(frozen=True)
class SizeFields:
    """Components for the size of the picture, in pixels."""

    width: gr.Number
    height: gr.Number

    def inputs(self) -> set[Component]:
        """Return all components, for events that read them."""
        return set(vars(self).values())


def step_of(trained: tuple[int, int]) -> int:
    """Return what the sides of a picture are multiples of, in pixels."""
    return 64 if min(trained) >= 256 else 8


def is_size_for(size: tuple[int | None, int | None], trained: tuple[int, int]) -> bool:
    """Tell whether the page makes pictures of a size, with a model trained at another.

    Args:
        size: width and height in pixels; None where nobody says.
        trained: width and height that the model was trained at.
    """
    width, height = size
    if width is None or height is None or width % step_of(trained) or height % step_of(trained):
        return False
    return 0 < width * height <= MAX_PAGE_AREA * trained[0] * trained[1]


def build_size(canvas: Canvas, trained: tuple[int, int]) -> SizeFields:
    """Build the fields; the drawing area takes their shape at once.

    Args:
        canvas: follows the fields.
        trained: width and height in pixels that the model was trained at, the first values.
    """
    width, height = trained
    step = step_of(trained)
    with gr.Accordion(texts.TITLE, open=False):
        gr.Markdown(
            texts.HELP.format(step=step, width=width, height=height), elem_classes="small-print"
        )
        with gr.Row():
            options: dict[str, Any] = {
                "precision": 0,
                "minimum": step,
                "step": step,
                "min_width": 90,
            }
            fields = SizeFields(
                gr.Number(width, label=texts.WIDTH, **options),
                gr.Number(height, label=texts.HEIGHT, **options),
            )
    canvas.follow_size(fields.width, fields.height)
    return fields


def read_size(fields: SizeFields, values: Mapping[Component, Any]) -> dict[str, int]:
    """Return the options `width` and `height`.

    Raises:
        ValueError: a field was emptied.
    """
    for field in (fields.width, fields.height):
        if values[field] is None:
            raise ValueError(texts.EMPTY.format(name=field.label))
    return {"width": int(values[fields.width]), "height": int(values[fields.height])}
