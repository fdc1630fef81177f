"""The row of examples above an editor; one click fills the tab."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gradio as gr
from gradio.components import Component

from demo.components import assets
from demo.components.examplerow import ExampleRow
from demo.components.progress import Notice, NoticeLine
from demo.texts import page as texts

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


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
    row: ExampleRow,
    examples: Sequence[Fillable],
    editor: Component,
    prompt: gr.Textbox,
    notice: NoticeLine,
) -> None:
    """Let each button fill editor and prompt, and take away what was said of those before.

    An example's prompt goes with the last of its boxes: it would overrule what is drawn then.
    """

    def fill(example: Fillable) -> tuple[Any, str, Notice]:
        return example.drawing(), example.prompt, Notice()

    wire_choice(row, examples, fill, [editor, prompt, notice])
    brought = [
        {"prompt": example.prompt, "regions": _regions(example)}
        for example in examples
        if example.prompt
    ]
    lines = assets.read("followups.js").splitlines()
    script = "\n".join(line for line in lines if not line.startswith("//"))
    given = f"{json.dumps(brought)}, {json.dumps(row.elem_id)}"
    editor.input(
        None,
        inputs=[editor, prompt, notice],
        outputs=[prompt, notice],
        js=f"(...values) => ({script})({given}, ...values)",
        **QUIET,
    )
    forget_faults([prompt.input], notice)


def forget_faults(events: Sequence[Callable[..., Any]], notice: NoticeLine) -> None:
    """Let events take away a fault that was said of what stood there before."""
    gr.on(
        list(events),
        None,
        inputs=[notice],
        outputs=[notice],
        js="(said) => (said && said.tone === 'bad' ? { message: '' } : { __type__: 'update' })",
        **QUIET,
    )


def _regions(example: Fillable) -> list[dict[str, Any]]:
    """Return the named boxes of an example; none for one of people."""
    regions = getattr(example, "regions", ())
    return [{"phrase": phrase, "box": list(box)} for phrase, box in regions]


def wire_choice(
    row: ExampleRow,
    examples: Sequence[Fillable],
    fill: Callable[[Any], Any],
    outputs: Sequence[Component],
) -> None:
    """Let each button set the outputs to what `fill` returns for its example."""

    def choose(chosen: gr.SelectData) -> Any:
        return fill(example_at(examples, chosen.index))

    row.select(choose, outputs=list(outputs), **QUIET)


def example_at(examples: Sequence[Fillable], index: Any) -> Fillable:
    """Return the example that the page names.

    Raises:
        gr.Error: there is none; only a page that was tampered with asks for it.
    """
    if type(index) is not int or not 0 <= index < len(examples):
        raise gr.Error(texts.NO_SUCH_EXAMPLE.format(index=index, count=len(examples)))
    return examples[index]
