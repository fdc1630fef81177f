"""The canvas by mouse, keyboard and touch, on a service without a model."""

import time

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.drawing import boxes, drag, scribble
from tests.browser.fingers import PHONE, Fingers
from tests.browser.waiting import until
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

CANVAS = "#generate-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(step_seconds=0.02)


def field(page):
    return page.get_by_label("Grounding instruction").locator("visible=true")


def near(found, expected):
    return all(abs(a - b) < 1.5 for a, b in zip(found, expected, strict=True))


def test_a_drag_is_a_box_and_reaches_both_edges(page):
    drag(page, CANVAS, (0.5, 0.5), (-0.1, 1.1))
    (box,) = boxes(page, CANVAS)
    assert box[0] == 0
    assert box[1] + box[3] == 100
    assert near(box, [0, 50, 50, 50])


def test_a_scribble_becomes_its_bounding_box(page):
    page.get_by_role("radio", name="Scribble").first.click()
    scribble(page, CANVAS, (0.2, 0.3, 0.6, 0.8))
    (box,) = boxes(page, CANVAS)
    assert near(box, [20, 30, 40, 50])


def test_a_tiny_stroke_is_ignored_and_said(page):
    drag(page, CANVAS, (0.5, 0.5), (0.505, 0.505))
    assert boxes(page, CANVAS) == []
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("too small")
    drag(page, CANVAS, (0.2, 0.2), (0.4, 0.4))
    (box,) = boxes(page, CANVAS)
    assert near(box, [20, 20, 20, 20])


def test_move_resize_nudge_delete_undo_redo(page):
    drag(page, CANVAS, (0.2, 0.2), (0.4, 0.4))
    page.keyboard.press("Escape")
    drag(page, CANVAS, (0.3, 0.35), (0.5, 0.55))
    assert near(boxes(page, CANVAS)[0], [40, 40, 20, 20])
    drag(page, CANVAS, (0.6, 0.6), (0.8, 0.7))
    assert near(boxes(page, CANVAS)[0], [40, 40, 40, 30])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert near(boxes(page, CANVAS)[0], [39, 39, 40, 30])
    page.keyboard.press("Control+ArrowRight")
    assert near(boxes(page, CANVAS)[0], [39, 39, 41, 30])
    page.keyboard.press("Delete")
    assert boxes(page, CANVAS) == []
    page.keyboard.press("Control+z")
    assert near(boxes(page, CANVAS)[0], [39, 39, 41, 30])
    for _ in range(4):
        page.keyboard.press("Control+z")
    assert near(boxes(page, CANVAS)[0], [40, 40, 20, 20])
    page.keyboard.press("Control+y")
    assert near(boxes(page, CANVAS)[0], [40, 40, 40, 30])


def test_labels_and_field_stay_in_step(page):
    field(page).fill("dog; cat; dog")
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("Draw 3 boxes")
    drag(page, CANVAS, (0.1, 0.1), (0.4, 0.4))
    drag(page, CANVAS, (0.5, 0.5), (0.9, 0.9))
    expect(page.get_by_label("Name of box 1", exact=True)).to_have_value("dog")
    expect(page.get_by_label("Name of box 2", exact=True)).to_have_value("cat")
    expect(field(page)).to_have_value("dog; cat; dog")
    page.get_by_label("Name of box 2", exact=True).fill("a sun; high")
    expect(field(page)).to_have_value("dog; a sun\\; high; dog")
    expect(page.get_by_label("Name of box 2 on the canvas")).to_have_value("a sun; high")
    field(page).fill("frog;pig;")
    expect(page.get_by_label("Name of box 1 on the canvas")).to_have_value("frog")
    expect(page.get_by_label("Name of box 2", exact=True)).to_have_value("pig")
    page.get_by_label("Delete box 1").click()
    expect(field(page)).to_have_value("pig")


def test_a_label_is_never_run_as_code(page):
    text = "${document.title='x'}<img src=x onerror=document.title='x'>{{value}}"
    page.get_by_role("button", name="Add box").first.click()
    page.get_by_label("Name of box 1", exact=True).fill(text)
    page.locator("#generate-start").click()
    expect(page.locator("#generate-results figure .frame")).to_have_text(f"1 {text}")
    assert page.title() != "x"
    assert page.locator("#generate-results .frame img").count() == 0


def test_the_31st_box_is_refused(page):
    add = page.get_by_role("button", name="Add box").first
    for _ in range(31):
        add.click()
    assert len(boxes(page, CANVAS)) == 30
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("already 30 boxes")


def test_hidden_boxes_do_not_reach_the_model(page, service):
    page.locator("#generate-example-1").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    page.get_by_label("Hide box 1").click()
    page.get_by_label("Duplicate box 2").click()
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    assert service.requests[-1][1].layout.phrases == ("comet", "comet")
    # Numbers over the result are those of the canvas.
    expect(page.locator("#generate-results .frame")).to_have_text(["2 comet", "3 comet"])


