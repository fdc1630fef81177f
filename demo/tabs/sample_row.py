"""The row of examples above a canvas; one click fills the tab."""

from collections.abc import Sequence
from functools import partial

import gradio as gr

from demo.components.canvas import Canvas, Drawing
from demo.examples import Example


def build_examples(examples: Sequence[Example], name: str) -> list[gr.Button]:
    """Build one button for each example."""
    with gr.Row(elem_classes="examples"):
        return [
            gr.Button(example.title, size="sm", min_width=60, elem_id=f"{name}-example-{number}")
            for number, example in enumerate(examples, start=1)
        ]


def wire_examples(
    buttons: Sequence[gr.Button], examples: Sequence[Example], canvas: Canvas, prompt: gr.Textbox
) -> None:
    """Let each button fill canvas and prompt."""

    def fill(example: Example) -> tuple[Drawing, str]:
        return example.drawing(), example.prompt

    for button, example in zip(buttons, examples, strict=True):
        button.click(
            partial(fill, example),
            outputs=[canvas, prompt],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
