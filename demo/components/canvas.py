"""The drawing canvas: a Gradio component in which regions, a photo and a mask are drawn.

The page's half is `canvas.html`, `canvas.css` and the `canvas*.js` scripts. What arrives from there
is data of strangers: `read_drawing` checks every part of it.
"""

import base64
import binascii
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel
from gradio.processing_utils import save_pil_to_cache
from PIL import Image

from demo.components import assets
from demo.components.palette import TINTS
from demo.components.pictures import read_reference
from gligen.layout import MAX_REGIONS, Layout, Region, check_box
from gligen.pictures.images import MAX_PIXELS

MAX_PHRASE_LENGTH = 200  # characters
MAX_MASK_CHARACTERS = 4_000_000  # of a base64 PNG; black and white, at most MAX_MASK_SIDE a side
MAX_MASK_SIDE = 1024  # pixels
MAX_FILE_BYTES = 20_000_000

_MASK_PREFIX = "data:image/png;base64,"


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

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers that the regions of the layout have on the canvas."""
        total = len(self.layout) + len(self.hidden)
        return tuple(number for number in range(1, total + 1) if number not in self.hidden)


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
    pending = [
        str(phrase)[:MAX_PHRASE_LENGTH] for phrase in _list(fields.get("pending"), "pending")
    ]
    photo = fields.get("photo")
    return Drawing(
        layout=Layout(tuple(region for region, is_visible in regions if is_visible)),
        photo=Path(photo["path"]) if photo else None,
        mask=_read_mask(fields.get("mask")),
        pending=tuple(pending[:MAX_REGIONS]),
        hidden=tuple(n for n, (_, is_visible) in enumerate(regions, 1) if not is_visible),
    )


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"The canvas sent {name} as {type(value).__name__}; it must be a list.")
    return list(value)


def _read_region(entry: Any, picture: Any, number: int) -> tuple[Region, bool]:
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
    image = read_reference(picture, f"box {number}") if is_visible else None
    return Region(phrase, box, image), is_visible


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
        self._size = (width, height)
        gradio_options.setdefault("elem_id", f"{name}-canvas")
        super().__init__(
            value=value,
            html_template=assets.read("canvas.html"),
            css_template=assets.read("canvas.css"),
            js_on_load=assets.read(
                "canvas_model.js",
                "canvas_mask.js",
                "canvas_view.js",
                "files.js",
                "canvas_photo.js",
                "canvas.js",
            ),
            apply_default_css=False,
            name=name,
            width=width,
            height=height,
            takes_photo=takes_photo,
            takes_pictures=takes_pictures,
            max_file_bytes=MAX_FILE_BYTES,
            max_pixels=MAX_PIXELS,
            tints=TINTS,
            **gradio_options,
        )

    def preprocess(self, payload: CanvasData | None) -> Drawing:
        """Return the checked drawing; a fault becomes the sentence that the page shows."""
        try:
            return read_drawing(payload)
        except (ValueError, TypeError) as error:
            raise gr.Error(str(error), title="The drawing cannot be used") from None

    def postprocess(self, value: Drawing | None) -> CanvasData | None:
        """Return the data that redraws the canvas; the page may read the copy of a photo."""
        if value is None:
            return None
        (width, height), photo = self._size, None
        if isinstance(value.photo, Image.Image):
            width, height = value.photo.size
            photo = self._stored(value.photo)
        elif value.photo is not None:
            raise TypeError("A photo set from Python must be a picture, not a path.")
        regions = [
            {"phrase": region.phrase, "box": list(region.box), "visible": True}
            for region in value.layout
        ]
        pictures = tuple(r.image and self._stored(r.image) for r in value.layout)
        return CanvasData(
            regions=regions,
            pictures=pictures,
            pending=list(value.pending),
            photo=photo,
            width=width,
            height=height,
        )

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
