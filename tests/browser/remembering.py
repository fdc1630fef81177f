"""What the tests of the page's memory do on it."""

import json

import pytest
from playwright.sync_api import Page, expect

from tests.browser.drawing import drag
from tests.browser.fingers import PHONE

CANVAS = "#generate-canvas"
SHAPES = pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
HOSTILE = "<img src=x onerror=\"document.title='hacked'\">${document.title='hacked'}{{x}}\u202e"


def ready(page: Page) -> None:
    page.wait_for_selector("html[data-gligen=ready]")


def reload_with(page: Page, kept: str) -> None:
    """Open the page again in a browser that kept a text of the tab Generate."""
    page.add_init_script(f"localStorage.setItem('gligen:generate', {json.dumps(kept)})")
    page.reload()
    ready(page)


def go_to(page: Page, tab: str) -> None:
    there = page.get_by_role("tab", name=tab, exact=True)
    more = page.locator(".overflow-menu > button")
    there.or_(more).first.wait_for()
    if there.count():
        there.click()
    else:  # a narrow screen has the other tabs behind a button
        more.click()
        page.locator(".overflow-dropdown button", has_text=tab).click()


def compose(page: Page, prompt: str = "a night") -> None:
    """Draw a sun and a comet, and change some settings."""
    drag(page, CANVAS, (0.1, 0.1), (0.4, 0.5))
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    drag(page, CANVAS, (0.5, 0.5), (0.9, 0.8))
    page.get_by_label("Name of box 2", exact=True).fill("comet")
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill(prompt)
    set_steps(page, 7)


def set_steps(page: Page, count: int) -> None:
    box = page.get_by_label("number input for Steps").locator("visible=true")
    box.fill(str(count))
    box.press("Tab")


def run(page: Page, tab: str = "generate") -> None:
    page.locator(f"#{tab}-start").click()
    expect(page.locator(f"#{tab}-start")).to_be_disabled()
    expect(page.locator(f"#{tab}-start")).to_be_enabled()
    page.wait_for_selector(f"#{tab}-results figure")


def expect_composed(page: Page, prompt: str = "a night") -> None:
    expect(page.locator("#generate-grounding-instruction")).to_have_value("sun; comet")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    expect(page.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value(prompt)
    steps = page.get_by_label("number input for Steps").locator("visible=true")
    expect(steps).to_have_value("7")


def open_keeper(page: Page, tab: str = "generate") -> None:
    page.locator(f"#{tab}-keeper summary").click()
    expect(page.locator(f"#{tab}-keeper .row")).to_be_visible()


def press(page: Page, action: str, tab: str = "generate") -> None:
    page.locator(f'#{tab}-keeper [data-action="{action}"]').click()


def load(page: Page, path, tab: str = "generate") -> None:
    page.locator(f"#{tab}-keeper input[type=file]").set_input_files(path)


def choose_photo(page: Page, path) -> None:
    page.locator("#inpaint-canvas .hint:not(:empty)").wait_for()  # its script has run
    page.locator("#inpaint-canvas [data-name=photo_input]").set_input_files(path)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")
