"""The canvas by keyboard alone and by fingers, at both widths; zoom and shape."""

import gradio as gr
import pytest
from playwright.sync_api import expect

from demo.app import Serving, launch_options
from demo.components.canvas import Canvas, Drawing
from demo.service import GENERATION, IMAGE_GENERATION, INPAINTING
from gligen.layout import Layout
from tests.browser.drawing import add_boxes, boxes, button, drag, named_boxes, names, near, selected
from tests.browser.fingers import PHONE, Fingers
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow

SIZES = {"wide": {}, "phone": PHONE}

CANVAS = "#generate-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(kinds=(GENERATION, IMAGE_GENERATION, INPAINTING))


# ---- keyboard alone ----


@pytest.mark.parametrize("size", SIZES)
def test_everything_by_keyboard(address, open_page, size):
    page = open_page(address, **SIZES[size])
    button(page, CANVAS, "Add box").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"{CANVAS} .stage")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    assert near(boxes(page, CANVAS)[0], [21, 25, 30, 30], 0.1)
    page.keyboard.press("Control+ArrowLeft")
    page.keyboard.press("Control+Shift+ArrowDown")
    assert near(boxes(page, CANVAS)[0], [21, 25, 29, 35], 0.1)
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("Box 1 of 1: 21 % from the left")
    page.keyboard.press("Enter")
    page.keyboard.type("dog")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+d")
    page.keyboard.press("PageUp")
    assert selected(page, CANVAS) == [1]
    page.keyboard.press("PageDown")
    assert selected(page, CANVAS) == [2]
    page.keyboard.press("Alt+ArrowUp")
    assert selected(page, CANVAS) == [1]
    page.keyboard.press("Delete")
    assert names(page, CANVAS) == ["dog"]
    page.keyboard.press("Control+z")
    assert names(page, CANVAS) == ["dog", "dog"]
    page.keyboard.press("Control+Shift+z")
    assert names(page, CANVAS) == ["dog"]
    page.keyboard.press("s")
    expect(page.locator(CANVAS).get_by_role("radio", name="Scribble")).to_be_checked()
    page.locator(CANVAS).get_by_role("radio", name="Scribble").press("ArrowLeft")
    expect(page.locator(CANVAS).get_by_role("radio", name="Box")).to_be_focused()
    expect(page.locator(CANVAS).get_by_role("radio", name="Box")).to_be_checked()


def test_a_held_key_is_one_step_of_the_history(page):
    add_boxes(page, CANVAS, (10, 10, 30, 30))
    page.keyboard.press("PageDown")
    for _ in range(5):
        page.keyboard.down("ArrowRight")
    page.keyboard.up("ArrowRight")
    assert near(boxes(page, CANVAS)[0], [15, 10, 20, 20], 0.5)
    page.keyboard.press("Control+z")
    assert near(boxes(page, CANVAS)[0], [10, 10, 20, 20], 0.5)


def test_deleting_from_the_list_leaves_the_focus_in_the_list(page):
    named_boxes(page, CANVAS)
    page.get_by_label("Delete box 2").press("Enter")
    expect(page.get_by_label("Delete box 2")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator(f"{CANVAS} .stage")).to_be_focused()
    page.keyboard.press("Control+z")
    assert names(page, CANVAS) == ["one"]


@pytest.mark.parametrize("size", SIZES)
def test_every_control_has_a_name_and_shows_its_focus(address, open_page, size):
    page = open_page(address, **SIZES[size])
    named = """(root) => [...root.querySelectorAll("button, input, [tabindex]")]
      .filter((node) => node.offsetParent)
      .filter((node) => !(node.getAttribute("aria-label") || node.textContent.trim()))
      .map((node) => node.outerHTML)"""
    add = button(page, CANVAS, "Add box")
    add.click()
    for canvas in (CANVAS, "#inpaint-canvas"):
        page.get_by_role("tab", name="Inpaint" if "inpaint" in canvas else "Generate").click()
        assert page.eval_on_selector(canvas, named) == []
    page.get_by_role("tab", name="Generate").click()
    add.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "stage"
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---- zoom and shape ----


