"""The drawing canvas: a Gradio component in which regions, a photo and a mask are drawn.

The page's half is `canvas.html`, `canvas.css` and the `canvas*.js` scripts. What arrives from there
is data of strangers: `read_drawing` checks every part of it.
"""

import base64
import binascii
import io
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.data_classes import FileData, GradioModel
from gradio.processing_utils import save_file_to_cache, save_pil_to_cache
from PIL import Image

from demo.components import assets
from demo.components.palette import TINTS
from demo.components.pictures import read_reference, upright_size
from demo.components.refusing import refusal
from demo.texts.canvas import WORDS
from gligen.layout import MAX_REGIONS, Layout, Region, check_box
from gligen.pictures.images import MAX_PIXELS

MAX_PHRASE_LENGTH = 200  # characters
MAX_MASK_CHARACTERS = 4_000_000  # of a base64 PNG; black and white, at most MAX_MASK_SIDE a side
MAX_MASK_SIDE = 1024  # pixels
MAX_FILE_BYTES = 20_000_000
MAX_SHOWN_SIDE = 100_000  # pixels of what is drawn on; a photo of 40 megapixels may be a long strip

_MASK_PREFIX = "data:image/png;base64,"
_COLOUR = re.compile("#[0-9a-f]{6}")


class CanvasData(GradioModel):
    """What travels between page and server; `read_drawing` checks all but the files."""

    regions: Any = ()
    # Reference pictures of the regions, by position. Not inside them: files are checked where they
    # are declared.
    pictures: tuple[FileData | None, ...] = ()
    pending: Any = ()
    photo: FileData | None = None
    mask: Any = None
    width: Any = None
    height: Any = None


@dataclass(frozen=True)
class Drawing:
    """What a person drew, checked."""

    layout: Layout = field(default=Layout())  # the visible regions, in the order of the list
    photo: Path | Image.Image | None = None  # the uploaded file, not yet opened; or a picture
    mask: Image.Image | None = None  # mode L, white is repainted, at most MAX_MASK_SIDE a side
    pending: tuple[str, ...] = ()  # phrases typed without a box
    hidden: tuple[int, ...] = ()  # numbers on the canvas, from 1, of boxes that are left out
    hidden_regions: tuple[Region, ...] = ()  # those boxes, for setting the canvas
    # Chosen colours (#rrggbb) of the regions of the layout, None for the usual one; or empty
    colours: tuple[str | None, ...] = ()
    size: tuple[int, int] | None = (
        None  # width, height; gives the shape; None: as it is on the page
    )

    def __post_init__(self):
        if self.colours and len(self.colours) != len(self.layout):
            raise ValueError(
                f"There are {len(self.colours)} colours for {len(self.layout)} regions; give one "
                "for each region (None: the usual one), or none at all."
            )
        for number, colour in enumerate(self.colours, start=1):
            if colour is not None:
                _check_colour(colour, number)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that the regions of the layout have on the canvas."""
        total = len(self.layout) + len(self.hidden)
        return tuple(number for number in range(1, total + 1) if number not in self.hidden)

    @property
    def entries(self) -> list[tuple[Region, bool]]:
        """Visible and hidden regions in the order of the canvas, with whether each is visible."""
        by_number = {n: (region, True) for n, region in zip(self.numbers, self.layout, strict=True)}
        for number, region in zip(self.hidden, self.hidden_regions, strict=False):
            by_number[number] = region, False
        return [by_number[number] for number in sorted(by_number)]


def read_drawing(data: CanvasData | dict[str, Any] | None) -> Drawing:
    """Check what the page sent and return it as a `Drawing`.

    Raises:
        ValueError: a region, a phrase or the mask breaks a rule; the sentence names which.
        TypeError: a part has the wrong type.
    """
    if data is None:
        return Drawing()
    fields = data.model_dump() if isinstance(data, CanvasData) else data
    entries = _list(fields.get("regions"), "regions")
    if len(entries) > MAX_REGIONS:
        raise ValueError(
            f"The canvas has {len(entries)} boxes; the model has slots for {MAX_REGIONS}. "
            f"Delete {len(entries) - MAX_REGIONS} of them."
        )
    pictures = _list(fields.get("pictures"), "pictures")
    pictures += [None] * (len(entries) - len(pictures))
    regions = [
        _read_region(entry, picture, number)
        for number, (entry, picture) in enumerate(zip(entries, pictures, strict=False), start=1)
    ]
    shown = [(region, colour) for region, colour, is_visible in regions if is_visible]
    colours = tuple(colour for _, colour in shown)
    pending = [
        str(phrase)[:MAX_PHRASE_LENGTH] for phrase in _list(fields.get("pending"), "pending")
    ]
    photo = fields.get("photo")
    return Drawing(
        layout=Layout(tuple(region for region, _ in shown)),
        photo=Path(photo["path"]) if photo else None,
        mask=_read_mask(fields.get("mask")),
        pending=tuple(pending[:MAX_REGIONS]),
        hidden=tuple(n for n, (*_, is_visible) in enumerate(regions, 1) if not is_visible),
        colours=colours if any(colours) else (),
        size=_read_size(fields.get("width"), fields.get("height")),
        hidden_regions=tuple(region for region, *_, is_visible in regions if not is_visible),
    )


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"The canvas sent {name} as {type(value).__name__}; it must be a list.")
    return list(value)


def _read_region(entry: Any, picture: Any, number: int) -> tuple[Region, str | None, bool]:
    if not isinstance(entry, dict):
        raise TypeError(f"Box {number} is {entry!r}; it must be an object with phrase and box.")
    phrase = entry.get("phrase", "")
    if not isinstance(phrase, str):
        raise TypeError(f"The name of box {number} is {phrase!r}; it must be text.")
    if len(phrase) > MAX_PHRASE_LENGTH:
        raise ValueError(
            f"The name of box {number} has {len(phrase)} characters; the limit is "
            f"{MAX_PHRASE_LENGTH}. Shorten it."
        )
    box = check_box(entry.get("box"), f"Box {number} ({phrase!r})")
    is_visible = entry.get("visible", True) is not False
    colour = entry.get("colour")
    if colour is not None:
        _check_colour(colour, number)
    image = read_reference(picture, f"box {number}") if is_visible else None
    return Region(phrase, box, image), colour, is_visible


def _check_colour(colour: Any, number: int) -> None:
    """Refuse a colour in another form than the page's colour fields use."""
    if not isinstance(colour, str) or not _COLOUR.fullmatch(colour):
        raise ValueError(
            f"The colour of box {number} is {str(colour)[:40]!r}; it must be # and six digits "
            "0-9a-f, such as #e63946."
        )


