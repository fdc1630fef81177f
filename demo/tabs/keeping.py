"""What a tab keeps: in this browser, in files, in links; and how it comes back."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.components.arrival import ArrivalData
from demo.components.keeper import Said, document_script
from demo.components.progress import Notice
from demo.handlers import Options
from demo.history import Visits
from demo.links import unpack
from demo.recipefiles import read_recipe_file
from demo.recipes import Recipe, Tab, read_recipe
from demo.remembering import Brought
from demo.tabs.filling import AnyTab, Stations, fill, missing, named, show
from demo.texts import memory as texts
from gligen.layoutfiles import decode

MAX_SENTENCE = 500  # characters; what a stranger wrote is quoted, and may be long
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

# Of a document whose settings cannot be used, so that the drawing is not lost with them.
_KEPT_ANYWAY = (
    "gligen",
    "tab",
    "kind",
    "width",
    "height",
    "regions",
    "persons",
    "pending",
    "prompt",
)


def build(stations: Stations, visits: Visits, defaults: Options) -> None:
    """Wire all of it."""
    arrival = stations.arrival

    def welcome(values: dict[Component, Any], request: gr.Request) -> dict[Component, Any]:
        arrived: ArrivalData = values[arrival]
        visits.join(request.session_hash or "", arrived.secret)
        filled: dict[Component, Any] = {arrival: None}
        for tab, text in _pairs(arrived.kept):
            filled |= restore(stations, tab, text)
        if arrived.link is not None:
            filled |= open_link(stations, arrived.link, stations.photo(values))
        return filled

    inputs = {arrival, *stations.photo_input()}
    arrival.load(welcome, inputs=inputs, outputs=stations.outputs(), **QUIET)
    for name, tab in stations.tabs.items():
        _wire_keeper(stations, name, tab, defaults)
        _keep(stations, name, tab)


def _wire_keeper(stations: Stations, name: Tab, tab: AnyTab, defaults: Options) -> None:
    def load(values: dict[Component, Any]) -> dict[Component, Any]:
        return load_file(stations, name, values[tab.keeper], stations.photo(values))

    def start_afresh() -> dict[Component, Any]:
        values = fill(stations, Recipe(name, options=replace(defaults, prompt="")), Brought())
        return {**values, tab.buttons.notice: Notice(), tab.keeper: Said(texts.AFRESH)}

    inputs = {tab.keeper, *stations.photo_input()}
    tab.keeper.upload(load, inputs=inputs, outputs=stations.outputs(), **QUIET)
    tab.keeper.clear(start_afresh, outputs=stations.outputs(), **QUIET)


def _keep(stations: Stations, name: Tab, tab: AnyTab) -> None:
    """Let the browser keep a tab's document after each change; nothing is sent for it."""
    names, components = zip(*named(tab).items(), strict=True)
    gr.on(
        [stations.arrival.submit, *(component.change for component in components)],
        None,
        inputs=list(components),
        js=f"(...values) => ({document_script()})({json.dumps(name)}, {json.dumps(names)}, values)",
        **QUIET,
    )


def load_file(stations: Stations, here: Tab, path: Any, photo: Any) -> dict[Component, Any]:
    """Return what fills the tab that a file belongs to, or the sentence that says why not."""
    try:
        recipe = read_recipe_file(path, here)
        brought = Brought(photo=photo)
        what = texts.FILLED_LAYOUT if recipe.options is None else texts.FILLED_ALL
        values = show(stations, recipe, brought, [texts.FILLED.format(what=what)])
    except (ValueError, TypeError) as error:
        return {stations.tabs[here].keeper: Said(shortened(error), is_bad=True)}
    return {**values, stations.tabs[here].keeper: Said()}


def open_link(stations: Stations, text: Any, photo: Any) -> dict[Component, Any]:
    """Return what fills the tab that a link belongs to, or the sentence that says why not."""
    try:
        recipe = read_recipe(unpack(str(text)))
        return show(stations, recipe, Brought(photo=photo), [texts.LINK_FILLED])
    except (ValueError, TypeError) as error:
        sentence = texts.LINK_FAULT.format(error=shortened(error))
        return {tab.buttons.notice: Notice(sentence, "bad") for tab in stations.tabs.values()}


def restore(stations: Stations, name: Any, text: Any) -> dict[Component, Any]:
    """Return what puts back what a browser kept of a tab; faults become a sentence there."""
    tab = stations.tabs.get(name) if isinstance(name, str) else None
    if tab is None or not isinstance(text, str):
        return {}
    try:
        recipe, fault = _kept_recipe(name, text)
        values = fill(stations, recipe, Brought())
    except (ValueError, TypeError) as error:
        return {tab.buttons.notice: _restore_fault(shortened(error))}
    if fault:
        return {**values, tab.buttons.notice: _restore_fault(fault)}
    layout = recipe.layout
    is_empty = not (layout.regions or layout.persons or (recipe.options and recipe.options.prompt))
    said = "" if is_empty else " ".join([texts.RESTORED, *missing(recipe, Brought())])
    return {**values, tab.keeper: Said(said)}


def _kept_recipe(name: Tab, text: str) -> tuple[Recipe, str]:
    """Return what a browser kept; where its settings are at fault without them, and the fault.

    Someone may have left the page in the middle of typing a number.
    """
    document = decode(text)
    if not isinstance(document, dict):
        raise TypeError(texts.NO_DOCUMENT)
    document["tab"] = name
    try:
        return read_recipe(document), ""
    except (ValueError, TypeError) as error:
        rest = {key: document[key] for key in _KEPT_ANYWAY if key in document}
        return read_recipe(rest), shortened(error)


def shortened(error: Exception) -> str:
    """Return a sentence that is not longer than can be read."""
    text = str(error)
    return text if len(text) <= MAX_SENTENCE else f"{text[:MAX_SENTENCE]}..."


def _restore_fault(error: str) -> Notice:
    return Notice(texts.RESTORE_FAULT.format(error=error), "bad")


def _pairs(kept: Any) -> list[tuple[Any, Any]]:
    return list(kept.items()) if isinstance(kept, Mapping) else []
