"""The tab History: what this browser tab made, to be loaded back, downloaded or deleted."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.components.history import HistoryView
from demo.components.keeper import Said
from demo.components.progress import Notice
from demo.history import Entry, Visits
from demo.remembering import pictures_of
from demo.tabs.filling import Stations, show
from demo.tabs.keeping import QUIET, shortened
from demo.texts import memory as texts


def build(tab: gr.Tab, stations: Stations, visits: Visits) -> HistoryView:
    """Build the tab and wire its events.

    Args:
        tab: that it stands in.
        stations: the tabs that pictures come from and go back to.
        visits: hold the pictures.
    """
    view = HistoryView(elem_id="history")

    def look(request: gr.Request) -> Any:
        return visits.of(request.session_hash or "")

    def load(event: gr.EventData, request: gr.Request) -> dict[Component, Any]:
        visit = visits.of(request.session_hash or "")
        entry = visit.find(_name(event)) if visit else None
        if entry is None:
            gr.Warning(texts.GONE)
            return {view: visit}
        return load_back(stations, entry)

    def delete(event: gr.EventData, request: gr.Request) -> Any:
        visit = visits.of(request.session_hash or "")
        if visit is not None:
            visit.delete(_name(event))
        return visit

    def clear(request: gr.Request) -> Any:
        visit = visits.of(request.session_hash or "")
        if visit is not None:
            visit.clear()
        return visit

    shown = {"outputs": [view], **QUIET}
    tab.select(look, **shown)
    for station in stations.tabs.values():
        station.buttons.results.change(look, **shown)
    view.delete(delete, **shown)
    view.clear(clear, **shown)
    view.select(load, outputs=[view, *stations.outputs()], **QUIET)
    return view


def load_back(stations: Stations, entry: Entry) -> dict[Component, Any]:
    """Return what puts a picture's layout, prompt and settings back on the tab it came from."""
    brought = pictures_of(entry)
    sentences = [texts.LOADED]
    recipe = entry.recipe
    if entry.extras.had_mask:
        sentences.append(texts.MASK_GONE)
    try:
        values = show(stations, recipe, brought, sentences)
    except (ValueError, TypeError) as error:
        notice = Notice(shortened(error), "bad")
        return {tab.buttons.notice: notice for tab in stations.tabs.values()}
    return {**values, stations.tabs[recipe.tab].keeper: Said()}


def _name(event: gr.EventData) -> Any:
    """Return which picture is meant; whether there is one, its visit says."""
    data = event._data
    return data.get("name") if isinstance(data, Mapping) else None