def _read_size(width: Any, height: Any) -> tuple[int, int] | None:
    if width is None and height is None:
        return None
    for name, side in (("width", width), ("height", height)):
        # For Python true is a number too; here it is not.
        is_number = type(side) in (int, float) and math.isfinite(side)
        if not is_number or not 1 <= side <= MAX_SHOWN_SIDE:
            raise ValueError(
                f"The {name} of the canvas is {str(side)[:40]}; it must be a number of pixels from "
                f"1 to {MAX_SHOWN_SIDE}."
            )
    return round(width), round(height)


def _read_mask(text: Any) -> Image.Image | None:
    if text is None:
        return None
    if not isinstance(text, str) or not text.startswith(_MASK_PREFIX):
        raise TypeError("The painted mask must be a PNG given as a data address.")
    if len(text) > MAX_MASK_CHARACTERS:
        raise ValueError(
            f"The painted mask has {len(text)} characters; the limit is {MAX_MASK_CHARACTERS}."
        )
    try:
        content = base64.b64decode(text[len(_MASK_PREFIX) :], validate=True)
        with Image.open(io.BytesIO(content), formats=["PNG"]) as mask:
            if max(mask.size) > MAX_MASK_SIDE:
                raise ValueError(
                    f"The painted mask has {mask.width} x {mask.height} pixels; the limit is "
                    f"{MAX_MASK_SIDE} a side."
                )
            return mask.convert("L")
    except (binascii.Error, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"The painted mask cannot be read as a PNG ({error}).") from None


