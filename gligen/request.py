"""What a picture is asked for, checked in one place, and what comes back.

Command line, web page, notebook and evaluation build a `Request`; `GligenPipeline.stream` answers
it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from gligen.layout import Layout, Region
from gligen.presets import Preset
from gligen.samplernames import SAMPLERS
from gligen.schedule import check_schedule

MAX_IMAGES = 16
MAX_STEPS = 1000
MAX_SIDE = 2048  # pixels
MAX_SEED = 2**63 - 1
MAX_ZOOM = 16
AS_PRESET = "as preset"  # a sampler that was not chosen
SETTINGS_VERSION = 1  # of the settings inside a picture; a reader refuses what it does not know

# The box of the token that carries the style picture: in the authors' inference script (and
# diffusers' documentation), and in their demo. Neither is a place in the picture.
STYLE_BOXES = {"official": (0.0, 1.0, 0.0, 1.0), "space": (0.0, 0.0, 1.0, 0.01)}


@dataclass(frozen=True)
class Request:
    """One request for pictures.

    Raises:
        ValueError: an option lies outside its range; the message names value, rule and way out.
        TypeError: an option has the wrong type.
    """

    prompt: str = ""  # empty: built from the phrases of the layout
    layout: Layout = field(default=Layout())
    negative_prompt: str = ""
    num_images: int = 1  # 1-16; picture i is made with seed + i
    num_inference_steps: int | None = None  # 1-1000; None: the preset's, or 50
    guidance_scale: float = 7.5  # >= 1; 1 = no guidance
    # tau, or (full, decay, off); None: the usual tau of the model's kind
    gate_schedule: float | tuple[float, float, float] | None = None
    guidance_rescale: float = 0.0  # 0-1; against overexposure, 0 = off (arXiv 2305.08891)
    # One of gligen.samplernames.SAMPLERS; None: the model's own scheduler
    sampler: str | None = AS_PRESET  # AS_PRESET: the preset's, or PLMS
    # exact, or what is faster and not exact: fast, faster, deepcache=N (gligen.presets)
    preset: str = "exact"
    seed: int | None = None  # None: drawn at random and reported
    width: int | None = None  # pixels; None: the size that the model was trained at
    height: int | None = None
    append_grounding: bool = False  # add the phrases that the prompt does not name
    inpaint_image: Image.Image | None = None  # any size; kept outside the hole
    inpaint_mask: Image.Image | None = None  # white = repaint; None: the boxes are the hole
    mask_feather: int = 0  # pixels of the picture, width of the soft edge inside the hole
    hole_zoom: float = 4.0  # 1-16; how many times finer than the picture a small hole is painted
    style_box: str = "official"  # where the style token stands: a key of STYLE_BOXES
    crop_references: bool = False  # centre-crop reference pictures instead of squashing them

    def __post_init__(self):
        for name in ("prompt", "negative_prompt"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(
                    f"The {_words(name)} must be a string, not {getattr(self, name)!r}."
                )
        if not isinstance(self.layout, Layout):
            raise TypeError(f"The layout must be a Layout, not {self.layout!r}.")
        _check_whole("number of pictures", self.num_images, 1, MAX_IMAGES)
        Preset.from_text(self.preset)
        _check_whole("number of steps", self.num_steps, 1, MAX_STEPS)
        _check_whole("mask feather", self.mask_feather, 0, MAX_SIDE)
        check_zoom(self.hole_zoom)
        if self.seed is not None:
            _check_whole("seed", self.seed, 0, MAX_SEED)
        for name in ("width", "height"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 8, MAX_SIDE)
        scale = self.guidance_scale
        if not isinstance(scale, (int, float)) or not 1 <= scale <= 100:
            raise ValueError(
                f"The guidance scale is {scale!r}; it must be a number from 1 (no guidance) to "
                f"100, "
                "7.5 is usual."
            )
        if not 0 <= self.guidance_rescale <= 1:
            raise ValueError(
                f"The guidance rescale is {self.guidance_rescale!r}; it must be a number from 0 "
                "(off) to 1."
            )
        if self.style_box not in STYLE_BOXES:
            raise ValueError(
                f"There is no style box {self.style_box!r}; there are: {', '.join(STYLE_BOXES)}."
            )
        if self.gate_schedule is not None:
            check_schedule(self.gate_schedule)
        if self.sampler not in (None, AS_PRESET, *SAMPLERS):
            raise ValueError(
                f"There is no sampler {self.sampler!r}; there are: {', '.join(SAMPLERS)}."
            )
        self._check_subject()

    def _check_subject(self) -> None:
        if self.inpaint_image is None:
            if self.inpaint_mask is not None:
                raise ValueError(
                    "There is a mask but no picture to repaint; give the picture too "
                    "(inpaint_image)."
                )
            if not self.prompt.strip() and not self.layout:
                raise ValueError(
                    "There is neither a prompt nor a region; write what to draw, or draw a box and "
                    "name it."
                )
        elif self.inpaint_mask is None and not self.layout.regions:
            raise ValueError(
                "There is no hole to repaint; draw at least one box, or paint a mask "
                "(inpaint_mask)."
            )

    @property
    def num_steps(self) -> int:
        """The number of denoising steps: what was asked for, else that of the preset, else 50."""
        return Preset.from_text(self.preset).num_steps(self.num_inference_steps)

    @property
    def sampler_name(self) -> str | None:
        """The sampler: what was asked for, else that of the preset, else PLMS."""
        if self.sampler == AS_PRESET:
            return Preset.from_text(self.preset).sampler or "plms"
        return self.sampler

    @property
    def full_prompt(self) -> str:
        """The prompt that is used: with appended phrases, or made of them where it is empty."""
        if not self.prompt.strip():
            return "; ".join(dict.fromkeys(r.phrase for r in self.layout.grounded if r.phrase))
        if self.append_grounding:
            return append_phrases(self.prompt, [r.phrase for r in self.layout.grounded])
        return self.prompt.strip()


@dataclass(frozen=True)
class Result:
    """The pictures of a request, and what is needed to make them again."""

    images: list[Image.Image]
    seeds: list[int]  # of each picture
    prompt: str  # as used
    request: Request
    model: str  # name of the model
    seconds: float  # wall time
    kind: str = ""  # of the model; empty: not said
    withheld: tuple[bool, ...] = ()  # pictures that a safety checker painted black

    def settings(self, index: int) -> dict[str, Any]:
        """Return the settings of picture `index` as plain JSON values."""
        request = self.request
        schedule = request.gate_schedule
        return {
            "gligen": SETTINGS_VERSION,
            "model": self.model,
            "kind": self.kind or None,
            "prompt": self.prompt,
            "negative_prompt": request.negative_prompt,
            "regions": [_described(region) for region in request.layout],
            "persons": [list(person.keypoints) for person in request.layout.persons],
            "has_map": request.layout.map is not None,
            "style": request.style_box if request.layout.style is not None else None,
            "crop_references": request.crop_references,
            "seed": self.seeds[index],
            "num_inference_steps": request.num_steps,
            "guidance_scale": request.guidance_scale,
            "guidance_rescale": request.guidance_rescale,
            "gate_schedule": list(schedule) if isinstance(schedule, tuple) else schedule,
            "sampler": request.sampler_name,
            "preset": request.preset,
            "width": self.images[index].width,
            "height": self.images[index].height,
            "inpainting": request.inpaint_image is not None,
            "mask": "painted" if request.inpaint_mask is not None else "boxes",
            "mask_feather": request.mask_feather,
            "hole_zoom": request.hole_zoom,
        }


def _described(region: Region) -> dict[str, Any]:
    entry: dict[str, Any] = {"phrase": region.phrase, "box": list(region.box)}
    return entry if region.image is None else {**entry, "has_picture": True}


def append_phrases(prompt: str, phrases: Sequence[str]) -> str:
    """Append to the prompt, after semicolons, the phrases that it does not contain as whole words.

    Case is ignored, so "A dog" is found in "a dog runs"; "a cat" is not found in "a caterpillar".
    """
    result = prompt.strip()
    for phrase in dict.fromkeys(phrases):
        contained = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", result, re.IGNORECASE)
        if phrase and not contained:
            result += f"; {phrase}"
    return result


def check_zoom(zoom: Any) -> None:
    """Refuse what is no zoom into a hole.

    Raises:
        ValueError: it is not a number from 1 to `MAX_ZOOM`.
    """
    is_number = isinstance(zoom, (int, float)) and not isinstance(zoom, bool)
    if not is_number or not 1 <= zoom <= MAX_ZOOM:
        raise ValueError(
            f"The zoom into the hole is {zoom!r}; it must be a number from 1 (the picture's own "
            f"resolution) to {MAX_ZOOM}, 4 is usual."
        )


def _check_whole(what: str, value: Any, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(
            f"The {what} is {value!r}; it must be a whole number from {lowest} to {highest}."
        )


def _words(name: str) -> str:
    return name.replace("_", " ")
