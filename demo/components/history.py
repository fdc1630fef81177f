"""Shows the pictures of a visit; what a person does with one comes back as an event."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from demo.components import assets
from demo.history import MAX_BYTES, MAX_ENTRIES, Entry, Visit
from demo.tabs.controls import SAMPLER_NAMES, preset_title
from demo.texts import memory as texts


class EntryData(GradioModel):
    """An `Entry` on its way to the page."""

    name: str
    prompt: str
    line: str  # what matters most, on one line
    seed: str  # in words: JavaScript rounds large numbers
    facts: tuple[tuple[str, str], ...]  # names and values of the settings
    file: FileData
    thumbnail: FileData


class HistoryData(GradioModel):
    """What the page shows."""

    entries: tuple[EntryData, ...] = ()
    summary: str = ""


class HistoryView(gr.HTML):
    """Shows a `Visit`. Its events select, delete and clear say what to do, by name of a picture."""

    data_model = HistoryData

    def __init__(self, **gradio_options: Any):
        super().__init__(
            value=None,
            html_template=assets.read("history.html"),
            css_template=assets.read("history.css"),
            js_on_load=assets.read("history.js"),
            apply_default_css=False,
            texts=texts.HISTORY,
            **gradio_options,
        )

    def preprocess(self, payload: HistoryData | None) -> None:
        """Take nothing: the view only shows."""

    def postprocess(self, value: Visit | None) -> HistoryData:
        """Return the pictures; their files are read where they lie."""
        entries = [] if value is None else value.entries()
        lines = [texts.SUMMARY.format(count=len(entries), limit=MAX_ENTRIES)]
        if value is not None and value.has_dropped:
            megabytes = MAX_BYTES // 1_000_000
            lines.append(texts.DROPPED.format(limit=MAX_ENTRIES, megabytes=megabytes))
        return HistoryData(entries=_described(entries), summary="\n".join(lines))

    def api_info(self) -> dict[str, Any]:
        """Describe the value for the list of endpoints."""
        return self.data_model.model_json_schema()

    def example_payload(self) -> dict[str, Any]:
        """Return a value as the page would hold it."""
        return {"entries": []}

    def example_value(self) -> None:
        """Return a value as a Python caller would set it."""


def _described(entries: Sequence[Entry]) -> tuple[EntryData, ...]:
    return tuple(
        EntryData(
            name=entry.name,
            prompt=entry.prompt or texts.NO_PROMPT,
            line=texts.LINE.format(
                title=texts.TAB_TITLES[entry.recipe.tab],
                seed=entry.recipe.options.seed,
                width=entry.size[0],
                height=entry.size[1],
            ),
            seed=str(entry.recipe.options.seed),
            facts=tuple(facts_of(entry)),
            file=FileData(path=str(entry.file), orig_name=entry.file.name),
            thumbnail=FileData(path=str(entry.thumbnail)),
        )
        for entry in entries
    )


def facts_of(entry: Entry) -> list[tuple[str, str]]:
    """Return the settings of a picture as pairs of words; what is as usual is left out."""
    options, layout = entry.recipe.options, entry.recipe.layout.layout
    values = {
        "negative_prompt": options.negative_prompt,
        "regions": "; ".join(r.phrase or texts.NO_NAME for r in layout),
        "persons": str(len(layout.persons) or ""),
        "map": entry.recipe.map_kind or "",
        "tau": "" if options.shares is not None else f"{options.tau:g}",
        "shares": ", ".join(f"{share:g}" for share in options.shares or ()),
        "guidance_scale": f"{options.guidance_scale:g}",
        "num_inference_steps": str(options.num_inference_steps),
        "sampler": SAMPLER_NAMES.get(options.sampler, options.sampler),
        "preset": "" if options.preset == "exact" else preset_title(options.preset),
        "model": entry.model,
    }
    return [(texts.FACT_NAMES[name], value) for name, value in values.items() if value]
