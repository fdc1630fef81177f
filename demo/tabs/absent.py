"""What stands in a tab whose model is not loaded."""

from collections.abc import Sequence

import gradio as gr

from demo.service import FLAGS, ModelCard
from gligen.kinds import kind_named


def build(kinds: Sequence[str], what: str, card: ModelCard) -> gr.Markdown:
    """Say that none of the kinds is loaded, and how to load each of them."""
    way = card.way_to(kinds[0])
    why = "The app was started without the model for it. Start it again with"
    if kinds[0] in card.lacking:
        # A name could hold what Markdown reads as markup; it stands at the top of the page anyway.
        why = "The model in use does not hold it. Start the app with one that does, for example"
    text = f"### {what} is not loaded\n\n{why} `{way}`:\n\n```\npython app.py {way}\n```\n\n"
    if len(kinds) > 1:
        text += "Any of these flags brings this tab:\n\n"
        text += "\n".join(f"- `{FLAGS[kind]}`: {kind_named(kind).title}" for kind in kinds)
        text += "\n\n"
    return gr.Markdown(f"{text}The other tabs work as usual.", elem_classes="absent")
