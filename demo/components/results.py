"""The finished pictures: boxes over them on demand, seeds, the prompt used, and downloads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel
from gradio.processing_utils import save_file_to_cache

from demo.components import assets
from demo.components.palette import TINTS
from gligen.layout import Layout
from gligen.person import BONES


@dataclass(frozen=True)
class Picture:
    """One finished picture as files that the page may read."""

    file: Path  # the PNG with its settings, to be downloaded
    shown: Path  # what the page shows: the same, or enlarged
    caption: str


@dataclass(frozen=True)
class Gallery:
    """The pictures of one run."""

    pictures: tuple[Picture, ...] = ()
    layout: Layout = field(default=Layout())  # drawn over the pictures on demand
    numbers: tuple[int, ...] = ()  # of its regions on the canvas, for number and colour
    note: str = ""
    facts: tuple[str, ...] = ()  # sentences under the pictures


class PictureData(GradioModel):
    """A `Picture` on its way to the page."""

    file: FileData
    shown: FileData
    caption: str = ""


class GalleryData(GradioModel):
    """A `Gallery` on its way to the page."""

    pictures: tuple[PictureData, ...] = ()
    regions: tuple[dict[str, Any], ...] = ()
    persons: tuple[Any, ...] = ()  # the joints of each
    note: str = ""
    facts: tuple[str, ...] = ()


class ResultView(gr.HTML):
    """Shows a `Gallery`. It takes no input from the page."""

    data_model = GalleryData

    def __init__(self, *, placeholder: str, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("results.html"),
            css_template=assets.read("results.css"),
            js_on_load=assets.read("results.js"),
            apply_default_css=False,
            placeholder=placeholder,
            tints=TINTS,
            bones=BONES,
            **gradio_options,
        )

    def preprocess(self, payload: GalleryData | None) -> None:
        """Take nothing: the view only shows."""

    def postprocess(self, value: Gallery | None) -> GalleryData:
        """Copy the files to where the page may read them, and return what it shows."""
        gallery = value or Gallery()
        return GalleryData(
            pictures=tuple(
                PictureData(
                    file=self._stored(picture.file),
                    shown=self._stored(picture.shown),
                    caption=picture.caption,
                )
                for picture in gallery.pictures
            ),
            regions=tuple(
                {"phrase": region.phrase, "box": list(region.box), "number": number}
                for region, number in zip(gallery.layout, gallery.numbers, strict=True)
            ),
            persons=tuple(list(person.keypoints) for person in gallery.layout.persons),
            note=gallery.note,
            facts=gallery.facts,
        )

    def _stored(self, path: Path) -> FileData:
        stored = save_file_to_cache(path, self.GRADIO_CACHE)
        return FileData(path=stored, orig_name=path.name)

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"pictures": []}

    def example_value(self) -> Gallery:
        """Return a value as a Python caller would set it."""
        return Gallery()
