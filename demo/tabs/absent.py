"""What stands in a tab whose model is not loaded."""

from collections.abc import Sequence

import gradio as gr

from demo.service import FLAGS, ModelCard
from gligen.kinds import kind_named


def build(kinds: Sequence[str], what: str, card: ModelCard) -> gr.Markdown:
    """Say that none of the kinds is loaded, and which flag loads each of them."""
    flags = [FLAGS[kind] for kind in kinds]
    either = ""
    if len(flags) > 1:
        rows = "\n".join(f"| `{FLAGS[kind]}` | {kind_named(kind).title} |" for kind in kinds)
        either = (
            f"\n\nThe flags that load a model for this tab:\n\n| flag | for |\n|---|---|\n{rows}"
        )
    text = (
        f"### {what} is not loaded\n\n"
        f"The app was started without the model for it. Start it again with the flag "
        f"`{flags[0]}`:\n\n```\npython app.py {flags[0]}\n```{either}\n\n"
        "The other tabs work as usual."
    )
    if card.name == "embedded":
        text += " The embedded model may not hold this kind; then name another with `--model`."
    elif card.name != "official":
        text += " The model that is named with `--model` has to hold this kind."
    return gr.Markdown(text, elem_classes="absent")
