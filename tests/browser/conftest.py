"""A browser, and pages served on a real model."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.demo.serving import served

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
WAIT_MS = 60_000  # two slow cores start the page and sample at the same time


def pytest_collection_modifyitems(items):
    """Mark everything in this folder, so that `-m "not browser"` leaves it out."""
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    if not CHROMIUM.exists():
        pytest.fail(
            f"There is no Chromium at {CHROMIUM}. Install it (apt-get install chromium), name it "
            'in the variable CHROMIUM, or leave the browser tests out with -m "not browser".'
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Open pages of 1280 x 1000 pixels; a script error on one fails the test."""
    contexts, faults = [], []

    def open_at(address: str, **context_options) -> Page:
        options = {"viewport": {"width": 1280, "height": 1000}, **context_options}
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#generate-canvas .stage")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture(scope="module")
def address(service) -> Iterator[str]:
    """Serve the page on the module's `service`."""
    with served(service) as address:
        yield address


@pytest.fixture
def page(address, open_page) -> Page:
    """Open a wide page on the module's `service`."""
    return open_page(address)
