"""Gradio's blocks, with one fault of their answers mended."""

from typing import Any

import gradio as gr


class PageBlocks(gr.Blocks):
    """Blocks whose answers leave the properties of `gr.HTML` alone where an event has no value.

    Gradio takes the mark of a left-out output ("__type__") for a property of an HTML component and
    sends `{"props": {"__type__": "update"}}`. A component that no tab has shown yet then starts
    with these properties alone, so without its texts (seen with Gradio 6.31).
    """

    async def postprocess_data(self, *args: Any, **options: Any) -> list[Any]:
        """Return what Gradio would send for an event, without marks among the properties."""
        return [
            _without_mark(answer) for answer in await super().postprocess_data(*args, **options)
        ]


def _without_mark(answer: Any) -> Any:
    if not (isinstance(answer, dict) and answer.get("__type__") == "update" and "props" in answer):
        return answer
    kept = {name: value for name, value in answer["props"].items() if name != "__type__"}
    rest = {name: value for name, value in answer.items() if name != "props"}
    return {**rest, "props": kept} if kept else rest
