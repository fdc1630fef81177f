"""Painting a map of classes by mouse, touch and keyboard, on a service without a model."""

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from gligen.world.labels import LABEL_NAMES, label_of
from tests.browser.drawing import drag
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

PAINTER = "#maps-painter"
HOSTILE = '<img src=x onerror="document.title=1"> ${document.title=2} {{value}}'


@pytest.fixture(scope="module")
def service():
    fake = FakeService(("generation_text_box", "semantic"))
    fake.card = replace(fake.card, label_names=LABEL_NAMES)
    return fake


@pytest.fixture
def open_tab(address, open_page):
    def open_at(**shape) -> Page:
        page = open_page(address, **shape)
        page.get_by_role("tab", name="Maps").click()
        page.wait_for_selector(f"{PAINTER} .palette label:visible")
        return page

    return open_at


def choose(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).locator("visible=true").check(force=True)


def painted(page: Page, service) -> np.ndarray:
    """Press Generate and return the labels that arrived."""
    count = len(service.requests)
    page.locator("#maps-start").click()
    expect(page.locator("#maps-start")).to_be_disabled()
    expect(page.locator("#maps-start")).to_be_enabled()
    assert len(service.requests) == count + 1
    return np.asarray(service.requests[-1][1].layout.map)


def test_classes_are_painted_filled_undone_and_redone(open_tab, service):
    page = open_tab()
    undo, redo = (page.locator(f"{PAINTER} button", has_text=name) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    choose(page, "dog")
    drag(page, PAINTER, (0.25, 0.5), (0.75, 0.5))
    choose(page, "sun")
    page.get_by_role("radio", name="Fill").click()
    drag(page, PAINTER, (0.1, 0.1), (0.1, 0.1))
    labels = painted(page, service)
    assert labels.shape == (64, 64)
    assert set(np.unique(labels)) == {label_of("dog"), label_of("sun")}
    assert labels[32, 32] == label_of("dog")
    # The brush is 12 % of the picture thick: four pixels to each side, and round ends.
    rows, columns = np.nonzero(labels == label_of("dog"))
    assert (rows.min(), rows.max()) == pytest.approx((28, 35), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((12, 52), abs=1)
    undo.click()
    assert set(np.unique(painted(page, service))) == {0, label_of("dog")}
    redo.click()
    assert (painted(page, service) == labels).all()
    page.locator(f"{PAINTER} button", has_text="Clear").click()
    page.locator("#maps-start").click()
    expect(page.locator("#maps-notice [role=alert]")).to_contain_text("paint one")


def test_the_keyboard_paints_fills_and_undoes(open_tab, service):
    page = open_tab()
    choose(page, "tree")
    page.locator(f"{PAINTER} .stage").focus()
    for key in ("ArrowLeft", "Shift+ArrowUp", "[", "Space"):
        page.keyboard.press(key)
    expect(page.locator(f"{PAINTER} .cursor")).to_be_visible()
    labels = painted(page, service)
    rows, columns = np.nonzero(labels == label_of("tree"))
    assert (rows.mean(), columns.mean()) == pytest.approx((26.5, 30.5), abs=1)
    page.locator(f"{PAINTER} .stage").focus()
    for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "f"):
        page.keyboard.press(key)
    assert (painted(page, service) == label_of("tree")).all()
    page.locator(f"{PAINTER} .stage").focus()
    page.keyboard.press("Control+z")
    assert (painted(page, service) == labels).all()


def test_a_finger_paints_and_everything_is_large_enough_for_it(open_tab, service):
    page = open_tab(**PHONE)
    choose(page, "frog")
    stage = page.locator(f"{PAINTER} .stage")
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    session = page.context.new_cdp_session(page)
    for kind, places in (("touchStart", [0.3]), ("touchMove", [0.5]), ("touchEnd", [])):
        points = [
            {"x": area["x"] + x * area["width"], "y": area["y"] + area["height"] / 2}
            for x in places
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert painted(page, service)[32, 26] == label_of("frog")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for part in (".palette label", "button", ".size input"):
        for box in page.locator(f"{PAINTER} {part}").all():
            assert box.bounding_box()["height"] >= 44


def test_an_example_fills_the_painter_and_the_prompt(open_tab, service):
    page = open_tab()
    page.locator("#maps-example-1").click()
    expect(page.locator(f"{PAINTER} .contents")).to_contain_text("house")
    expect(page.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value(
        "a house and a tree in a field"
    )
    assert set(np.unique(painted(page, service))) == {0, label_of("house"), label_of("tree")}


def test_hostile_names_of_classes_are_text(open_page):
    fake = FakeService(("generation_text_box", "semantic"))
    fake.card = replace(fake.card, label_names=("background", HOSTILE))
    with served(fake) as address:
        page = open_page(address)
        title = page.title()
        page.get_by_role("tab", name="Maps").click()
        expect(page.locator(f"{PAINTER} .palette")).to_contain_text(HOSTILE)
        page.locator(f"{PAINTER} .stage").focus()
        page.keyboard.press("Space")
        expect(page.locator(f"{PAINTER} .contents")).to_contain_text(HOSTILE)
        assert page.title() == title
        assert page.locator(f"{PAINTER} img").count() == 0
