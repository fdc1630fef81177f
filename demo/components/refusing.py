"""Refusing what a page sent before any handler sees it."""

import html

import gradio as gr


def refusal(error: Exception, title: str) -> gr.Error:
    """Return the error that makes the page show a sentence.

    Gradio reads the sentence as HTML, and it may quote what a stranger wrote: it is escaped, and is
    not printed in the terminal.
    """
    return gr.Error(html.escape(str(error)), title=title, print_exception=False)
