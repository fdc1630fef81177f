"""What happens when a button is pressed, as plain functions without Gradio."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from demo.components.canvas import Drawing
from demo.service import ModelCard, PictureService
from demo.texts import operations, size
from demo.words import MAX_LABEL_LENGTH, MAX_PROMPT_LENGTH, check_words
from gligen.kinds import KEYPOINT, MAP, TEXT_BOX, Kind, check_layout, kind_named
from gligen.layout import Layout
from gligen.person import Person
from gligen.pictures.images import contact_sheet, open_picture
from gligen.pictures.poses import read_poses
from gligen.request import Request, Result

# What the page offers; programs and the command line may ask for more.
MAX_PAGE_IMAGES = 4
MAX_PAGE_AREA = 4  # of the pixels that the model was trained at
MAX_PAGE_STEPS = 250
MAX_PAGE_GUIDANCE = 20
MAX_PAGE_FEATHER = 64  # pixels of the photo
REPORT_SECONDS = 0.2  # between two reports; each costs time that the picture needs
PREVIEW_SECONDS = 0.4  # between two previews; decoding one costs time that the picture needs
SHOWN_SIDE = 512  # pixels; smaller pictures are shown enlarged to about this

Repaint = Literal["auto", "boxes", "mask"]


@dataclass(frozen=True)
class Options:
    """The settings of a tab, as they stand on the page; `build_request` checks them."""

    prompt: str = ""
    negative_prompt: str = ""
    tau: float | None = None  # share of steps with grounding; None: the usual one of the kind
    shares: tuple[float, float, float] | None = None  # full, decay, off; replaces tau
    guidance_scale: float = 7.5
    num_inference_steps: int = 50
    sampler: str = "plms"
    num_images: int = 1  # 1-4
    seed: int | None = None  # None: random
    append_grounding: bool = False
    mask_feather: int = 0  # pixels of the photo
    repaint: Repaint = "auto"  # auto: the painted mask if there is one, else the boxes
    style_box: str = "official"  # where the style token stands, as in gligen.request.STYLE_BOXES
    crop_references: bool = False  # centre-crop reference pictures instead of squashing them
    width: int | None = None  # pixels; None: the size that the model was trained at
    height: int | None = None
    preset: str = "exact"  # of gligen.presets; sampler and steps are said above


@dataclass(frozen=True)
class Asked:
    """What a person asked for, before it is checked as a whole."""

    kind: str  # of the model that answers
    options: Options
    drawing: Drawing


@dataclass(frozen=True)
class Running:
    """A step is done."""

    step: int
    num_steps: int
    seconds_left: float | None  # None: not known yet
    preview: Image.Image | None = None


@dataclass(frozen=True)
class Stopped:
    """The run was stopped."""

    step: int
    num_steps: int


@dataclass(frozen=True)
class Finished:
    """The pictures are made."""

    result: Result


def choose_kind(card: ModelCard, task: str, layout: Layout) -> str:
    """Return the kind that answers a layout of regions: with pictures the text-image one.

    Args:
        card: says which kinds are loaded.
        task: "generation" or "inpainting".
        layout: the visible regions, and the style picture.

    Raises:
        ValueError: no loaded kind can follow the layout; the sentence names the flag.
    """
    words, pictures = f"{task}_text_box", f"{task}_text_image_box"
    has_pictures = layout.style is not None or any(r.image is not None for r in layout)
    if has_pictures and not card.has(pictures):
        raise ValueError(
            "Reference pictures and a style picture need the model for them, which is not loaded; "
            f"start the app with {card.way_to(pictures)}, or remove the pictures."
        )
    if has_pictures or (card.has(pictures) and not card.has(words)):
        return pictures
    return words


def request_for(card: ModelCard, asked: Asked) -> Request:
    """Check what was asked for and return the request.

    Raises:
        ValueError: the kind is not loaded, or something breaks a rule; see `build_request`.
        TypeError: a setting has the wrong type.
    """
    check_loaded(card, asked.kind)
    options = asked.options
    if options.tau is None:
        options = replace(options, tau=card.tau(asked.kind))
    check_size(options, card.image_sizes[asked.kind])
    return build_request(options, asked.drawing, asked.kind)


def check_size(options: Options, trained: tuple[int, int]) -> None:
    """Refuse a picture that would take far more memory and time than the model was made for.

    Raises:
        ValueError: it has more than `MAX_PAGE_AREA` times the pixels that the model was trained at.
        TypeError: a side is no whole number.
    """
    width, height = options.width or trained[0], options.height or trained[1]
    if type(width) is not int or type(height) is not int:
        raise TypeError(f"The size is {width!r} x {height!r}; it must be two whole numbers.")
    if width * height > MAX_PAGE_AREA * trained[0] * trained[1]:
        raise ValueError(
            size.TOO_LARGE.format(
                width=width,
                height=height,
                most=MAX_PAGE_AREA,
                trained_width=trained[0],
                trained_height=trained[1],
            )
        )


def check_loaded(card: ModelCard, kind: str) -> None:
    """Refuse a kind that is not loaded.

    Raises:
        ValueError: it is not; the sentence names the flag that loads it.
    """
    if not card.has(kind):
        raise ValueError(
            f"The model of kind {kind} is not loaded; start the app with {card.way_to(kind)}."
        )


def build_request(options: Options, drawing: Drawing, kind: str) -> Request:
    """Turn the page's settings and drawing into a request.

    Raises:
        ValueError: a setting, the layout, the photo or the mask breaks a rule.
        TypeError: a setting has the wrong type.
    """
    if not 1 <= options.num_images <= MAX_PAGE_IMAGES:
        raise ValueError(
            f"The number of samples is {options.num_images}; the page makes 1 to {MAX_PAGE_IMAGES} "
            "at a time."
        )
    _check_words(options, drawing)
    model = kind_named(kind)
    _check_subject(options, drawing, model)
    check_layout(drawing.layout, model)
    tau = model.usual_tau if options.tau is None else options.tau
    photo, mask = None, None
    if model.is_inpainting:
        photo = _open_photo(drawing)
        mask = _choose_mask(options.repaint, drawing, photo.size)
    return Request(
        prompt=options.prompt,
        layout=drawing.layout,
        negative_prompt=options.negative_prompt,
        num_images=options.num_images,
        num_inference_steps=options.num_inference_steps,
        guidance_scale=options.guidance_scale,
        gate_schedule=tau if options.shares is None else options.shares,
        sampler=options.sampler,
        preset=options.preset,
        seed=options.seed,
        append_grounding=options.append_grounding,
        inpaint_image=photo,
        inpaint_mask=mask,
        mask_feather=options.mask_feather,
        style_box=options.style_box,
        crop_references=options.crop_references,
        width=options.width,
        height=options.height,
    )


def _check_subject(options: Options, drawing: Drawing, model: Kind) -> None:
    """Say in the page's words what is missing, before the library does in its own."""
    if model.is_inpainting or model.modality == MAP:
        return
    if not options.prompt.strip() and not drawing.layout:
        is_of_people = model.modality == KEYPOINT
        raise ValueError(operations.NO_PERSON if is_of_people else operations.NO_BOX)
    if model.modality == TEXT_BOX:
        for number, region in zip(drawing.numbers, drawing.layout, strict=True):
            if region.image is None and not region.phrase:
                raise ValueError(operations.NO_NAME.format(number=number))


