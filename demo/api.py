"""The named endpoints `/generate` and `/inpaint`: plain JSON in, PNG files and JSON out.

They are for `gradio_client` and other programs; the page does not use them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from demo.components.canvas import Drawing, read_drawing
from demo.gallery import output_folder, write_gallery
from demo.handlers import Finished, Options, build_request, describe_request, follow
from demo.service import FLAGS, GENERATION, INPAINTING
from demo.tabs.running import DEVICE_QUEUE, Workshop
from gligen.images import open_picture
from gligen.schedule import check_schedule

# The fields of Options that a program may set besides the prompt, with what JSON gives for them.
OPTION_TYPES = {
    "negative_prompt": (str,),
    "tau": (int, float),
    "shares": (list,),
    "guidance_scale": (int, float),
    "num_inference_steps": (int,),
    "sampler": (str,),
    "num_images": (int,),
    "seed": (int, type(None)),
    "append_grounding": (bool,),
    "mask_feather": (int,),
    "repaint": (str,),
}
TYPE_NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of numbers",
    type(None): "null",
}


def build(workshop: Workshop) -> None:
    """Add the endpoints to the page; their components are not shown."""
    with gr.Row(visible=False):
        prompt = gr.Textbox(label="prompt")
        regions = gr.JSON(label="regions")
        options = gr.JSON(label="options")
        image = gr.File(label="image", type="filepath")
        mask = gr.File(label="mask", type="filepath")
        files = gr.File(label="pictures", file_count="multiple", interactive=False)
        details = gr.JSON(label="details")
        generate_trigger = gr.Button()
        inpaint_trigger = gr.Button()

    def generate(prompt: str, regions: Any, options: Any) -> tuple[list[str], dict[str, Any]]:
        """Make pictures from a prompt and regions.

        Args:
            prompt: what the whole picture shows; empty: made from the phrases.
            regions: list of {"phrase": "a dog", "box": [x0, y0, x1, y1]}, coordinates in [0, 1].
            options: {"seed": 7, "num_inference_steps": 50, ...} or null.
        """
        return answer(workshop, GENERATION, prompt, regions, options)

    def inpaint(
        image: str | None, prompt: str, regions: Any, options: Any, mask: str | None
    ) -> tuple[list[str], dict[str, Any]]:
        """Repaint parts of a picture: the boxes of the regions, or where the mask is white.

        Args:
            image: a picture file.
            prompt: what the picture shows; empty: made from the phrases.
            regions: as for `/generate`; an empty phrase is a hole filled without grounding.
            options: as for `/generate`.
            mask: a picture file as large as the image, white = repaint; or null.
        """
        return answer(workshop, INPAINTING, prompt, regions, options, image, mask)

    shared = {
        "outputs": [files, details],
        "concurrency_id": DEVICE_QUEUE,
        "concurrency_limit": 1,
        "api_visibility": "public",
    }
    generate_trigger.click(
        generate, inputs=[prompt, regions, options], api_name="generate", **shared
    )
    inpaint_trigger.click(
        inpaint, inputs=[image, prompt, regions, options, mask], api_name="inpaint", **shared
    )


def answer(
    workshop: Workshop,
    kind: str,
    prompt: str | None,
    regions: Any,
    options: Any,
    image: str | None = None,
    mask: str | None = None,
) -> tuple[list[str], dict[str, Any]]:
    """Make pictures and return their files with what a program wants to know about them.

    Raises:
        gr.Error: with the sentence of whatever was wrong with the input.
    """
    try:
        if not workshop.service.card.has(kind):
            raise ValueError(
                f"The model of kind {kind} is not loaded; start the app with {FLAGS[kind]}."
            )
        drawing = read_call(regions, image, mask)
        request = build_request(read_options(prompt, options), drawing, kind)
        *_, event = follow(workshop.service, kind, request, should_stop=lambda: False)
        assert isinstance(event, Finished)
        return _files(workshop, event, drawing)
    except (ValueError, TypeError) as error:
        raise gr.Error(str(error), print_exception=False) from None


def read_options(prompt: str | None, options: Any) -> Options:
    """Return the options of a call.

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
    return Options(prompt=prompt or "", **values)


def read_call(regions: Any, image: str | None, mask: str | None) -> Drawing:
    """Return regions and files of a call, checked."""
    drawing = read_drawing({"regions": regions})
    return replace(
        drawing,
        photo=Path(image) if image else None,
        mask=open_picture(mask).convert("L") if mask else None,
    )


def _files(
    workshop: Workshop, event: Finished, drawing: Drawing
) -> tuple[list[str], dict[str, Any]]:
    result = event.result
    notes = describe_request(result.request, drawing)
    details = {
        "prompt": result.prompt,
        "seeds": result.seeds,
        "model": result.model,
        "seconds": round(result.seconds, 2),
        "notes": notes,
    }
    with output_folder(workshop.folder) as folder:
        gallery = write_gallery(result, folder, notes, drawing.numbers)
        # Where callers may fetch them, and whence they are removed after an hour.
        cache = get_upload_folder()
        return [save_file_to_cache(picture.file, cache) for picture in gallery.pictures], details
