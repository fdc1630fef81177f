"""Three rounds of inpainting on a large photo in the browser, on the embedded model."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.flags import parse_flags
from demo.loading import load_service
from gligen.pictures.metadata import read_settings
from tests.browser.drawing import drag
from tests.demo.serving import served

CANVAS, RESULTS = "#inpaint-canvas", "#inpaint-results"
WIDTH, HEIGHT = 3000, 2000
LONG_MS = 300_000  # files of many megabytes on a machine that does other things too


def set_number(page: Page, name: str, value: int) -> None:
    field = page.get_by_label(f"number input for {name}").locator("visible=true")
    field.fill(str(value))
    field.press("Tab")


def name_box(page: Page, phrase: str) -> None:
    page.get_by_label("Name of box 1", exact=True).fill(phrase)


def run(page: Page, path) -> tuple[np.ndarray, list[list[float]]]:
    """Press the button; return the pixels of the downloaded result and the boxes it was made of."""
    page.locator("#inpaint-start").click()
    expect(page.locator("#inpaint-start")).to_be_disabled()
    expect(page.locator("#inpaint-start")).to_be_enabled(timeout=LONG_MS)
    expect(page.locator("#inpaint-notice .message")).to_have_text("")
    with page.expect_download(timeout=LONG_MS) as download:
        page.locator(f"{RESULTS} figcaption a").click()
    download.value.save_as(path)
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture), [region["box"] for region in read_settings(path)["regions"]]


def go_on(page: Page) -> None:
    page.get_by_role("button", name="Use as input").locator("visible=true").click()
    message = page.locator("#inpaint-notice .message")
    expect(message).to_contain_text("pixel for pixel", timeout=LONG_MS)
    expect(page.locator(f"{CANVAS} .box")).to_have_count(0)
    page.wait_for_function(
        "width => document.querySelector('#inpaint-canvas .photo').naturalWidth === width",
        arg=WIDTH,
        timeout=LONG_MS,
    )


def cover(hole: np.ndarray, boxes: list[list[float]]) -> None:
    for x0, y0, x1, y1 in boxes:
        rows = slice(int(np.floor(y0 * HEIGHT)), int(np.ceil(y1 * HEIGHT)))
        hole[rows, int(np.floor(x0 * WIDTH)) : int(np.ceil(x1 * WIDTH))] = True


@pytest.mark.slow
def test_what_no_hole_covered_is_the_original_after_three_rounds(open_page, tmp_path):
    rng = np.random.default_rng(5)
    ramps = np.linspace(20, 230, WIDTH)[None, :, None] * np.ones((HEIGHT, 1, 3))
    original = (ramps + rng.integers(-8, 9, ramps.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(original).save(tmp_path / "photo.png")
    covered = np.zeros((HEIGHT, WIDTH), bool)
    with served(load_service(parse_flags(["--model", "embedded", "--device", "cpu"]))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Inpaint").click()
        page.locator(f"{CANVAS} [data-name=photo_input]").set_input_files(tmp_path / "photo.png")
        hint = page.locator(f"{CANVAS} .hint")
        expect(hint).to_contain_text(f"{WIDTH} x {HEIGHT}", timeout=LONG_MS)
        set_number(page, "Steps", 3)

        # A box, then a box with a soft edge over its corner, then a painted stroke.
        drag(page, CANVAS, (0.1, 0.1), (0.4, 0.5))
        name_box(page, "dog")
        first, boxes = run(page, tmp_path / "1.png")
        cover(covered, boxes)
        assert np.array_equal(first[~covered], original[~covered])

        go_on(page)
        drag(page, CANVAS, (0.35, 0.4), (0.6, 0.8))
        name_box(page, "apple")
        set_number(page, "Feather", 30)
        second, boxes = run(page, tmp_path / "2.png")
        cover(covered, boxes)
        assert np.array_equal(second[~covered], original[~covered])

        go_on(page)
        page.get_by_role("radio", name="Mask brush").locator("visible=true").click()
        drag(page, CANVAS, (0.7, 0.3), (0.9, 0.3))
        page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a sun in the sky")
        third, boxes = run(page, tmp_path / "3.png")
        assert boxes == []
        # The brush is 6 % of the width thick: 90 pixels to each side of the line, and round ends.
        covered[600 - 95 : 600 + 95, 2100 - 95 : 2700 + 95] = True
        assert np.array_equal(third[~covered], original[~covered])
        for before, after, least in [(original, first, 0.1), (first, second, 0.09)]:
            assert (before != after).any(axis=2).mean() > least
        assert (second != third).any(axis=2).mean() > 0.01