def _check_words(options: Options, drawing: Drawing) -> None:
    check_words(options.prompt, operations.THE_PROMPT, MAX_PROMPT_LENGTH)
    check_words(options.negative_prompt, operations.THE_NEGATIVE_PROMPT, MAX_PROMPT_LENGTH)
    for number, region in zip(drawing.numbers, drawing.layout, strict=False):
        check_words(region.phrase, operations.THE_LABEL.format(number=number), MAX_LABEL_LENGTH)
    for phrase in drawing.pending:
        check_words(phrase, operations.A_PENDING_LABEL, MAX_LABEL_LENGTH)


def read_pose_file(path: Path) -> tuple[Person, ...]:
    """Return the people of an uploaded JSON file.

    Raises:
        ValueError: it holds no people that can be read, or too many.
        TypeError: a joint is not a pair of numbers.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError(
            "The file is not text; choose the JSON file that an editor of poses or COCO wrote."
        ) from None
    return Layout(persons=read_poses(text)).persons


def _open_photo(drawing: Drawing) -> Image.Image:
    if drawing.photo is None:
        raise ValueError("There is no photo to repaint; choose one on the canvas first.")
    if isinstance(drawing.photo, Image.Image):
        return drawing.photo.convert("RGB")
    return open_picture(drawing.photo)


def _choose_mask(repaint: Repaint, drawing: Drawing, size: tuple[int, int]) -> Image.Image | None:
    if repaint not in ("auto", "boxes", "mask"):
        raise ValueError(f"Repaint is {repaint!r}; it must be auto, boxes or mask.")
    if repaint == "mask" and drawing.mask is None:
        raise ValueError(
            "The painted mask is empty; paint with the mask brush, or repaint the boxes instead."
        )
    if repaint == "boxes" or drawing.mask is None:
        return None
    # The brush has hard edges: no new greys may appear where the mask grows to the photo's size.
    return drawing.mask.resize(size, Image.Resampling.NEAREST)


def follow(
    service: PictureService,
    kind: str,
    request: Request,
    should_stop: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Running | Stopped | Finished]:
    """Make the pictures of a request and say every now and then how far it is.

    The stop signal is read after every step; the library's generator is then closed, which ends the
    work. It is closed too when the caller leaves this generator early.
    """
    stream = service.stream(kind, request)
    started = last_preview = clock()
    last_report = -math.inf
    try:
        for item in stream:
            if isinstance(item, Result):
                yield Finished(item)
                return
            if should_stop():
                yield Stopped(item.index, item.num_steps)
                return
            now = clock()
            if now - last_report < REPORT_SECONDS:
                continue
            last_report, preview = now, None
            if now - last_preview >= PREVIEW_SECONDS and item.index < item.num_steps:
                preview = arrange(service.preview(kind, item))
                last_preview = now
            left = (now - started) / item.index * (item.num_steps - item.index)
            yield Running(item.index, item.num_steps, left, preview)
    finally:
        stream.close()


def arrange(images: list[Image.Image]) -> Image.Image:
    """Return one picture that shows all of them, small ones enlarged."""
    enlarged = [enlarge(image) for image in images]
    if len(enlarged) == 1:
        return enlarged[0]
    return contact_sheet(enlarged, columns=2)


def enlarge(image: Image.Image, side: int = SHOWN_SIDE) -> Image.Image:
    """Return a picture whose longer side is at least half of `side`, enlarged by a whole factor."""
    longest = max(image.size)
    if longest > side // 2:
        return image
    factor = side // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.LANCZOS)
