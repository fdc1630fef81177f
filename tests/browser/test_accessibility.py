"""axe-core finds no serious fault on any tab, light and dark, wide and on a phone."""

from dataclasses import replace
from importlib.resources import files

import pytest
from playwright.sync_api import Page, expect

from demo.service import GENERATION
from gligen.kinds import KINDS
from gligen.world.labels import LABEL_NAMES
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

WIDE = {"viewport": {"width": 1400, "height": 900}}
SHAPES = pytest.mark.parametrize("shape", [WIDE, PHONE], ids=["wide", "phone"])
COLOURS = pytest.mark.parametrize("colours", ["light", "dark"])
SERIOUS = ("serious", "critical")
FIND_FAULTS = """async () => {
  const { violations, passes } = await axe.run();
  const places = (fault) => fault.nodes.slice(0, 3).map((node) => node.html.slice(0, 200));
  return { checked: passes.length,
           faults: violations.map((fault) => [fault.impact, fault.id, places(fault)]) };
}"""


@pytest.fixture(scope="module")
def address():
    fake = FakeService(KINDS)
    fake.card = replace(fake.card, label_names=LABEL_NAMES)
    with served(fake) as address:
        yield address


def serious_faults(page: Page) -> list:
    """Return what axe-core calls serious or critical; it also has to have checked something."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    found = page.evaluate(FIND_FAULTS)
    assert found["checked"] > 20
    return [fault for fault in found["faults"] if fault[0] in SERIOUS]


ALL_WRITTEN = """() => ![...document.querySelectorAll('[data-text]')].some(
  (element) => element.checkVisibility() && !element.textContent.trim())"""


def show_tab(page: Page, name: str) -> None:
    """Open a tab and wait until its editor has written its buttons."""
    page.get_by_role("tab", name=name, exact=True).click()
    page.wait_for_timeout(300)
    page.wait_for_function(ALL_WRITTEN)


def tabs_of(page: Page) -> list[str]:
    return page.get_by_role("tab").all_inner_texts()


@SHAPES
@COLOURS
def test_no_serious_fault_on_any_tab(address, open_page, shape, colours):
    page = open_page(address, color_scheme=colours, bypass_csp=True, **shape)
    names = tabs_of(page)
    assert {"Generate", "Inpaint", "Keypoints", "Maps", "About"} <= set(names)
    for name in names:
        show_tab(page, name)
        assert serious_faults(page) == [], name


@SHAPES
@COLOURS
def test_no_serious_fault_where_there_is_something_on_the_page(address, open_page, shape, colours):
    page = open_page(address, color_scheme=colours, bypass_csp=True, **shape)
    page.locator("#generate-example-1").click()
    page.wait_for_selector("#generate-canvas .box")
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    page.get_by_role("button", name="What do these two do?").locator("visible=true").click()
    page.locator("#model-card summary").click()
    assert serious_faults(page) == []
    page.get_by_role("tab", name="Keypoints").click()
    page.locator("#keypoints-example-1").click()
    page.wait_for_selector("#keypoints-canvas .row")
    page.get_by_role("button", name="Person 1", exact=True).click()
    assert serious_faults(page) == []
    page.get_by_role("tab", name="Maps").click()
    page.locator("#maps-example-1").click()
    expect(page.locator("#maps-painter .contents")).to_contain_text("house")
    assert serious_faults(page) == []
    page.get_by_role("tab", name="Maps").click()
    page.locator("#maps-start").click()
    page.wait_for_selector("#maps-results figure")
    assert serious_faults(page) == []


@COLOURS
def test_no_serious_fault_where_models_are_absent_or_something_went_wrong(open_page, colours):
    with served(FakeService((GENERATION,), fails_at=2)) as address:
        page = open_page(address, color_scheme=colours, bypass_csp=True)
        page.locator("#generate-start").click()
        page.wait_for_selector("#generate-notice [role=alert]")
        assert serious_faults(page) == []
        for name in ("Inpaint", "Keypoints", "Maps"):
            page.get_by_role("tab", name=name, exact=True).click()
            expect(page.locator(".block.absent:visible")).to_contain_text("not loaded")
            assert serious_faults(page) == [], name


def test_a_fault_would_be_found(address, open_page):
    page = open_page(address, bypass_csp=True)
    page.evaluate(
        "document.querySelector('#generate-canvas').insertAdjacentHTML('beforeend',"
        " '<button></button><p style=\"color:#94a3b8;background:#fff\">grey</p>')"
    )
    assert {fault[1] for fault in serious_faults(page)} == {"button-name", "color-contrast"}
