"""The named endpoints: plain JSON in, PNG files and JSON out.

They are for `gradio_client` and other programs; the page does not use them.
"""

import uuid
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.utils import get_upload_folder

from demo.calls import read_map, read_options, read_photo, read_regions
from demo.components.canvas import Drawing
from demo.components.pose import read_people
from demo.describing import describe_request, describe_withheld
from demo.gallery import output_folder, write_gallery
from demo.handlers import Asked, Stopped, choose_kind
from demo.jobs import Caller, Made, work
from demo.service import KEYPOINT
from demo.session import StopSignal
from demo.tabs.running import (
    DEVICE_LIMIT,
    DEVICE_QUEUE,
    Workshop,
    address_of,
    describe_fault,
)
from demo.texts import operations as texts
from gligen.layout import Layout

# What the arguments are, as JSON Schema.
NUMBERS = {"type": "array", "items": {"type": "number"}}
REGION = {"phrase": {"type": "string"}, "box": NUMBERS}
REGIONS = {"type": "array", "items": {"type": "object", "properties": REGION}}
JOINT = {"anyOf": [NUMBERS, {"type": "null"}]}
PERSONS = {"type": "array", "items": {"type": "array", "items": JOINT}}


def build(workshop: Workshop) -> None:
    """Add the endpoints to the page; their components are not shown."""
    with gr.Row(visible=False):
        prompt = gr.Textbox(label="prompt")
        regions = _json("regions", REGIONS)
        options = _json("options", {"type": "object", "additionalProperties": True})
        image = gr.File(label="image", type="filepath")
        mask = gr.File(label="mask", type="filepath")
        persons = _json("persons", PERSONS)
        kind = gr.Textbox(label="kind")
        map_file = gr.File(label="map", type="filepath")
        photo = gr.File(label="photo", type="filepath")
        thresholds = _json("thresholds", NUMBERS)
        style = gr.File(label="style", type="filepath")
        files = gr.File(label="pictures", file_count="multiple", interactive=False)
        details = gr.JSON(label="details")
        generate_trigger = gr.Button()
        inpaint_trigger = gr.Button()
        keypoints_trigger = gr.Button()
        maps_trigger = gr.Button()

    def generate(
        prompt: str,
        regions: Any,
        options: Any = None,
        style: str | None = None,
        request: gr.Request | None = None,
    ) -> tuple[list[str], dict[str, Any]]:
        """Make pictures from a prompt and regions.

        Args:
            prompt: what the whole picture shows; empty: made from the phrases.
            regions: list of {"phrase": "a dog", "box": [x0, y0, x1, y1]}, coordinates in [0, 1];
                each may have a reference picture, "image": an uploaded file or a data address.
            options: {"seed": 7, "num_inference_steps": 50, ...} or null.
            style: a picture file whose look to take, or null.
        """

        def read() -> Asked:
            drawing = read_regions(regions, style)
            kind = choose_kind(workshop.service.card, "generation", drawing.layout)
            return Asked(kind, read_options(prompt, options), drawing)

        return answer(workshop, read, request)

    def inpaint(
        image: str | None,
        prompt: str,
        regions: Any,
        options: Any = None,
        mask: str | None = None,
        style: str | None = None,
        request: gr.Request | None = None,
    ) -> tuple[list[str], dict[str, Any]]:
        """Repaint parts of a picture: the boxes of the regions, or where the mask is white.

        Args:
            image: a picture file.
            prompt: what the picture shows; empty: made from the phrases.
            regions: as for `/generate`; without phrase and picture a hole filled without grounding.
            options: as for `/generate`.
            mask: a picture file as large as the image, white = repaint; or null.
            style: as for `/generate`.
        """

        def read() -> Asked:
            drawing = read_photo(read_regions(regions, style), image, mask)
            kind = choose_kind(workshop.service.card, "inpainting", drawing.layout)
            return Asked(kind, read_options(prompt, options), drawing)

        return answer(workshop, read, request)

    def keypoints(
        prompt: str, persons: Any, options: Any = None, request: gr.Request | None = None
    ) -> tuple[list[str], dict[str, Any]]:
        """Make pictures of people from their joints.

        Args:
            prompt: what the whole picture shows.
            persons: list of people; each is a list of 17 joints in COCO's order, [x, y] in [0, 1],
                or null for one that is not seen.
            options: as for `/generate`.
        """

        def read() -> Asked:
            drawing = Drawing(Layout(persons=read_people(persons)))
            return Asked(KEYPOINT, read_options(prompt, options), drawing)

        return answer(workshop, read, request)

    def maps(
        prompt: str,
        kind: str,
        map: str | None = None,  # noqa: A002 (what callers name it)
        options: Any = None,
        photo: str | None = None,
        thresholds: Any = None,
        request: gr.Request | None = None,
    ) -> tuple[list[str], dict[str, Any]]:
        """Make pictures from a map of edges, depth, normals or classes.

        Args:
            prompt: what the whole picture shows.
            kind: hed, canny, depth, normal or semantic.
            map: a picture file: the map.
            options: as for `/generate`.
            photo: for canny, a picture file to take the edges of, instead of a map.
            thresholds: [lower, upper] for the edges of the photo; null: [100, 200].
        """

        def read() -> Asked:
            layout = Layout(map=read_map(workshop.service.card, kind, map, photo, thresholds))
            return Asked(kind, read_options(prompt, options), Drawing(layout))

        return answer(workshop, read, request)

    shared = {
        "outputs": [files, details],
        "concurrency_id": DEVICE_QUEUE,
        "concurrency_limit": DEVICE_LIMIT,
        "api_visibility": "public",
    }
    generate_trigger.click(
        generate, inputs=[prompt, regions, options, style], api_name="generate", **shared
    )
    inpaint_trigger.click(
        inpaint,
        inputs=[image, prompt, regions, options, mask, style],
        api_name="inpaint",
        **shared,
    )
    keypoints_trigger.click(
        keypoints, inputs=[prompt, persons, options], api_name="keypoints", **shared
    )
    maps_trigger.click(
        maps,
        inputs=[prompt, kind, map_file, options, photo, thresholds],
        api_name="maps",
        **shared,
    )


