"""From a finished run to its entries in the history, and from an entry back to what made it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from demo.components.canvas import Drawing
from demo.handlers import Asked, Options
from demo.history import Entry, Visits
from demo.maps import MAP_KINDS
from demo.recipes import Recipe, tab_of
from gligen.layout import Layout, Region
from gligen.layoutfiles import LayoutFile
from gligen.pictures.images import open_picture
from gligen.request import Result

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Brought:
    """The pictures that come with a recipe."""

    photo: Path | None = None  # to be repainted
    style: Image.Image | None = None
    map: Image.Image | None = None
    references: dict[int, Image.Image] = field(default_factory=dict)  # index of a visible region


def remember(
    visits: Visits, session: str, asked: Asked, result: Result, files: Sequence[Path]
) -> None:
    """Keep each picture of a run in the history of its page.

    A full disk costs the history, never the result.
    """
    visit = visits.of(session)
    if visit is None:
        return
    for index, file in enumerate(files):
        try:
            visit.add(
                recipe_of(asked, result, index),
                file,
                result.request.layout,
                result.model,
                result.prompt,
                asked.drawing.photo if result.request.inpaint_image is not None else None,
                had_mask=result.request.inpaint_mask is not None,
            )
        except (OSError, ValueError):
            logger.exception("A picture could not be kept in the history.")


def recipe_of(asked: Asked, result: Result, index: int) -> Recipe:
    """Return what makes picture `index` of a result again, but for pictures."""
    schedule = result.request.gate_schedule
    has_shares = isinstance(schedule, tuple)
    options: Options = replace(
        asked.options,
        seed=result.seeds[index],
        tau=asked.options.tau if has_shares else schedule,
        shares=schedule if has_shares else None,
    )
    image = result.images[index]
    return Recipe(
        tab_of(asked.kind),
        layout_of(asked.drawing, image.size),
        options,
        asked.drawing.pending,
        asked.kind if asked.kind in MAP_KINDS else None,
    )


def layout_of(drawing: Drawing, size: tuple[int, int]) -> LayoutFile:
    """Return a drawing as a layout file, without its pictures."""
    entries = drawing.entries
    return LayoutFile(
        regions=tuple(replace(region, image=None) for region, _ in entries),
        persons=drawing.layout.persons,
        hidden=tuple(n for n, (_, is_visible) in enumerate(entries, 1) if not is_visible),
        width=size[0],
        height=size[1],
    )


def drawing_of(recipe: Recipe, brought: Brought) -> Drawing:
    """Return what the canvas shall show."""
    file = recipe.layout
    visible = [
        replace(region, image=brought.references.get(index))
        for index, region in enumerate(file.layout)
    ]
    hidden: list[Region] = [file.regions[number - 1] for number in file.hidden]
    return Drawing(
        Layout(tuple(visible)),
        photo=brought.photo,
        pending=recipe.pending,
        hidden=file.hidden,
        hidden_regions=tuple(hidden),
    )


def pictures_of(entry: Entry) -> Brought:
    """Return the pictures of an entry; those whose files are gone are left out."""
    extras = entry.extras
    references = {index: _open(path) for index, path in extras.references.items()}
    return Brought(
        photo=extras.photo if extras.photo is not None and extras.photo.exists() else None,
        style=_open(extras.style),
        map=_open(extras.map, is_map=True),
        references={index: image for index, image in references.items() if image is not None},
    )


def _open(path: Path | None, is_map: bool = False) -> Image.Image | None:
    if path is None:
        return None
    try:
        if not is_map:
            return open_picture(path)
        # As it was, with its palette: the numbers of a map are its meaning.
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, ValueError):
        return None
