"""Pictures on the canvas: references by drop and paste, and a background to draw over."""

import pytest
from PIL import Image
from playwright.sync_api import expect

from demo.service import GENERATION, IMAGE_GENERATION, INPAINTING
from tests.browser.drawing import add_boxes, button, named_boxes
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow

CANVAS = "#generate-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(kinds=(GENERATION, IMAGE_GENERATION, INPAINTING))


# ---- reference pictures and the background ----


PUT = """([selector, kind, name]) => new Promise((done) => {
  const sheet = document.createElement("canvas");
  sheet.width = sheet.height = 8;
  sheet.getContext("2d").fillRect(0, 0, 8, 8);
  sheet.toBlob((blob) => {
    const data = new DataTransfer();
    data.items.add(new File([blob], name, { type: "image/png" }));
    const node = document.querySelector(selector);
    const bubbles = { bubbles: true, cancelable: true };
    if (kind === "drop") {
      node.dispatchEvent(new DragEvent("dragover", { ...bubbles, dataTransfer: data }));
      node.dispatchEvent(new DragEvent("drop", { ...bubbles, dataTransfer: data }));
    } else {
      node.focus();
      node.dispatchEvent(new ClipboardEvent("paste", { ...bubbles, clipboardData: data }));
    }
    done();
  });
})"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_dropped_or_pasted_on_a_row_is_the_reference_of_its_box(page, service, kind):
    named_boxes(page, CANVAS)
    target = f"{CANVAS} .row:nth-child(2)" + ("" if kind == "drop" else " input[type=text]")
    page.evaluate(PUT, [target, kind, "<b>dog</b>.png"])
    thumbs = page.locator(f"{CANVAS} .box .thumb:visible")
    expect(thumbs).to_have_count(1)
    expect(page.locator(f"{CANVAS} .box").nth(1).locator(".thumb")).to_be_visible()
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    images = [region.image is not None for region in service.requests[-1][1].layout]
    assert images == [False, True, False]
    page.get_by_label("Take the picture of box 2 away").click()
    expect(thumbs).to_have_count(0)


def test_a_background_picture_is_only_to_draw_over(page, service, tmp_path):
    Image.new("RGB", (60, 30), "orange").save(tmp_path / "back.png")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Background picture", exact=True).set_input_files(tmp_path / "back.png")
    expect(page.locator(f"{CANVAS} .backdrop")).to_be_visible()
    expect(page.locator(f"{CANVAS} .backdrop-note")).to_contain_text("model does not see it")
    add_boxes(page, CANVAS, (10, 10, 40, 40))
    assert [url for url in asked if not url.startswith(("blob:", "data:"))] == []
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    assert service.requests[-1][1].inpaint_image is None
    assert service.requests[-1][1].layout.style is None
    button(page, CANVAS, "Remove background").click()
    expect(page.locator(f"{CANVAS} .backdrop")).to_be_hidden()
    expect(page.locator(f"{CANVAS} .backdrop-note")).to_be_hidden()
    page.evaluate(PUT, [f"{CANVAS} .stage", "drop", "again.png"])
    expect(page.locator(f"{CANVAS} .backdrop")).to_be_visible()