def _json(label: str, schema: dict[str, Any]) -> gr.JSON:
    """Return an argument of plain JSON that says what it is.

    Gradio's own description of JSON is no valid schema, and MCP clients then refuse every call.
    """
    component = gr.JSON(label=label)
    component.api_info = lambda: schema
    return component


def answer(
    workshop: Workshop, read: Callable[[], Asked], request: gr.Request | None
) -> tuple[list[str], dict[str, Any]]:
    """Make pictures and return their files with what a program wants to know about them.

    Raises:
        gr.Error: with the sentence of whatever was wrong.
    """
    session = (request and request.session_hash) or uuid.uuid4().hex
    key = f"{session}/api {uuid.uuid4().hex}"
    workshop.signals.enter(key, address_of(request) if request else "")
    signal = workshop.signals.signal(key)
    caller = Caller(session, signal, is_page=False)
    try:
        *_, event = work(workshop.desk, workshop.service, caller, read)
        if isinstance(event, Stopped):
            raise gr.Error(_why_stopped(signal), print_exception=False)
        assert isinstance(event, Made)
        return _files(workshop, event)
    except gr.Error:
        raise
    except (ValueError, TypeError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    except Exception as error:  # noqa: BLE001 (it is in the log; a caller always gets a sentence)
        raise gr.Error(describe_fault(error), print_exception=False) from None
    finally:
        workshop.signals.finish(key, signal)


def _why_stopped(signal: StopSignal) -> str:
    return texts.CLOSING if signal.reason == "closing" else texts.CALLER_LEFT


def _files(workshop: Workshop, made: Made) -> tuple[list[str], dict[str, Any]]:
    result, drawing = made.result, made.asked.drawing
    notes = describe_withheld(result) + describe_request(result.request, drawing)
    details = {
        "kind": made.asked.kind,
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
