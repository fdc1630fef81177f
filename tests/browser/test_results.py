"""Finished pictures on the page: boxes over them, enlarging, before and after, another round."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.drawing import drag
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow

SHAPES = pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
RESULTS = "#generate-results"
INPAINT = "#inpaint-results"


@pytest.fixture(scope="module")
def service():
    return FakeService(step_seconds=0.01)


def set_number(page: Page, name: str, value: int) -> None:
    field = page.get_by_label(f"number input for {name}").locator("visible=true")
    field.fill(str(value))
    field.press("Tab")


def run(page: Page, tab: str) -> None:
    page.locator(f"#{tab}-start").click()
    expect(page.locator(f"#{tab}-start")).to_be_disabled()
    expect(page.locator(f"#{tab}-start")).to_be_enabled()
    page.wait_for_selector(f"#{tab}-results figure")


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def generate(page: Page, count: int) -> None:
    page.locator("#generate-example-1").click()
    expect(page.locator("#generate-canvas .box")).to_have_count(2)
    set_number(page, "Number of samples", count)
    set_number(page, "Steps", 4)
    page.get_by_label("fixed", exact=True).locator("visible=true").check()
    page.get_by_label("Fixed seed").locator("visible=true").fill("7")
    run(page, "generate")


@SHAPES
def test_a_gallery_has_seeds_boxes_and_downloads(address, open_page, shape, tmp_path):
    page = open_page(address, **shape)
    generate(page, 4)
    expect(page.locator(f"{RESULTS} figcaption span")).to_have_text(
        ["Seed 7", "Seed 8", "Seed 9", "Seed 10"]
    )
    expect(page.locator(f"{RESULTS} .note")).to_contain_text("64 x 64 pixels")
    expect(page.locator(f"{RESULTS} .sheet .frame:visible")).to_have_count(8)
    page.get_by_label("Show the boxes").locator("visible=true").uncheck()
    expect(page.locator(f"{RESULTS} .sheet .frame:visible")).to_have_count(0)
    # Smooth, and larger than the model painted.
    image = page.locator(f"{RESULTS} .sheet img").first
    assert image.evaluate("image => image.naturalWidth") == 512
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "auto"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as PNG: Seed 9").click()
    download.value.save_as(tmp_path / "nine.png")
    with Image.open(tmp_path / "nine.png") as picture:
        assert picture.size == (64, 64)
    assert fits(page)


@SHAPES
def test_a_picture_is_enlarged_and_escape_closes_it(address, open_page, shape):
    page = open_page(address, **shape)
    generate(page, 2)
    small = page.locator(f"{RESULTS} .sheet img").first.bounding_box()["width"]
    button = page.get_by_role("button", name="Enlarge: Seed 8")
    button.focus()
    page.keyboard.press("Enter")
    box = page.locator(f"{RESULTS} .lightbox")
    expect(box).to_be_visible()
    expect(box.locator(".title")).to_have_text("Seed 8")
    expect(box.locator(".position")).to_have_text("2 of 2")
    expect(box.locator(".measure")).to_have_text("64 x 64 pixels, shown enlarged")
    expect(box.locator(".frame:visible")).to_have_count(2)
    assert box.locator("img").bounding_box()["width"] >= small
    area = box.bounding_box()
    assert area["width"] <= page.viewport_size["width"]
    assert area["height"] <= page.viewport_size["height"]

    # Arrow keys turn to the other one; Tab stays inside.
    page.keyboard.press("ArrowRight")
    expect(box.locator(".title")).to_have_text("Seed 7")
    for _ in range(6):
        page.keyboard.press("Tab")
    assert page.evaluate(
        "document.activeElement === document.body || "
        "Boolean(document.activeElement.closest('.lightbox'))"
    )
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(button).to_be_focused()

    # A click on the picture opens it too, a click beside it closes it.
    page.locator(f"{RESULTS} .sheet .picture").first.click()
    expect(box).to_be_visible()
    page.mouse.click(3, 3)
    expect(box).to_be_hidden()


def photo_of(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def inpaint(page: Page, tmp_path, size: tuple[int, int]) -> Image.Image:
    photo = photo_of(*size)
    photo.save(tmp_path / "photo.png")
    page.get_by_role("tab", name="Inpaint").click()
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#inpaint-canvas .hint")).to_contain_text(f"{size[0]} x {size[1]}")
    set_number(page, "Steps", 3)
    drag(page, "#inpaint-canvas", (0.2, 0.2), (0.6, 0.7))
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    run(page, "inpaint")
    return photo


def share_of(holder: Locator) -> float:
    """Return where the divider stands, in percent, as it is painted."""
    area, line = holder.bounding_box(), holder.locator(".divider").bounding_box()
    return 100 * (line["x"] + line["width"] / 2 - area["x"]) / area["width"]


def clip_of(holder: Locator) -> str:
    return holder.locator("img.before").evaluate("image => getComputedStyle(image).clipPath")


@SHAPES
def test_the_slider_follows_pointer_and_keys(address, open_page, tmp_path, shape):
    page = open_page(address, **shape)
    inpaint(page, tmp_path, (200, 150))
    holder = page.locator(f"{INPAINT} .sheet .picture")
    holder.scroll_into_view_if_needed()
    assert share_of(holder) == pytest.approx(50, abs=1)
    area = holder.bounding_box()
    middle = area["y"] + area["height"] / 2

    page.mouse.move(area["x"] + area["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.25, middle, steps=3)
    page.mouse.up()
    assert share_of(holder) == pytest.approx(25, abs=1)
    assert float(re.search(r"inset\(0px ([\d.]+)%", clip_of(holder)).group(1)) == pytest.approx(
        75, abs=1
    )
    # After the button is released the pointer moves nothing.
    page.mouse.move(area["x"] + area["width"] * 0.8, middle)
    assert share_of(holder) == pytest.approx(25, abs=1)

    slider = page.get_by_role("slider", name=re.compile("Before and after")).locator("visible=true")
    expect(slider).to_be_focused()
    before = float(slider.input_value())
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) == before + 5
    assert share_of(holder) == pytest.approx(before + 5, abs=1)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^30 % of the width"))
    page.keyboard.press("End")
    assert share_of(holder) == pytest.approx(100, abs=1)
    page.keyboard.press("Home")
    assert share_of(holder) == pytest.approx(0, abs=1)
    assert fits(page)


def test_the_slider_follows_a_finger(address, open_page, tmp_path):
    page = open_page(address, **PHONE)
    inpaint(page, tmp_path, (200, 150))
    holder = page.locator(f"{INPAINT} .sheet .picture")
    holder.scroll_into_view_if_needed()
    area = holder.bounding_box()
    middle = area["y"] + area["height"] / 2
    touch = page.context.new_cdp_session(page)

    def send(kind: str, share: float | None) -> None:
        points = [] if share is None else [{"x": area["x"] + area["width"] * share, "y": middle}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", 0.5)
    for share in (0.55, 0.6, 0.7, 0.8):
        send("touchMove", share)
    send("touchEnd", None)
    page.wait_for_function(
        "holder => Math.abs(parseFloat(holder.style.getPropertyValue('--share')) - 80) < 1",
        arg=holder.element_handle(),
    )
    # It is large enough for a finger, and so are the buttons.
    for name in ("Enlarge: Seed 1234", "Use as input: Seed 1234"):
        assert page.get_by_role("button", name=name).bounding_box()["height"] >= 44


def test_the_slider_works_in_the_enlarged_picture_too(address, open_page, tmp_path):
    page = open_page(address)
    inpaint(page, tmp_path, (200, 150))
    page.get_by_role("button", name="Enlarge: Seed 1234").click()
    holder = page.locator(f"{INPAINT} .lightbox .picture")
    holder.locator("input").press("ArrowLeft")
    assert share_of(holder) == pytest.approx(49, abs=1)
    page.keyboard.press("Escape")
    expect(page.locator(f"{INPAINT} .lightbox")).to_be_hidden()


def test_a_large_picture_is_shown_smaller_and_saved_whole(address, open_page, tmp_path):
    page = open_page(address)
    inpaint(page, tmp_path, (2000, 500))
    expect(page.locator(f"{INPAINT} .note")).to_contain_text("2000 x 500 pixels")
    image = page.locator(f"{INPAINT} .sheet img").first
    assert image.evaluate("image => image.naturalWidth") == 1600
    with page.expect_download() as download:
        page.locator(f"{INPAINT} figcaption a").click()
    download.value.save_as(tmp_path / "large.png")
    with Image.open(tmp_path / "large.png") as picture:
        assert picture.size == (2000, 500)


@SHAPES
def test_a_result_becomes_the_input_without_loss(address, open_page, service, tmp_path, shape):
    page = open_page(address, **shape)
    inpaint(page, tmp_path, (300, 200))
    first = service.requests[-1][1]
    page.get_by_role("button", name="Use as input: Seed 1234").click()
    expect(page.locator("#inpaint-notice .message")).to_contain_text("pixel for pixel")
    expect(page.locator("#inpaint-canvas .box")).to_have_count(0)
    expect(page.locator("#inpaint-canvas")).to_be_in_viewport()
    assert fits(page)
    drag(page, "#inpaint-canvas", (0.7, 0.1), (0.9, 0.4))
    page.get_by_label("Name of box 1", exact=True).fill("moon")
    run(page, "inpaint")
    second = service.requests[-1][1]
    assert second is not first
    assert second.layout.phrases == ("moon",)
    # The fake paints its boxes teal, and nothing else changes.
    expected = service._paint(first)
    assert second.inpaint_image.tobytes() == expected.tobytes()
