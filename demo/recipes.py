"""A recipe: all that a tab needs to make its picture again, but for pictures.

History, PNG files, links and what the browser keeps hold the same document, which is a layout file
(`gligen.layoutfiles`) with further fields: the names are those of the settings inside our PNGs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from demo.calls import OPTION_TYPES, read_options
from demo.components.canvas import MAX_PHRASE_LENGTH
from demo.handlers import (
    MAX_PAGE_FEATHER,
    MAX_PAGE_GUIDANCE,
    MAX_PAGE_IMAGES,
    MAX_PAGE_STEPS,
    MAX_PROMPT_LENGTH,
    Options,
)
from demo.maps import MAP_KINDS
from demo.texts import memory as texts
from gligen.kinds import KINDS, kind_named
from gligen.layout import MAX_REGIONS
from gligen.layoutfiles import LayoutFile, check_text, layout_document, layout_from
from gligen.request import Request

Tab = Literal["generate", "inpaint", "keypoints", "maps"]
TABS: tuple[Tab, ...] = get_args(Tab)
MAX_SEED = 2**53 - 1  # the page counts in floats

# The size of the picture is that of the layout.
_OPTIONS = tuple(name for name in OPTION_TYPES if name not in ("width", "height"))
# What a document says besides the layout; with none of it, it is a layout alone.
_SETTING_KEYS = frozenset(_OPTIONS) | {"prompt", "gate_schedule"}


@dataclass(frozen=True)
class Recipe:
    """One tab's layout, prompt and settings.

    Raises:
        ValueError: a text is too long, or a setting lies outside what the page offers.
    """

    tab: Tab
    layout: LayoutFile = field(default=LayoutFile())
    options: Options | None = None  # with the prompt; None: both stay as they are on the page
    pending: tuple[str, ...] = ()  # phrases typed without a box
    map_kind: str | None = None  # for the tab of maps

    def __post_init__(self):
        if self.tab not in TABS:
            raise ValueError(texts.UNKNOWN_TAB.format(tab=self.tab, tabs=", ".join(TABS)))
        if self.map_kind is not None and self.map_kind not in MAP_KINDS:
            raise ValueError(
                texts.UNKNOWN_MAP.format(kind=self.map_kind, kinds=", ".join(MAP_KINDS))
            )
        for number, region in enumerate(self.layout.regions, 1):
            _check_length(region.phrase, texts.PHRASE.format(number=number), MAX_PHRASE_LENGTH)
        if self.options is not None:
            _check_options(self.options)


def read_recipe(document: Any, here: Tab = "generate") -> Recipe:
    """Return what a decoded JSON document of a stranger says.

    Args:
        document: ours, the settings inside a PNG, or another editor's layout.
        here: the tab it is loaded on, for layouts that do not say theirs.

    Raises:
        ValueError: a part breaks a rule; the sentence says which.
        TypeError: a part has the wrong type.
    """
    layout = layout_from(document)
    fields = document if isinstance(document, Mapping) else {}
    kind = fields.get("kind")
    return Recipe(
        tab=_read_tab(fields, layout, here),
        layout=layout,
        options=_read_settings(fields) if _SETTING_KEYS & fields.keys() else None,
        pending=_read_pending(fields.get("pending")),
        map_kind=kind if isinstance(kind, str) and kind in MAP_KINDS else None,
    )


def recipe_document(recipe: Recipe) -> dict[str, Any]:
    """Return plain JSON values of which `read_recipe` makes an equal recipe."""
    document = {**layout_document(recipe.layout), "tab": recipe.tab}
    if recipe.map_kind is not None:
        document["kind"] = recipe.map_kind
    if recipe.pending:
        document["pending"] = list(recipe.pending)
    options = recipe.options
    if options is not None:
        document["prompt"] = options.prompt
        document |= {name: getattr(options, name) for name in _OPTIONS}
        tau, shares = document.pop("tau"), document.pop("shares")
        document["gate_schedule"] = tau if shares is None else list(shares)
    return document


def tab_of(kind: str) -> Tab:
    """Return the tab that makes pictures with a kind of model."""
    model = kind_named(kind)
    if model.is_inpainting:
        return "inpaint"
    if model.takes_regions:
        return "generate"
    return "maps" if kind in MAP_KINDS else "keypoints"


def _read_tab(fields: Mapping[str, Any], layout: LayoutFile, here: Tab) -> Tab:
    """Return the tab that a document names, or that what is in it belongs to."""
    if "tab" in fields:
        return fields["tab"]
    kind = fields.get("kind")
    if isinstance(kind, str) and kind in KINDS:
        return tab_of(kind)
    if fields.get("inpainting") is True:
        return "inpaint"
    if fields.get("has_map") is True:
        return "maps"
    if layout.persons:
        return "keypoints"
    return "generate" if layout.regions and here in ("keypoints", "maps") else here


def _read_settings(fields: Mapping[str, Any]) -> Options:
    """Return prompt and settings; what is not said has its usual value."""
    values = {name: fields[name] for name in _OPTIONS if name in fields}
    schedule = fields.get("gate_schedule")
    if schedule is not None:
        values["shares" if isinstance(schedule, list) else "tau"] = schedule
    # The settings inside a PNG name the place of the style token only where there is a style.
    if "style_box" not in values and isinstance(fields.get("style"), str):
        values["style_box"] = fields["style"]
    prompt = check_text(fields.get("prompt", ""), texts.PROMPT)
    check_text(fields.get("negative_prompt", ""), texts.NEGATIVE_PROMPT)
    return read_options(prompt, values)


def _read_pending(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TypeError(texts.BAD_PENDING.format(value=str(value)[:80]))
    phrases = value[:MAX_REGIONS]
    return tuple(check_text(phrase, texts.PROMPT)[:MAX_PHRASE_LENGTH] for phrase in phrases)


def _check_options(options: Options) -> None:
    _check_length(options.prompt, texts.PROMPT, MAX_PROMPT_LENGTH)
    _check_length(options.negative_prompt, texts.NEGATIVE_PROMPT, MAX_PROMPT_LENGTH)
    # The rules of requests; what a picture needs besides may still be missing on the page.
    Request(
        prompt="-",
        num_images=options.num_images,
        num_inference_steps=options.num_inference_steps,
        guidance_scale=options.guidance_scale,
        gate_schedule=options.tau if options.shares is None else options.shares,
        sampler=options.sampler,
        preset=options.preset,
        seed=options.seed,
        mask_feather=options.mask_feather,
        style_box=options.style_box,
    )
    for what, value, low, high in (
        (texts.SAMPLES, options.num_images, 1, MAX_PAGE_IMAGES),
        (texts.STEPS, options.num_inference_steps, 1, MAX_PAGE_STEPS),
        (texts.GUIDANCE, options.guidance_scale, 1, MAX_PAGE_GUIDANCE),
        (texts.FEATHER, options.mask_feather, 0, MAX_PAGE_FEATHER),
        (texts.SEED, options.seed or 0, 0, MAX_SEED),
    ):
        if not low <= value <= high:
            raise ValueError(texts.BEYOND_PAGE.format(what=what, value=value, low=low, high=high))
    if options.repaint not in ("auto", "boxes", "mask"):
        raise ValueError(texts.UNKNOWN_REPAINT.format(repaint=options.repaint))


def _check_length(text: str, what: str, limit: int) -> None:
    if len(text) > limit:
        raise ValueError(texts.TOO_LONG.format(what=what, length=len(text), limit=limit))
