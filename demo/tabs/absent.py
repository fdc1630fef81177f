"""What stands in a tab whose model is not loaded."""

import gradio as gr

from demo.service import FLAGS, ModelCard


def build(kind: str, what: str, card: ModelCard) -> gr.Markdown:
    """Say that the model for `kind` is not loaded, and which flag loads it."""
    text = (
        f"### {what} is not loaded\n\n"
        f"The app was started without the model for it. Start it again with the flag "
        f"`{FLAGS[kind]}`:\n\n```\npython app.py {FLAGS[kind]}\n```\n\n"
        "The other tabs work as usual."
    )
    if card.name == "embedded":
        text += " On the embedded model the flag may also be left out."
    elif card.name != "official":
        text += " The model that is named with `--model` has to hold this kind."
    return gr.Markdown(text, elem_classes="absent")