def test_zoom_by_button_wheel_and_key_and_back_to_fit(page):
    add_boxes(page, CANVAS, (40, 40, 60, 60))
    stage = page.locator(f"{CANVAS} .stage")
    fit = stage.bounding_box()
    button(page, CANVAS, "Zoom in").click()
    assert stage.bounding_box()["width"] == pytest.approx(1.5 * fit["width"], rel=0.01)
    assert page.locator(f"{CANVAS} .viewport").bounding_box()["height"] == pytest.approx(
        fit["height"], abs=2
    )
    # What lies under the pointer stays there.
    button(page, CANVAS, "Zoom to fit, now 150 %").click()
    corner = page.locator(f"{CANVAS} .box").bounding_box()
    page.mouse.move(corner["x"], corner["y"])
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    zoomed = page.locator(f"{CANVAS} .box").bounding_box()
    assert zoomed["width"] > 2 * corner["width"]
    assert zoomed["x"] == pytest.approx(corner["x"], abs=4)
    assert zoomed["y"] == pytest.approx(corner["y"], abs=4)
    # Drawing goes on in fractions of the whole picture.
    drag(page, CANVAS, (0.28, 0.29), (0.36, 0.38))
    assert near(boxes(page, CANVAS)[1], [28, 29, 8, 9])
    page.keyboard.press("Escape")
    page.keyboard.press("0")
    assert stage.bounding_box()["width"] == pytest.approx(fit["width"], abs=1)
    page.keyboard.press("+")
    expect(button(page, CANVAS, "Zoom to fit, now 150 %")).to_be_visible()
    page.keyboard.press("-")
    expect(button(page, CANVAS, "Zoom out")).to_be_disabled()


def test_the_shape_follows_the_settings_without_a_call_and_python(open_page):
    with gr.Blocks() as blocks:
        canvas = Canvas(name="generate")
        width, height = gr.Number(512, label="Width"), gr.Number(512, label="Height")
        load = gr.Button("Load")
        canvas.follow_size(width, height)
        layout = Layout.from_lists(["sun"], [(0.5, 0, 1, 1)])
        load.click(lambda: Drawing(layout, colours=("#00ff00",), size=(256, 512)), None, canvas)
    try:
        _, address, _ = blocks.launch(**launch_options(Serving()), prevent_thread_lock=True)
        page = open_page(address)
        area = page.locator(f"{CANVAS} .stage")
        assert area.bounding_box()["width"] == pytest.approx(area.bounding_box()["height"], abs=1)
        drag(page, CANVAS, (0.2, 0.2), (0.4, 0.4))
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_label("Width").fill("768")
        page.get_by_label("Height").fill("384")
        expect(area).to_have_css("aspect-ratio", "768 / 384")
        assert area.bounding_box()["width"] == pytest.approx(
            2 * area.bounding_box()["height"], abs=1
        )
        assert near(boxes(page, CANVAS)[0], [20, 20, 20, 20])
        assert asked == []
        page.get_by_role("button", name="Load").click()
        expect(area).to_have_css("aspect-ratio", "256 / 512")
        assert boxes(page, CANVAS) == [[50, 0, 50, 100]]
        assert page.get_by_label("Colour of box 1").input_value() == "#00ff00"
    finally:
        blocks.close(verbose=False)


# ---- fingers ----


def test_fingers_move_resize_and_scroll_the_enlarged_picture(address, open_page):
    page = open_page(address, **PHONE)
    fingers = Fingers(page, CANVAS)
    fingers.drag((0.2, 0.2), (0.4, 0.4), (0.65, 0.65))
    fingers.drag((0.4, 0.45), (0.42, 0.47), (0.5, 0.47))
    assert near(boxes(page, CANVAS)[0], [30, 22, 45, 45], 1.5)
    sizes = page.eval_on_selector_all(
        f"{CANVAS} .box.selected .handle",
        "all => all.map(node => node.getBoundingClientRect()).map(r => [r.width, r.height])",
    )
    assert len(sizes) == 8
    assert all(width >= 44 and height >= 44 for width, height in sizes)
    controls = page.eval_on_selector_all(
        f"{CANVAS} button, {CANVAS} .choose, {CANVAS} .row input",
        """all => all.filter(node => node.offsetParent && !node.closest('.choose input'))
          .map(node => node.getBoundingClientRect().height)""",
    )
    assert min(controls) >= 43.5
    before = boxes(page, CANVAS)
    fingers.down((0.4, 0.4), (0.6, 0.6))
    fingers.move((0.3, 0.3), (0.7, 0.7))
    fingers.move((0.2, 0.2), (0.8, 0.8))
    fingers.up()
    assert boxes(page, CANVAS) == before
    area = page.locator(f"{CANVAS} .stage").bounding_box()
    assert area["width"] == pytest.approx(3 * fingers.area["width"], rel=0.05)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_small_box_can_still_be_moved_by_a_finger(address, open_page):
    page = open_page(address, **PHONE)
    fingers = Fingers(page, CANVAS)
    fingers.drag((0.4, 0.4), (0.45, 0.45), (0.53, 0.53))
    assert near(boxes(page, CANVAS)[0], [40, 40, 13, 13], 1.5)
    fingers.drag((0.465, 0.465), (0.5, 0.5), (0.565, 0.585))
    assert near(boxes(page, CANVAS)[0], [50, 52, 13, 13], 1.5)
    # Its corner is taken a little outside of it.
    fingers.drag((0.66, 0.68), (0.7, 0.72), (0.76, 0.78))
    assert near(boxes(page, CANVAS)[0], [50, 52, 23, 23], 1.5)
