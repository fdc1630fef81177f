"""Sections of text with headings, lists of terms and code; everything is shown as plain text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gradio as gr

from demo.components import assets


@dataclass(frozen=True)
class Row:
    """One line of a list of terms.

    Raises:
        ValueError: a link leads elsewhere than to https.
    """

    term: str
    text: str
    form: Literal["text", "code", "link", "keys"] = "text"  # keys: separated by spaces

    def __post_init__(self):
        if self.form == "link" and not self.text.startswith("https://"):
            raise ValueError(f"The link {self.text!r} must start with https://.")


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    code: str = ""
    rows: tuple[Row, ...] = ()


class Article(gr.HTML):
    """Shows sections. Names of models may be among the texts, so nothing is read as markup."""

    def __init__(self, sections: Sequence[Section], **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("article.html"),
            css_template=assets.read("article.css"),
            js_on_load=assets.read("article.js"),
            apply_default_css=False,
            sections=[asdict(section) for section in sections],
            **gradio_options,
        )
