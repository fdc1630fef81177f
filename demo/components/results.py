"""The finished pictures: boxes over them on demand, seeds, enlarging, before and after, downloads.

The page's half is `results.html`, `results.css` and the `results*.js` scripts.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel
from gradio.processing_utils import save_bytes_to_cache, save_file_to_cache

from demo.components import assets
from demo.components.palette import TINTS
from demo.texts.results import VIEW
from gligen.layout import Layout
from gligen.person import BONES


@dataclass(frozen=True)
class Picture:
    """One picture; without a file: its place is kept free."""

    caption: str
    size: tuple[int, int]  # width, height in pixels, as it was made
    file: Path | None = None  # the PNG with its settings, to be downloaded
    shown: bytes | None = None  # PNG that the page shows instead: enlarged, or made smaller


@dataclass(frozen=True)
class Sheet:
    """All pictures as one PNG, to be downloaded."""

    name: str  # of the file
    plain: bytes
    with_boxes: bytes  # the same with boxes and names


@dataclass(frozen=True)
class Gallery:
    """The pictures of one run."""

    pictures: tuple[Picture, ...] = ()
    layout: Layout = field(default=Layout())  # drawn over the pictures on demand
    numbers: tuple[int, ...] = ()  # of its regions on the canvas, for number and colour
    lead: str = ""  # stands above the pictures: what to look for
    note: str = ""
    facts: tuple[str, ...] = ()  # sentences under the pictures
    before: bytes | None = None  # PNG of the photo that was repainted, for the slider
    columns: int = 0  # pictures in a row, where their places say something; 0: as many as fit
    sheet: Sheet | None = None


class PictureData(GradioModel):
    """A `Picture` on its way to the page."""

    caption: str = ""
    size: tuple[int, int] = (0, 0)
    file: FileData | None = None
    shown: FileData | None = None


class GalleryData(GradioModel):
    """A `Gallery` on its way to the page."""

    pictures: tuple[PictureData, ...] = ()
    regions: tuple[dict[str, Any], ...] = ()
    persons: tuple[Any, ...] = ()  # the joints of each
    lead: str = ""
    note: str = ""
    facts: tuple[str, ...] = ()
    before: FileData | None = None
    columns: int = 0
    sheets: tuple[FileData, ...] = ()  # without and with boxes


class ResultView(gr.HTML):
    """Shows a `Gallery`; its value are the files of the finished pictures, in order.

    The event `select` says that a person wants to go on with a picture; its data has the `index`.

    Args:
        placeholder: what stands where pictures will be.
        can_reuse: whether each picture has a button that triggers `select`.
        compact: whether pictures stand close together, their boxes without names.
        shows_boxes: whether the boxes are over the pictures from the start.
    """

    data_model = GalleryData

    def __init__(
        self,
        value: Gallery | None = None,
        *,
        placeholder: str,
        can_reuse: bool = False,
        compact: bool = False,
        shows_boxes: bool = True,
        **gradio_options: Any,
    ):
        super().__init__(
            value=value,
            html_template=assets.read("results.html"),
            css_template=assets.read("results.css"),
            js_on_load=assets.read("results_parts.js", "results_lightbox.js", "results.js"),
            apply_default_css=False,
            placeholder=placeholder,
            can_reuse=can_reuse,
            compact=compact,
            shows_boxes=shows_boxes,
            texts=VIEW,
            tints=TINTS,
            bones=BONES,
            **gradio_options,
        )

    def preprocess(self, payload: GalleryData | None) -> tuple[Path, ...]:
        """Return the files of the finished pictures."""
        if payload is None:
            return ()
        return tuple(Path(picture.file.path) for picture in payload.pictures if picture.file)

    def postprocess(self, value: Gallery | None) -> GalleryData:
        """Copy the files to where the page may read them, and return what it shows."""
        gallery = value or Gallery()
        return GalleryData(
            pictures=tuple(self._stored(picture) for picture in gallery.pictures),
            regions=tuple(
                {"phrase": region.phrase, "box": list(region.box), "number": number}
                for region, number in zip(gallery.layout, gallery.numbers, strict=True)
            ),
            persons=tuple(list(person.keypoints) for person in gallery.layout.persons),
            lead=gallery.lead,
            note=gallery.note,
            facts=gallery.facts,
            before=gallery.before and self._stored_bytes(gallery.before, "before.png"),
            columns=gallery.columns,
            sheets=() if gallery.sheet is None else self._stored_sheet(gallery.sheet),
        )

    def _stored(self, picture: Picture) -> PictureData:
        if picture.file is None:
            return PictureData(caption=picture.caption, size=picture.size)
        path = save_file_to_cache(picture.file, self.GRADIO_CACHE)
        file = shown = FileData(path=path, orig_name=picture.file.name)
        if picture.shown is not None:
            shown = self._stored_bytes(picture.shown, f"shown-{picture.file.name}")
        return PictureData(caption=picture.caption, size=picture.size, file=file, shown=shown)

    def _stored_sheet(self, sheet: Sheet) -> tuple[FileData, ...]:
        return tuple(
            self._stored_bytes(data, sheet.name) for data in (sheet.plain, sheet.with_boxes)
        )

    def _stored_bytes(self, content: bytes, name: str) -> FileData:
        return FileData(path=save_bytes_to_cache(content, name, self.GRADIO_CACHE), orig_name=name)

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"pictures": []}

    def example_value(self) -> Gallery:
        """Return a value as a Python caller would set it."""
        return Gallery()
