"""The settings of a tab that go with pictures: a style picture, and how pictures are used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from demo.components.canvas import Drawing
from demo.components.picture import PictureField
from demo.components.pictures import open_reference
from demo.service import ModelCard

STYLE_BOX_CHOICES = [
    ("as in the authors' script (0, 1, 0, 1)", "official"),
    ("as in the authors' demo (0, 0, 1, 0.01)", "space"),
]


@dataclass(frozen=True)
class References:
    """Components for pictures; all there, but not shown where no loaded kind reads pictures."""

    style: PictureField
    use_style: gr.Checkbox
    style_box: gr.Radio
    crop: gr.Checkbox

    def inputs(self) -> set[Component]:
        """Return all components, for events that read them."""
        return set(vars(self).values())


def build_references(kind: str, card: ModelCard, name: str) -> References:
    """Build the settings for pictures.

    Args:
        kind: that reads pictures, whether it is loaded or not.
        card: says whether it is loaded.
        name: of the tab.
    """
    is_loaded = card.has(kind)
    if not is_loaded:
        gr.Markdown(
            f"Reference pictures for boxes and a style picture need `{card.way_to(kind)}`.",
            elem_classes="small-print",
        )
    with gr.Column(visible=is_loaded, elem_classes="pictures"):
        style = PictureField(
            name=f"{name}-style",
            caption="Style picture",
            call="Choose a picture whose look to take",
        )
        use_style = gr.Checkbox(label="Use the style picture", value=True, container=False)
        with gr.Accordion("Advanced: how pictures are used", open=False):
            style_box = gr.Radio(
                STYLE_BOX_CHOICES, value="official", label="Where the style token stands"
            )
            crop = gr.Checkbox(
                label="Cut reference pictures to a square instead of squashing them",
                value=False,
                container=False,
            )
    return References(style, use_style, style_box, crop)


def read_references(
    references: References, values: Mapping[Component, Any], drawing: Drawing
) -> tuple[Drawing, dict[str, Any]]:
    """Return the drawing with its style picture, and the further options.

    Raises:
        ValueError: the style picture cannot be read.
    """
    more = {
        "style_box": values[references.style_box],
        "crop_references": bool(values[references.crop]),
    }
    path = values[references.style]
    if path is None or not values[references.use_style]:
        return drawing, more
    style = open_reference(path, "the style")
    return replace(drawing, layout=replace(drawing.layout, style=style)), more


def fill_references(
    references: References, style: Image.Image | None, style_box: str, crop: bool
) -> dict[Component, Any]:
    """Return the values that make the page show these pictures and settings."""
    filled: dict[Component, Any] = {
        references.style: style,
        references.style_box: style_box,
        references.crop: crop,
    }
    if style is not None:
        filled[references.use_style] = True
    return filled
