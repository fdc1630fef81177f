"""Painting the mask: brush, eraser, size, undo, by mouse, finger and keyboard."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.service import GENERATION, INPAINTING
from tests.browser.drawing import button, drag, hover
from tests.browser.fingers import PHONE, Fingers
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow

CANVAS = "#inpaint-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(kinds=(GENERATION, INPAINTING))


def with_photo(page: Page, folder) -> Page:
    Image.new("RGB", (200, 100), "teal").save(folder / "photo.png")
    page.get_by_role("tab", name="Inpaint").click()
    page.locator(f"{CANVAS} .drop input").set_input_files(folder / "photo.png")
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("200 x 100")
    return page


def mode(page: Page, name: str):
    return page.locator(CANVAS).get_by_role("radio", name=name)


def brush(page: Page):
    return page.get_by_label("Brush size in percent of the picture").locator("visible=true")


def painted(page: Page, service) -> np.ndarray:
    """Ask for a picture and return what its mask covers, as rows and columns of the photo."""
    before = len(service.requests)
    page.locator("#inpaint-start").click()
    expect(page.locator("#inpaint-start")).to_be_disabled()
    expect(page.locator("#inpaint-start")).to_be_enabled()
    assert len(service.requests) == before + 1
    return np.asarray(service.requests[-1][1].inpaint_mask) > 127


def test_brush_size_eraser_and_undo(address, open_page, service, tmp_path):
    page = with_photo(open_page(address), tmp_path)
    mode(page, "Mask brush").click()
    brush(page).fill("10")
    hover(page, CANVAS, 0.5, 0.5)
    ring = page.locator(f"{CANVAS} .ring")
    expect(ring).to_be_visible()
    stage = page.locator(f"{CANVAS} .stage").bounding_box()
    assert ring.bounding_box()["width"] == pytest.approx(0.1 * stage["width"], abs=2)
    drag(page, CANVAS, (0.3, 0.5), (0.7, 0.5))
    thin = painted(page, service)
    # 10 % of the longer side: 20 pixels thick.
    assert thin[:, 100].sum() == pytest.approx(20, abs=2)
    brush(page).fill("30")
    drag(page, CANVAS, (0.3, 0.5), (0.7, 0.5))
    thick = painted(page, service)
    assert thick[:, 100].sum() == pytest.approx(60, abs=2)
    mode(page, "Eraser").click()
    brush(page).fill("5")
    drag(page, CANVAS, (0.5, 0.0), (0.5, 1.0))
    assert not painted(page, service)[:, 100].any()
    button(page, CANVAS, "Undo").click()
    assert (painted(page, service) == thick).all()
    button(page, CANVAS, "Undo").press("Control+z")
    button(page, CANVAS, "Undo").click()
    expect(button(page, CANVAS, "Undo")).to_be_disabled()
    button(page, CANVAS, "Redo").click()
    assert (painted(page, service) == thin).all()


def test_the_brush_works_by_keyboard(address, open_page, service, tmp_path):
    page = with_photo(open_page(address), tmp_path)
    page.locator(f"{CANVAS} .stage").focus()
    page.keyboard.press("m")
    expect(mode(page, "Mask brush")).to_be_checked()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(f"{CANVAS} .ring")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("brush is down")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press(" ")
    page.keyboard.press("Shift+ArrowDown")  # lifted: paints nothing
    mask = painted(page, service)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    # From 45 % to 65 % of the width, the brush of 6 % around it.
    assert columns.min() == pytest.approx(90 - 6, abs=2)
    assert columns.max() == pytest.approx(130 + 6, abs=2)
    assert rows.max() == pytest.approx(50 + 6, abs=2)
    page.locator(f"{CANVAS} .stage").focus()
    page.keyboard.press("Control+z")
    expect(button(page, CANVAS, "Undo")).to_be_disabled()


def test_a_finger_paints_and_a_second_one_takes_the_stroke_back(
    address, open_page, service, tmp_path
):
    page = with_photo(open_page(address, **PHONE), tmp_path)
    mode(page, "Mask brush").click()
    fingers = Fingers(page, CANVAS)
    fingers.drag((0.3, 0.5), (0.4, 0.5), (0.6, 0.5))
    before = painted(page, service)
    assert before[50, 100]
    assert not before[10, 100]
    fingers = Fingers(page, CANVAS)
    fingers.down((0.3, 0.1))
    fingers.move((0.5, 0.1))
    fingers.down((0.5, 0.1), (0.7, 0.3))
    fingers.move((0.4, 0.1), (0.8, 0.4))
    fingers.up()
    assert (painted(page, service) == before).all()
