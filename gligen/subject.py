"""From the command line's arguments to a layout, and to the kind of model that can follow it."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from gligen.kinds import (
    GENERATION,
    INPAINTING,
    KINDS,
    MAP,
    TEXT_BOX,
    TEXT_IMAGE_BOX,
    check_layout,
    kind_named,
)
from gligen.layout import Layout, Region
from gligen.pictures.images import open_map, open_picture
from gligen.pictures.poses import read_poses

MAP_KINDS = tuple(kind for kind in KINDS if kind_named(kind).modality == MAP)


def read_layout(options: argparse.Namespace) -> Layout:
    """Return the layout that the arguments describe.

    With `--canny-from` its map is the photo; `gligen.pictures.maps.canny_map` makes the edges of
    it, once the model says how large its pictures are.

    Raises:
        ValueError: a file cannot be read, or a part of the layout breaks a rule.
        TypeError: a part has the wrong type.
    """
    layout = Layout()
    if options.layout is not None:
        layout = Layout.from_json(_read_text(options.layout, "layout"))
    regions = [*layout.regions, *Layout.from_text(options.region)]
    _add_pictures(regions, options.region_image)
    persons = layout.persons
    if options.keypoints is not None:
        persons += read_poses(_read_text(options.keypoints, "pose"))
    style = None if options.style is None else open_picture(options.style)
    return Layout(tuple(regions), persons, _read_map(options), style)


def choose_kind(options: argparse.Namespace, layout: Layout) -> str:
    """Return the kind that is asked for, or the one that can follow the layout.

    Raises:
        ValueError: it is a kind of the other command, it cannot follow the layout, or a map does
            not say which kind it is.
    """
    kind = options.kind
    task = GENERATION if options.image is None else INPAINTING
    if kind is None:
        kind = _kind_for(options, layout, task)
    elif kind_named(kind).task != task:
        command = {GENERATION: "inpaint", INPAINTING: "generate"}[task]
        raise ValueError(
            f"The kind {kind} does not fit this command; use it with `{command}`, or name another."
        )
    if options.canny_from is not None and kind != "canny":
        raise ValueError(
            f"Canny edges of a photo are a map for the kind canny, not {kind}; leave --kind out, "
            "or give the map itself with --map."
        )
    check_layout(layout, kind_named(kind))
    return kind


def _kind_for(options: argparse.Namespace, layout: Layout, task: str) -> str:
    if options.canny_from is not None:
        return "canny"
    if layout.map is not None:
        raise ValueError(
            f"A map may be of several kinds; say which with --kind: {', '.join(MAP_KINDS)}."
        )
    if layout.persons:
        return "keypoint"
    has_pictures = layout.style is not None or any(r.image is not None for r in layout)
    return f"{task}_{TEXT_IMAGE_BOX if has_pictures else TEXT_BOX}"


def _add_pictures(regions: list[Region], texts: Sequence[str]) -> None:
    """Give the regions their reference pictures, written as "2=dog.png"."""
    for text in texts:
        number, equals, file = text.partition("=")
        if not (equals and file and number.strip().isdecimal()):
            raise ValueError(
                f"The reference picture {text!r} cannot be read; write the number of its region, "
                "an equals sign and a file, for example 1=dog.png."
            )
        index = int(number)
        if not 1 <= index <= len(regions):
            raise ValueError(
                f"The reference picture {text!r} is for region {index}; there are {len(regions)} "
                "regions, counted from 1 (those of --layout first)."
            )
        if regions[index - 1].image is not None:
            raise ValueError(f"Region {index} has two reference pictures; give one.")
        regions[index - 1] = replace(regions[index - 1], image=open_picture(file))


def _read_map(options: argparse.Namespace) -> Image.Image | None:
    if options.canny_from is not None:
        return open_picture(options.canny_from)
    return None if options.map is None else open_map(options.map)


def _read_text(name: str, what: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ValueError(f"The {what} {name!r} cannot be read ({reason}).") from None
