"""The heading of the page: what this is, which model paints, and the switch for dark colours."""

from typing import Any

import gradio as gr

from demo.components import assets
from demo.service import ModelCard
from demo.texts import page as texts


class PageHead(gr.HTML):
    """The heading. Names of models are shown as text: a path may contain what looks like markup."""

    def __init__(self, card: ModelCard, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("pagehead.html"),
            css_template=assets.read("pagehead.css"),
            js_on_load=assets.read("words.js", "pagehead.js"),
            apply_default_css=False,
            elem_id="model-card",
            title=texts.TITLE,
            sentence=texts.SENTENCE,
            model=card.name,
            device=card.device,
            lines=[card.reason, *card.notes],
            texts=texts.HEAD,
            **gradio_options,
        )
