"""Rounds of inpainting through the page's handlers and files: outside the holes nothing changes."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.components.canvas import Canvas, CanvasData, Drawing
from demo.components.results import GalleryData, ResultView
from demo.flags import parse_flags
from demo.gallery import output_folder, result_as_photo, write_gallery
from demo.handlers import Asked, Finished, Options, follow, request_for
from demo.loading import load_service
from demo.service import INPAINTING
from gligen.pictures.metadata import read_settings

SIZES = [(600, 400), pytest.param((3000, 2000), marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def service():
    return load_service(parse_flags(["--model", "embedded", "--device", "cpu"]))


def mask_address(spots: list[tuple[int, int, int, int]]) -> str:
    """Return a mask as the page sends it: a small black and white PNG as a data address."""
    mask = Image.new("L", (1024, 683))
    for spot in spots:
        mask.paste(255, spot)
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("size", SIZES)
def test_three_rounds_change_nothing_outside_the_holes(service, tmp_path, size):
    rng = np.random.default_rng(1)
    original = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(original).save(tmp_path / "photo.png", compress_level=1)
    canvas, view = Canvas(takes_photo=True), ResultView(placeholder="", can_reuse=True)

    # A box with a hard edge at the border, a painted mask with a soft one, two soft boxes.
    rounds = [
        ([("sun", [0.8, 0, 1, 0.3])], None, 0),
        ([("dog", [0.1, 0.5, 0.4, 0.9])], [(120, 380, 300, 560), (700, 500, 720, 520)], 40),
        ([("apple", [0.3, 0.1, 0.5, 0.4]), ("", [0.55, 0.6, 0.6, 0.7])], None, 9),
    ]
    data = CanvasData.model_validate(
        {"photo": {"path": str(tmp_path / "photo.png"), "meta": {"_type": "gradio.FileData"}}}
    )
    covered, before = np.zeros(original.shape[:2], bool), original
    for boxes, spots, feather in rounds:
        regions = [{"phrase": phrase, "box": box, "visible": True} for phrase, box in boxes]
        mask = None if spots is None else mask_address(spots)
        drawing = canvas.preprocess(data.model_copy(update={"regions": regions, "mask": mask}))
        hole = hole_of(boxes, drawing.mask, size)
        options = Options(num_inference_steps=2, seed=3, mask_feather=feather, sampler="ddim")
        asked = Asked(INPAINTING, options, drawing)
        request = request_for(service.card, asked)
        *_, event = follow(service, INPAINTING, request, lambda: False)
        assert isinstance(event, Finished)
        with output_folder(None) as folder:
            gallery = write_gallery(event.result, folder, [], drawing.numbers)
            shown = GalleryData.model_validate(view.postprocess(gallery).model_dump())
        # The files of the run are gone; the page goes on with its own copy.
        data = canvas.postprocess(result_as_photo(view.preprocess(shown), 0))
        assert (data.width, data.height) == size
        assert read_settings(data.photo.path)["seed"] == 3
        with Image.open(data.photo.path) as picture:
            after = np.asarray(picture)
        changed = (after != before).any(axis=2)
        assert not changed[~hole].any()
        assert changed[hole].mean() > 0.5
        covered |= hole
        before = after
    assert np.array_equal(before[~covered], original[~covered])
    assert 0.1 < covered.mean() < 0.5


def hole_of(boxes: list, mask: Image.Image | None, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels that may change: those that a box touches, or under the painted mask."""
    width, height = size
    hole = np.zeros((height, width), bool)
    if mask is not None:
        return np.asarray(mask.resize(size, Image.Resampling.NEAREST)) > 127
    for _, (x0, y0, x1, y1) in boxes:
        rows = slice(int(np.floor(y0 * height)), int(np.ceil(y1 * height)))
        hole[rows, int(np.floor(x0 * width)) : int(np.ceil(x1 * width))] = True
    return hole


def test_the_page_shows_the_photo_before_beside_the_result(service, tmp_path):
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "photo.png")
    data = {"regions": [{"phrase": "sun", "box": [0, 0, 0.5, 0.5]}]}
    drawing = Canvas(takes_photo=True).preprocess(CanvasData.model_validate(data))
    drawing = Drawing(drawing.layout, photo=tmp_path / "photo.png")
    request = request_for(
        service.card, Asked(INPAINTING, Options(num_inference_steps=1, sampler="ddim"), drawing)
    )
    *_, event = follow(service, INPAINTING, request, lambda: False)
    gallery = write_gallery(event.result, tmp_path, [], drawing.numbers)
    with Image.open(io.BytesIO(gallery.before)) as before:
        assert before.size == (450, 300)
        assert before.getextrema() == ((0, 0), (128, 128), (128, 128))
    # Only the picture itself is left in a folder that is kept.
    assert len(list(tmp_path.glob("gligen-*"))) == 1


@pytest.mark.parametrize("index", [None, -1, 2, True, "0", 0.0])
def test_a_result_that_is_not_there_is_refused(index):
    with pytest.raises(ValueError, match="no result"):
        result_as_photo((Path("a.png"), Path("b.png")), index)
    assert result_as_photo((Path("a.png"), Path("b.png")), 1).photo == Path("b.png")