class Canvas(gr.HTML):
    """A canvas whose value is a `Drawing`.

    Args:
        name: prefix of the ids of its inputs, unique on the page.
        width: pixels of the picture drawn on while there is no photo; only the ratio matters.
        height: as `width`.
        takes_photo: whether a photo can be uploaded and a mask painted.
        takes_pictures: whether boxes can have reference pictures.
        value: the drawing shown first.
    """

    data_model = CanvasData

    def __init__(
        self,
        value: Drawing | None = None,
        *,
        name: str = "canvas",
        width: int = 512,
        height: int = 512,
        takes_photo: bool = False,
        takes_pictures: bool = False,
        **gradio_options: Any,
    ):
        gradio_options.setdefault("elem_id", f"{name}-canvas")
        super().__init__(
            value=value,
            html_template=assets.read("canvas.html"),
            # The style goes in by the script: that of a template is written anew with every value,
            # and the browser then works out the style of the whole page.
            css_template="",
            styles=assets.read("canvas.css"),
            js_on_load=assets.read(
                "canvas_words.js",
                "canvas_model.js",
                "canvas_snap.js",
                "canvas_mask.js",
                "canvas_view.js",
                "canvas_list.js",
                "files.js",
                "canvas.js",
                "canvas_size.js",
                "canvas_photo.js",
                "canvas_pointer.js",
                "canvas_keys.js",
                "canvas_start.js",
            ),
            apply_default_css=False,
            name=name,
            width=width,
            height=height,
            takes_photo=takes_photo,
            takes_pictures=takes_pictures,
            max_file_bytes=MAX_FILE_BYTES,
            max_pixels=MAX_PIXELS,
            max_regions=MAX_REGIONS,
            max_phrase=MAX_PHRASE_LENGTH,
            tints=TINTS,
            texts=WORDS,
            **gradio_options,
        )

    def preprocess(self, payload: CanvasData | None) -> Drawing:
        """Return the checked drawing; a fault becomes the sentence that the page shows."""
        try:
            return read_drawing(payload)
        except (ValueError, TypeError) as error:
            raise refusal(error, title="The drawing cannot be used") from None

    def postprocess(self, value: Drawing | None) -> CanvasData | None:
        """Return the data that redraws the canvas; the page may read the copy of a photo."""
        if value is None:
            return None
        (width, height), photo = value.size or (None, None), None
        if isinstance(value.photo, Image.Image):
            width, height = value.photo.size
            photo = self._stored(value.photo)
        elif value.photo is not None:
            # The file as it is: what is repainted in several rounds is never written anew.
            width, height = upright_size(value.photo)
            photo = FileData(path=save_file_to_cache(value.photo, self.GRADIO_CACHE))
        regions: list[dict[str, Any]] = [
            {"phrase": region.phrase, "box": list(region.box), "visible": is_visible}
            for region, is_visible in value.entries
        ]
        visible = [entry for entry in regions if entry["visible"]]
        for entry, colour in zip(visible, value.colours, strict=False):
            if colour is not None:
                entry["colour"] = colour
        pictures = tuple(region.image and self._stored(region.image) for region, _ in value.entries)
        return CanvasData(
            regions=regions,
            pictures=pictures,
            pending=list(value.pending),
            photo=photo,
            width=width,
            height=height,
        )

    def follow_size(self, width: Component, height: Component) -> None:
        """Give the drawing area the shape that two number fields say, without asking the server.

        The boxes keep their fractions of the picture. A photo keeps its own shape.
        """
        tell = (
            f"(...size) => document.getElementById({json.dumps(self.elem_id)})"
            '.querySelector(".stage")'
            '.dispatchEvent(new CustomEvent("picture-size", {detail: size, bubbles: true}))'
        )
        for side in (width, height):
            side.change(None, inputs=[width, height], js=tell, queue=False)

    def _stored(self, picture: Image.Image) -> FileData:
        return FileData(path=save_pil_to_cache(picture, self.GRADIO_CACHE, format="png"))

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would send it."""
        return {"regions": [{"phrase": "a dog", "box": [0.1, 0.2, 0.6, 0.9], "visible": True}]}

    def example_value(self) -> Drawing:
        """Return a value as a Python caller would set it."""
        return Drawing(Layout((Region("a dog", (0.1, 0.2, 0.6, 0.9)),)))

    def process_example(self, value: Drawing) -> str:
        """Describe an example in a table of examples."""
        return "; ".join(value.layout.phrases)
