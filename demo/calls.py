"""Reads what a program sends to the endpoints: options, regions, files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from demo.components.canvas import Drawing, read_drawing
from demo.components.pictures import open_reference
from demo.handlers import Options, check_loaded
from demo.maps import MAP_KINDS, edges_of, open_map_file
from demo.service import ModelCard
from gligen.pictures.canny import HIGH, LOW
from gligen.pictures.images import open_picture
from gligen.presets import Preset
from gligen.schedule import check_schedule

# The fields of Options that a program may set besides the prompt, with what JSON gives for them.
OPTION_TYPES = {
    "negative_prompt": (str,),
    "tau": (int, float, type(None)),
    "shares": (list,),
    "guidance_scale": (int, float),
    "num_inference_steps": (int,),
    "sampler": (str,),
    "preset": (str,),
    "num_images": (int,),
    "seed": (int, type(None)),
    "append_grounding": (bool,),
    "mask_feather": (int,),
    "repaint": (str,),
    "style_box": (str,),
    "crop_references": (bool,),
    "width": (int, type(None)),
    "height": (int, type(None)),
}
TYPE_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of numbers",
    type(None): "null",
}


def read_options(prompt: str | None, options: Any) -> Options:
    """Return the options of a call; sampler and steps that are not said are the preset's.

    Raises:
        ValueError: an option is unknown or its value breaks a rule.
        TypeError: the options are not an object, or a value has the wrong type.
    """
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise TypeError(
            f'The options are {options!r}; they must be an object such as {{"seed": 7}}.'
        )
    for name, value in options.items():
        if name not in OPTION_TYPES:
            raise ValueError(f"There is no option {name!r}; there are: {', '.join(OPTION_TYPES)}.")
        # For Python true is a whole number too; here it is not.
        is_typed = type(value) in OPTION_TYPES[name]
        if isinstance(value, list):
            is_typed = is_typed and all(type(number) in (int, float) for number in value)
        if not is_typed:
            wanted = " or ".join(TYPE_NAMES[kind] for kind in OPTION_TYPES[name])
            raise TypeError(f"The option {name} is {value!r}; it must be {wanted}.")
    values = dict(options)
    if "shares" in values:
        values["shares"] = check_schedule(values["shares"])
    if "preset" in values:
        values = first_values(Preset.from_text(values["preset"])) | values
    return Options(prompt=prompt or "", **values)


def first_values(preset: Preset) -> dict[str, Any]:
    """Return what a preset says about the page's settings."""
    return {
        "preset": preset.name,
        "sampler": preset.sampler or "plms",
        "num_inference_steps": preset.num_steps(None),
    }


def read_regions(regions: Any, style: str | None = None) -> Drawing:
    """Return the regions of a call, each with its picture, and the style picture.

    Raises:
        ValueError: a region or a picture breaks a rule.
        TypeError: a part has the wrong type.
    """
    pictures = []
    if isinstance(regions, list):
        pictures = [entry.get("image") if isinstance(entry, dict) else None for entry in regions]
    drawing = read_drawing({"regions": regions, "pictures": pictures})
    if style is None:
        return drawing
    return replace(
        drawing, layout=replace(drawing.layout, style=open_reference(style, "the style"))
    )


def read_photo(drawing: Drawing, image: str | None, mask: str | None) -> Drawing:
    """Return the drawing with the picture to repaint and its mask.

    Raises:
        ValueError: the mask cannot be read.
    """
    return replace(
        drawing,
        photo=Path(image) if image else None,
        mask=open_picture(mask).convert("L") if mask else None,
    )


def read_map(
    card: ModelCard, kind: Any, path: str | None, photo: str | None, thresholds: Any
) -> Image.Image:
    """Return the map of a call: the one that was sent, or the edges of a photo.

    Raises:
        ValueError: the kind is none of a map or not loaded, or a picture cannot be read.
        TypeError: the thresholds are not two numbers.
    """
    if kind not in MAP_KINDS:
        raise ValueError(f"There is no kind of map {kind!r}; there are {', '.join(MAP_KINDS)}.")
    check_loaded(card, kind)
    if photo is None:
        return open_map_file(path, kind)
    if kind != "canny" or path is not None:
        raise ValueError(
            "Edges are taken of a photo for the kind canny only, and instead of a map; leave the "
            "photo or the map out."
        )
    low, high = _read_thresholds(thresholds)
    return edges_of(photo, low, high, card.image_sizes[kind])


def _read_thresholds(thresholds: Any) -> tuple[float, float]:
    if thresholds is None:
        return LOW, HIGH
    is_pair = isinstance(thresholds, list) and len(thresholds) == 2
    if not is_pair or not all(type(value) in (int, float) for value in thresholds):
        raise TypeError(
            f"The thresholds are {thresholds!r}; they must be two numbers, such as [{LOW}, {HIGH}]."
        )
    return tuple(thresholds)
