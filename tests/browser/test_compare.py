"""The tab Compare: what is laid out in Generate, on and off, and a sweep of tau."""

import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.flags import parse_flags
from demo.loading import load_service
from demo.service import GENERATION, IMAGE_GENERATION, KEYPOINT
from gligen.pictures.metadata import read_settings
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

SHAPES = pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
RESULTS = "#compare-results"


@pytest.fixture(scope="module")
def service():
    return FakeService((GENERATION, IMAGE_GENERATION), step_seconds=0.02)


def lay_out(page: Page, steps: int) -> None:
    page.locator("#generate-example-1").click()
    expect(page.locator("#generate-canvas .box")).to_have_count(2)
    field = page.get_by_label("number input for Steps").locator("visible=true")
    field.fill(str(steps))
    field.press("Tab")


def go_to_compare(page: Page) -> None:
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#compare-start")).to_be_visible()


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def downloaded(page: Page, link, path):
    with page.expect_download() as download:
        link.click()
    download.value.save_as(path)
    return path


@SHAPES
def test_on_and_off_stand_side_by_side(address, open_page, service, shape, tmp_path):
    page = open_page(address, **shape)
    # Nothing is drawn: the tab says so, before and after the button.
    go_to_compare(page)
    expect(page.locator("#compare-summary")).to_contain_text("neither a prompt nor a box")
    page.locator("#compare-start").click()
    expect(page.locator("#compare-notice .message[data-tone=bad]")).to_be_visible()

    page.get_by_role("tab", name="Generate").click()
    lay_out(page, 5)
    go_to_compare(page)
    expect(page.locator("#compare-sketch .frame")).to_have_count(2)
    expect(page.locator("#compare-summary")).to_contain_text("2 boxes named: sun; comet")
    page.locator("#compare-start").click()
    expect(page.locator(f"{RESULTS} .picture:not(.waiting)")).to_have_count(2)
    expect(page.locator("#compare-start")).to_be_enabled()
    expect(page.locator(f"{RESULTS} figcaption span")).to_have_text(
        [re.compile(r"Grounding on \(tau 0\.3\)"), "Grounding off"]
    )
    (_, on), (_, off) = service.requests[-2:]
    assert (on.gate_schedule, off.gate_schedule) == (0.3, 0)
    assert on.seed == off.seed
    expect(page.locator(f"{RESULTS} .lead")).to_contain_text("What to look for")
    expect(page.locator(f"{RESULTS} .facts")).to_contain_text(f"seed {on.seed}")

    # Side by side, also on a phone; boxes on demand.
    left, right = (page.locator(f"{RESULTS} .picture").nth(i).bounding_box() for i in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    if shape:
        # Nothing stands between the button and the pictures but what belongs to them.
        assert left["y"] < page.locator("#compare-sketch").bounding_box()["y"]
    expect(page.locator(f"{RESULTS} .sheet .frame:visible")).to_have_count(4)
    page.get_by_label("Show the boxes").locator("visible=true").uncheck()
    expect(page.locator(f"{RESULTS} .sheet .frame:visible")).to_have_count(0)
    assert fits(page)

    # Each picture has its own settings; the seed stands in Generate, for going on there.
    link = page.get_by_role("link", name="Download as PNG: Grounding off")
    settings = read_settings(downloaded(page, link, tmp_path / "off.png"))
    assert (settings["seed"], settings["gate_schedule"]) == (off.seed, 0)
    page.get_by_role("tab", name="Generate").click()
    expect(page.get_by_label("Fixed seed").locator("visible=true")).to_have_value(str(on.seed))


@SHAPES
def test_a_sweep_is_a_strip_that_can_be_saved(address, open_page, service, shape, tmp_path):
    page = open_page(address, **shape)
    lay_out(page, 4)
    go_to_compare(page)
    expect(page.locator("#compare-taus")).to_be_hidden()
    page.get_by_label("A sweep of tau").check()
    taus = page.locator("#compare-taus textarea, #compare-taus input")
    expect(taus).to_have_value("0, 0.1, 0.2, 0.3, 0.5, 1")
    taus.fill("0, two")
    page.locator("#compare-start").click()
    expect(page.locator("#compare-notice .message[data-tone=bad]")).to_contain_text(
        "'two' is no number"
    )
    taus.fill("0, 0.25, 0.5, 1")
    page.locator("#compare-start").click()
    # All places are there from the start.
    expect(page.locator(f"{RESULTS} figure")).to_have_count(4)
    expect(page.locator(f"{RESULTS} .picture:not(.waiting)")).to_have_count(4)
    expect(page.locator(f"{RESULTS} figcaption span")).to_have_text(
        ["tau 0", "tau 0.25", "tau 0.5", "tau 1"]
    )
    assert [r.gate_schedule for _, r in service.requests[-4:]] == [0, 0.25, 0.5, 1]
    link = page.get_by_role("link", name="Download all as one picture")
    drawn = downloaded(page, link, tmp_path / "drawn.png")
    page.get_by_label("Show the boxes").locator("visible=true").uncheck()
    plain = downloaded(page, link, tmp_path / "plain.png")
    with Image.open(drawn) as with_boxes, Image.open(plain) as without:
        assert with_boxes.size == without.size
        assert with_boxes.width > 4 * 256
        assert with_boxes.tobytes() != without.tobytes()
    assert read_settings(plain)["compared_gate_schedules"] == [0, 0.25, 0.5, 1]
    assert fits(page)


def test_stop_ends_the_sweep_and_keeps_what_is_made(open_page):
    service = FakeService(step_seconds=0.2)
    with served(service) as address:
        page = open_page(address)
        lay_out(page, 8)
        go_to_compare(page)
        page.get_by_label("A sweep of tau").check()
        page.locator("#compare-start").click()
        message = page.locator("#compare-notice .message")
        expect(message).to_contain_text(re.compile(r"Picture 2 of 6: step \d of 8"))
        page.locator("#compare-stop").click()
        expect(message).to_contain_text(re.compile(r"Stopped at picture [2-6] of 6"))
        expect(page.locator("#compare-start")).to_be_enabled()
        made = page.locator(f"{RESULTS} .picture:not(.waiting)").count()
        assert 1 <= made < 6
        assert service.was_closed_early
        expect(page.locator(f"{RESULTS} .sheet-link")).to_be_hidden()


def test_without_a_model_that_generates_the_flag_is_named(browser):
    with served(FakeService((KEYPOINT,))) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("tab", name="Compare").click()
        expect(page.get_by_text("Comparing pictures is not loaded")).to_be_visible(timeout=60_000)
        page.close()


def test_the_embedded_model_moves_things_into_their_boxes(open_page, tmp_path):
    with served(load_service(parse_flags(["--model", "embedded", "--device", "cpu"]))) as address:
        page = open_page(address)
        lay_out(page, 20)
        go_to_compare(page)
        page.locator("#compare-start").click()
        expect(page.locator(f"{RESULTS} .picture:not(.waiting)")).to_have_count(2, timeout=300_000)
        pictures = []
        for index in (0, 1):
            link = page.locator(f"{RESULTS} figcaption a").nth(index)
            path = downloaded(page, link, tmp_path / f"{index}.png")
            with Image.open(path) as picture:
                pictures.append(picture.tobytes())
        assert pictures[0] != pictures[1]
