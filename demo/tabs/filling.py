"""Fills the tabs with recipes, wherever these come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from demo.components.arrival import Arrival
from demo.components.progress import Notice
from demo.maps import MAP_KINDS
from demo.recipes import Recipe, Tab
from demo.remembering import Brought, drawing_of
from demo.service import (
    GENERATION,
    IMAGE_GENERATION,
    IMAGE_INPAINTING,
    INPAINTING,
    KEYPOINT,
    ModelCard,
)
from demo.tabs.controls import fill_controls
from demo.tabs.generate import GenerateTab
from demo.tabs.inpaint import InpaintTab
from demo.tabs.keypoints import KeypointsTab
from demo.tabs.maps import MapsTab
from demo.tabs.references import fill_references
from demo.tabs.size import SizeFields, is_size_for
from demo.texts import memory as texts
from gligen.layoutfiles import LayoutFile

AnyTab = GenerateTab | InpaintTab | KeypointsTab | MapsTab

# The kinds that each tab works with, the main one first.
KINDS_OF_TABS = {
    "generate": (GENERATION, IMAGE_GENERATION),
    "inpaint": (INPAINTING, IMAGE_INPAINTING),
    "keypoints": (KEYPOINT,),
    "maps": MAP_KINDS,
}


@dataclass(frozen=True)
class Stations:
    """The tabs that are there, and what stands around them."""

    tabs: Mapping[Tab, AnyTab]
    bar: gr.Tabs  # which tab is shown
    arrival: Arrival  # an output of every event that fills tabs
    card: ModelCard

    def outputs(self) -> list[Component]:
        """Return all components that a recipe may fill."""
        found: list[Component] = [self.bar, self.arrival]
        for tab in self.tabs.values():
            found += [*named(tab).values(), tab.keeper, tab.buttons.notice]
            if isinstance(tab, (GenerateTab, InpaintTab)):
                found += [tab.references.style, tab.references.use_style]
            if isinstance(tab, GenerateTab):
                found += [tab.size.width, tab.size.height]
            elif isinstance(tab, MapsTab):
                found.append(tab.map)
        return found

    def photo_input(self) -> set[Component]:
        """Return the canvas with the photo, which is kept where a recipe brings none."""
        inpaint = self.tabs.get("inpaint")
        return {inpaint.canvas} if isinstance(inpaint, InpaintTab) else set()

    def photo(self, values: Mapping[Component, Any]) -> Path | None:
        """Return the photo that stands on the page."""
        return next((values[canvas].photo for canvas in self.photo_input()), None)


def named(tab: AnyTab) -> dict[str, Component]:
    """Return the components that make up a tab's document, by the names of its script."""
    found: dict[str, Component] = dict(vars(tab.controls))
    match tab:
        case KeypointsTab():
            found["people"] = tab.canvas
        case MapsTab():
            found["kind"] = tab.kind
        case _:
            found |= {"canvas": tab.canvas}
            found |= {"style_box": tab.references.style_box, "crop_references": tab.references.crop}
    if isinstance(tab, InpaintTab):
        found |= {"repaint": tab.repaint, "mask_feather": tab.mask_feather}
    return found


def fill(stations: Stations, recipe: Recipe, brought: Brought) -> dict[Component, Any]:
    """Return the values that put a recipe on its tab.

    Raises:
        ValueError: the tab, or its kind of map, is not loaded.
    """
    tab, kind = _tab_for(stations, recipe)
    usual = stations.card.tau(kind)
    values: dict[Component, Any] = {stations.arrival: None}
    if recipe.options is not None:
        values |= fill_controls(tab.controls, recipe.options, usual)
    match tab:
        case KeypointsTab():
            values[tab.canvas] = recipe.layout.persons
        case MapsTab():
            if recipe.map_kind is not None:
                values[tab.kind] = recipe.map_kind
            if recipe.options is not None:
                values[tab.map] = brought.map
        case _:
            values[tab.canvas] = drawing_of(recipe, brought)
            if recipe.options is not None:
                values |= fill_references(
                    tab.references,
                    brought.style,
                    style_box=recipe.options.style_box,
                    crop=recipe.options.crop_references,
                )
    if isinstance(tab, GenerateTab) and recipe.options is not None:
        values |= _fill_size(tab.size, recipe.layout, stations.card.image_sizes[kind])
    if isinstance(tab, InpaintTab) and recipe.options is not None:
        values[tab.repaint] = recipe.options.repaint
        values[tab.mask_feather] = recipe.options.mask_feather
    return values


def _fill_size(
    fields: SizeFields, layout: LayoutFile, trained: tuple[int, int]
) -> dict[Component, Any]:
    """Return the size that a layout names, or that of the training where the model cannot."""
    size = layout.width, layout.height
    width, height = size if is_size_for(size, trained) else trained
    return {fields.width: width, fields.height: height}


def _tab_for(stations: Stations, recipe: Recipe) -> tuple[AnyTab, str]:
    """Return the tab of a recipe and the kind that its settings go with."""
    card, tab = stations.card, stations.tabs.get(recipe.tab)
    kinds = KINDS_OF_TABS[recipe.tab] if recipe.map_kind is None else (recipe.map_kind,)
    kind = next((kind for kind in kinds if card.has(kind)), None)
    if tab is None or kind is None:
        title = texts.TAB_TITLES[recipe.tab]
        raise ValueError(texts.NOT_LOADED.format(title=title, way=card.way_to(kinds[0])))
    return tab, kind


def show(
    stations: Stations, recipe: Recipe, brought: Brought, sentences: list[str]
) -> dict[Component, Any]:
    """Put a recipe on its tab, go there, and say so; raises as `fill`."""
    values = fill(stations, recipe, brought)
    sentences = [*sentences, *missing(recipe, brought)]
    notice = stations.tabs[recipe.tab].buttons.notice
    return {
        **values,
        notice: Notice(" ".join(sentences), "good"),
        stations.bar: gr.Tabs(selected=recipe.tab),
    }


def missing(recipe: Recipe, brought: Brought) -> list[str]:
    """Say which pictures a recipe needs and does not bring."""
    if recipe.tab == "inpaint" and brought.photo is None:
        return [texts.NO_PHOTO]
    if recipe.tab == "maps" and brought.map is None:
        return [texts.NO_MAP]
    return []
