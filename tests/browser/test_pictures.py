"""Reference pictures on boxes, and a style picture, on a service without a model."""

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.service import GENERATION, IMAGE_GENERATION, IMAGE_INPAINTING, INPAINTING
from gligen.kinds import KINDS
from tests.browser.drawing import boxes, drag
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

CANVAS = "#generate-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS, step_seconds=0.01)


@pytest.fixture
def red(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


@pytest.fixture
def blue(tmp_path):
    Image.new("RGB", (30, 50), "blue").save(tmp_path / "blue.png")
    return tmp_path / "blue.png"


def run(page: Page, tab: str = "generate") -> None:
    page.locator(f"#{tab}-start").click()
    expect(page.locator(f"#{tab}-start")).to_be_disabled()
    expect(page.locator(f"#{tab}-start")).to_be_enabled()
    page.wait_for_selector(f"#{tab}-results figure")


@pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
def test_a_box_gets_a_picture_and_loses_it(address, open_page, service, red, blue, shape):
    page = open_page(address, **shape)
    page.get_by_role("button", name="Add box").locator("visible=true").click()
    page.get_by_role("button", name="Add box").locator("visible=true").click()
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    page.get_by_label("Picture for box 2", exact=True).set_input_files(red)
    expect(page.get_by_alt_text("Picture of box 2")).to_be_visible()
    expect(page.locator(f"{CANVAS} .box .thumb:visible")).to_have_count(1)
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("Box 2 shows what is on the picture")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    # The kind that reads pictures answers.
    run(page)
    kind, request = service.requests[-1]
    assert kind == IMAGE_GENERATION
    assert [r.image and r.image.getpixel((5, 5)) for r in request.layout] == [None, (255, 0, 0)]
    expect(page.locator("#generate-results .facts")).to_contain_text("raise tau")

    # Another picture takes its place; a copy of the box has it too, and undo brings things back.
    page.get_by_label("Picture for box 2", exact=True).set_input_files(blue)
    page.get_by_label("Duplicate box 2").click()
    expect(page.get_by_alt_text("Picture of box 3")).to_be_visible()
    page.get_by_label("Delete box 3").click()
    page.get_by_role("button", name="Undo").locator("visible=true").click()
    run(page)
    pictures = [r.image and r.image.size for r in service.requests[-1][1].layout]
    assert pictures == [None, (30, 50), (30, 50)]

    # Without pictures the kind for phrases answers again.
    page.get_by_label("Delete box 3").click()
    page.get_by_label("Take the picture of box 2 away").click()
    expect(page.locator(f"{CANVAS} .thumb:visible")).to_have_count(0)
    page.get_by_label("Name of box 2", exact=True).fill("moon")
    run(page)
    assert service.requests[-1][0] == GENERATION


@pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
def test_a_style_is_chosen_switched_off_and_removed(address, open_page, service, blue, shape):
    page = open_page(address, **shape)
    page.locator("#generate-example-1").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    page.get_by_label("Style picture", exact=True).locator("visible=true").set_input_files(blue)
    expect(page.locator("#generate-style .shown")).to_be_visible()
    expect(page.locator("#generate-style .hint")).to_contain_text("30 x 50 pixels")
    run(page)
    kind, request = service.requests[-1]
    assert kind == IMAGE_GENERATION
    assert request.layout.style.getpixel((5, 5)) == (0, 0, 255)
    assert request.style_box == "official"

    page.get_by_role("button", name="Advanced: how pictures are used").locator(
        "visible=true"
    ).click()
    page.get_by_label("as in the authors' demo").locator("visible=true").check()
    page.get_by_label("Cut reference pictures to a square").locator("visible=true").check()
    run(page)
    request = service.requests[-1][1]
    assert (request.style_box, request.crop_references) == ("space", True)

    page.get_by_label("Use the style picture").locator("visible=true").uncheck()
    run(page)
    assert service.requests[-1][0] == GENERATION
    page.get_by_label("Use the style picture").locator("visible=true").check()
    page.get_by_label("Remove: Style picture").locator("visible=true").click()
    run(page)
    kind, request = service.requests[-1]
    assert (kind, request.layout.style) == (GENERATION, None)


def test_inpainting_takes_pictures_too(address, open_page, service, red, blue):
    page = open_page(address)
    page.get_by_role("tab", name="Inpaint").click()
    page.get_by_label("Photo to repaint").locator("visible=true").set_input_files(blue)
    expect(page.locator("#inpaint-canvas .hint")).to_contain_text("30 x 50")
    drag(page, "#inpaint-canvas", (0.2, 0.2), (0.8, 0.8))
    page.get_by_label("Picture for box 1", exact=True).set_input_files(red)
    expect(page.get_by_alt_text("Picture of box 1")).to_be_visible()
    run(page, "inpaint")
    kind, request = service.requests[-1]
    assert kind == IMAGE_INPAINTING
    assert request.layout.regions[0].image.size == (60, 40)
    assert request.inpaint_image.size == (30, 50)


def test_a_file_that_is_no_picture_is_refused_beside_it(address, open_page, tmp_path):
    page = open_page(address)
    (tmp_path / "text.png").write_text("hello")
    page.get_by_role("button", name="Add box").first.click()
    page.get_by_label("Picture for box 1", exact=True).set_input_files(tmp_path / "text.png")
    expect(page.locator(f"{CANVAS} .hint")).to_contain_text("cannot be read as a picture")
    page.get_by_label("Style picture", exact=True).first.set_input_files(tmp_path / "text.png")
    expect(page.locator("#generate-style .hint")).to_contain_text("cannot be read as a picture")
    assert len(boxes(page, CANVAS)) == 1


def test_without_the_model_for_pictures_its_flag_is_named(open_page):
    with served(FakeService((GENERATION, INPAINTING))) as address:
        page = open_page(address)
        expect(page.get_by_text("--load-text-image-box-generation True")).to_be_visible()
        expect(page.locator("#generate-style")).to_be_hidden()
        page.get_by_role("button", name="Add box").first.click()
        expect(page.get_by_label("Picture for box 1", exact=True)).to_be_hidden()


def test_the_model_for_pictures_alone_answers_everything(open_page):
    service = FakeService((IMAGE_GENERATION,))
    with served(service) as address:
        page = open_page(address)
        page.locator("#generate-example-1").click()
        expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
        run(page)
        assert service.requests[-1][0] == IMAGE_GENERATION
