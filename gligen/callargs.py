"""Reading and checking the arguments of a pipeline's call, before anything is computed."""

from collections.abc import Sequence
from typing import TypeVar, cast

from torch import Tensor

from gligen.components import Components
from gligen.encoding import check_length
from gligen.holes import Hole, check_task
from gligen.kinds import check_layout, kind_named
from gligen.layout import Layout
from gligen.regionlists import RegionLists
from gligen.request import Request
from gligen.run import Generators

Value = TypeVar("Value")
OUTPUT_TYPES = ("pil", "np", "pt", "latent")


def check_request(components: Components, request: Request) -> None:
    """Refuse a request that the model cannot answer.

    Raises:
        ValueError: the model is of the other task, or a size or a text is none that it takes.
    """
    check_task(components, request.inpaint_image)
    check_layout(request.layout, kind_named(components.kind))
    if request.inpaint_image is not None and (request.width or request.height):
        raise ValueError("Inpainting keeps the size of the picture; leave width and height out.")
    check_side(components, "width", request.width)
    check_side(components, "height", request.height)
    check_length(components.tokenizer, request.full_prompt, "The prompt")
    check_length(components.tokenizer, request.negative_prompt, "The negative prompt")


def check_side(components: Components, name: str, side: int | None) -> None:
    """Refuse a width or height, in pixels, that the latents cannot have.

    Raises:
        ValueError: it is not a positive multiple of the pixels for one latent.
    """
    factor = components.pixels_per_latent
    if side is not None and (side < factor or side % factor):
        raise ValueError(
            f"The {name} is {side} pixels; it must be a multiple of {factor}, for example "
            f"{max(1, round(side / factor)) * factor}."
        )


def read_size(
    components: Components, hole: Hole | None, width: int | None, height: int | None
) -> tuple[int, int]:
    """Return width and height in pixels of what the model paints.

    Raises:
        ValueError: they are none that the model can paint, or not those of the picture with a hole.
    """
    if hole is None:
        check_side(components, "width", width)
        check_side(components, "height", height)
        return width or components.image_size[0], height or components.image_size[1]
    if (width, height) not in ((None, None), hole.picture.size):
        raise ValueError(
            f"The picture to inpaint is {hole.picture.width} x {hole.picture.height} and keeps "
            f"that size; leave width={width} and height={height} out."
        )
    return hole.area.size


def read_layouts(layout: Layout | list[Layout] | None, lists: RegionLists) -> list[Layout]:
    """Return the layouts that a call describes, one for all prompts or one for each.

    Raises:
        ValueError: there are a layout and lists, or the lists do not fit together.
    """
    if layout is None:
        return [lists.read()]
    if lists:
        raise ValueError(
            "Give either a layout, or gligen_phrases, gligen_images and gligen_boxes, not both."
        )
    return [layout] if isinstance(layout, Layout) else list(layout)


def read_prompts(
    prompt: str | list[str] | None,
    negative: str | list[str] | None,
    prompt_embeds: Tensor | None,
    num_layouts: int,
) -> tuple[list[str], list[str]]:
    """Return the prompts and the negative prompts, as many of the one as of the other.

    A single prompt is repeated for several layouts; where `prompt_embeds` are given, the prompts
    are empty.

    Raises:
        ValueError: there are both or neither of prompt and embeds, or the numbers differ.
    """
    if (prompt is None) == (prompt_embeds is None):
        raise ValueError("Give either a prompt or prompt_embeds, not both and not neither.")
    if isinstance(prompt, str):
        prompts = [prompt] * num_layouts
    elif prompt is not None:
        prompts = list(prompt)
    else:
        prompts = [""] * len(cast("Tensor", prompt_embeds))
    negatives = list(negative) if isinstance(negative, list) else [negative or ""]
    if len(negatives) == 1:
        negatives = negatives * len(prompts)
    if len(negatives) != len(prompts):
        raise ValueError(
            f"There are {len(negatives)} negative prompts and {len(prompts)} prompts; give one for "
            "all, or one for each."
        )
    return prompts, negatives


def check_embeds(
    negative: str | list[str] | None,
    prompt_embeds: Tensor | None,
    negative_prompt_embeds: Tensor | None,
) -> None:
    """Refuse encoded prompts that do not fit together.

    Raises:
        ValueError: the negative prompt is given twice, or the two differ in shape.
    """
    if negative_prompt_embeds is None:
        return
    if negative is not None:
        raise ValueError("Give either a negative_prompt or negative_prompt_embeds, not both.")
    if prompt_embeds is not None and prompt_embeds.shape != negative_prompt_embeds.shape:
        raise ValueError(
            f"prompt_embeds have shape {tuple(prompt_embeds.shape)} and negative_prompt_embeds "
            f"{tuple(negative_prompt_embeds.shape)}; both must have the same."
        )


def check_call(num_steps: int, images_each: int, output_type: str) -> None:
    """Refuse numbers and a form of the result that no call has.

    Raises:
        ValueError: there are no steps or no pictures, or the form is unknown.
    """
    for name, value in (
        ("num_inference_steps", num_steps),
        ("num_images_per_prompt", images_each),
    ):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be a positive whole number.")
    if output_type not in OUTPUT_TYPES:
        raise ValueError(
            f"There is no output_type {output_type!r}; there are {', '.join(OUTPUT_TYPES)}."
        )


def check_generators(generators: Generators, num_images: int) -> None:
    """Refuse a list of generators that does not fit the pictures.

    Raises:
        ValueError: it holds neither one nor one for each picture.
    """
    if isinstance(generators, list) and len(generators) not in (1, num_images):
        raise ValueError(
            f"There are {len(generators)} generators and {num_images} pictures to make; give one, "
            "or one for each picture."
        )


def spread_layouts(layouts: list[Layout], num_prompts: int) -> list[Layout]:
    """Return one layout for each prompt.

    Raises:
        ValueError: there is neither one layout nor as many as prompts.
    """
    if len(layouts) not in (1, num_prompts):
        raise ValueError(
            f"There are {len(layouts)} layouts and {num_prompts} prompts; give one layout for all, "
            "or one for each prompt."
        )
    return layouts * num_prompts if len(layouts) == 1 else layouts


def repeat_each(values: Sequence[Value], times: int) -> list[Value]:
    """Return every value `times` times in a row."""
    return [value for value in values for _ in range(times)]


def repeat_rows(rows: Tensor | None, times: int) -> Tensor | None:
    """Return every row of a tensor `times` times in a row."""
    return None if rows is None else rows.repeat_interleave(times, dim=0)
