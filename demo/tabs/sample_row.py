"""The row of examples above an editor; one click fills the tab."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gradio as gr
from gradio.components import Component

from demo.components.examplerow import ExampleRow
from demo.texts import page as texts


class Fillable(Protocol):
    """An example of any tab."""

    @property
    def title(self) -> str:
        """What its button says."""
        ...

    @property
    def prompt(self) -> str:
        """What it writes into the prompt."""
        ...

    def drawing(self) -> Any:
        """Return what the tab's editor shows."""
        ...


def build_examples(examples: Sequence[Fillable], name: str) -> ExampleRow:
    """Build one button for each example."""
    return ExampleRow([example.title for example in examples], name=name)


def wire_examples(
    row: ExampleRow, examples: Sequence[Fillable], editor: Component, prompt: gr.Textbox
) -> None:
    """Let each button fill editor and prompt."""

    def fill(example: Fillable) -> tuple[Any, str]:
        return example.drawing(), example.prompt

    wire_choice(row, examples, fill, [editor, prompt])


def wire_choice(
    row: ExampleRow,
    examples: Sequence[Fillable],
    fill: Callable[[Any], Any],
    outputs: Sequence[Component],
) -> None:
    """Let each button set the outputs to what `fill` returns for its example."""

    def choose(chosen: gr.SelectData) -> Any:
        return fill(example_at(examples, chosen.index))

    row.select(
        choose,
        outputs=list(outputs),
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def example_at(examples: Sequence[Fillable], index: Any) -> Fillable:
    """Return the example that the page names.

    Raises:
        gr.Error: there is none; only a page that was tampered with asks for it.
    """
    if type(index) is not int or not 0 <= index < len(examples):
        raise gr.Error(texts.NO_SUCH_EXAMPLE.format(index=index, count=len(examples)))
    return examples[index]