def test_boxes_over_the_result_can_be_switched_off(page):
    page.locator("#generate-example-1").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    page.locator("#generate-start").click()
    frames = page.locator("#generate-results .frame")
    expect(frames).to_have_count(2)
    expect(frames.first).to_be_visible()
    page.get_by_label("Show the boxes").first.uncheck()
    expect(frames.first).to_be_hidden()


def test_faults_are_sentences_on_the_page_and_the_page_goes_on(page):
    page.locator("#generate-start").click()
    alert = page.locator("#generate-notice [role=alert]")
    expect(alert).to_contain_text("neither a prompt nor a box")
    page.get_by_role("button", name="Add box").first.click()
    page.locator("#generate-start").click()
    expect(alert).to_contain_text("Box 1 has no name")
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    expect(alert).to_have_count(0)


def test_touch_draws_and_selects(address, open_page):
    page = open_page(address, **PHONE)
    fingers = Fingers(page, CANVAS)
    fingers.drag((0.2, 0.2), (0.4, 0.4), (0.7, 0.6))
    until(lambda: [near(box, [20, 20, 50, 40]) for box in boxes(page, CANVAS)] == [True])
    handle = page.locator(f"{CANVAS} .handle[data-edges=se]").bounding_box()
    assert handle["width"] >= 44
    # A finger on the corner's hit area, not exactly on the corner, resizes too.
    fingers.drag((0.73, 0.63), (0.83, 0.73))
    until(lambda: near(boxes(page, CANVAS)[0], [20, 20, 60, 50]))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_photo_of_fifty_megapixels_is_refused(page, tmp_path):
    path = tmp_path / "huge.png"
    Image.new("1", (10_000, 5_000)).save(path)
    page.get_by_role("tab", name="Inpaint").click()
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(path)
    expect(page.locator("#inpaint-canvas .hint")).to_contain_text("50 megapixels")
    (tmp_path / "text.png").write_text("hello")
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(tmp_path / "text.png")
    expect(page.locator("#inpaint-canvas .hint")).to_contain_text("cannot be read as a picture")


def test_a_second_photo_replaces_the_first_and_the_mask_is_painted(page, service, tmp_path):
    Image.new("RGB", (300, 100), "red").save(tmp_path / "first.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), "blue").save(tmp_path / "second.jpg", exif=exif)
    canvas = "#inpaint-canvas"
    page.get_by_role("tab", name="Inpaint").click()
    hint = page.locator(f"{canvas} .hint")
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(tmp_path / "first.png")
    expect(hint).to_contain_text("300 x 100")
    drag(page, canvas, (0.1, 0.1), (0.5, 0.5))
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(tmp_path / "second.jpg")
    expect(hint).to_contain_text("40 x 80")
    assert boxes(page, canvas) == []
    page.get_by_role("radio", name="Mask brush").locator("visible=true").click()
    drag(page, canvas, (0.2, 0.5), (0.8, 0.5))
    page.locator("#inpaint-start").click()
    page.wait_for_selector("#inpaint-results figure")
    request = service.requests[-1][1]
    assert request.inpaint_image.size == (40, 80)
    mask = request.inpaint_mask
    assert mask.getpixel((20, 40)) == 255
    assert mask.getpixel((20, 5)) == 0
    page.get_by_role("radio", name="Eraser").locator("visible=true").click()
    drag(page, canvas, (0.0, 0.5), (1.0, 0.5))
    page.locator("#inpaint-start").click()
    expect(page.locator("#inpaint-notice [role=alert]")).to_contain_text("no hole")


def test_a_run_that_fails_is_said_and_the_next_one_works(open_page):
    service = FakeService(fails_at=2)
    with served(service) as address:
        page = open_page(address)
        page.locator("#generate-example-1").click()
        expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
        page.locator("#generate-start").click()
        alert = page.locator("#generate-notice [role=alert]")
        expect(alert).to_contain_text("something went wrong")
        assert "on fire" not in page.inner_text("body")
        service.fails_at = None
        page.locator("#generate-start").click()
        page.wait_for_selector("#generate-results figure")


def test_a_tab_without_model_names_its_flag(open_page):
    with served(FakeService(kinds=("generation_text_box",))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Inpaint").click()
        expect(page.get_by_text("Inpainting is not loaded")).to_be_visible()
        expect(page.locator(".block.absent")).to_contain_text("--load-text-box-inpainting True")


def test_nothing_is_asked_of_other_hosts(address, browser):
    asked = []
    context = browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector(f"{CANVAS} .stage")
    context.close()
    assert asked
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def test_a_page_that_goes_away_stops_its_run(open_page):
    service = FakeService(step_seconds=0.1)
    with served(service) as address:
        page = open_page(address)
        page.locator("#generate-example-1").click()
        expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
        page.locator("#generate-start").click()
        expect(page.locator("#generate-notice .message")).to_contain_text("Step")
        page.goto("about:blank")
        deadline = time.monotonic() + 30
        while not service.was_closed_early and time.monotonic() < deadline:
            time.sleep(0.1)
        assert service.was_closed_early
        assert service.steps_done < 50
