"""The page as a whole: its way for newcomers, its colours, its order on a phone, its motion."""

import re

import pytest
from playwright.sync_api import Page, expect

from demo.service import GENERATION, ModelCard
from gligen.kinds import KINDS
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror="document.title=1"> ${document.title=2} {{value}} # big'


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS)


def is_dark(page: Page) -> bool:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) < 150


@pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
def test_two_presses_lead_to_a_picture_of_two_things(address, open_page, service, shape):
    page = open_page(address, **shape)
    page.get_by_role("button", name="Example: Dog and apple").click()
    expect(page.locator("#generate-canvas .box")).to_have_count(2)
    page.get_by_role("button", name="Generate", exact=True).click()
    page.wait_for_selector("#generate-results figure")
    assert service.requests[-1][1].layout.phrases == ("dog", "apple")


def test_the_heading_says_what_this_is_and_which_model_paints(address, open_page):
    page = open_page(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("GLIGEN")
    expect(page.locator("#model-card .sentence")).to_contain_text("draw a box for each thing")
    expect(page.locator("#model-card .model")).to_have_text("fake on cpu")
    why = page.get_by_text("It is for tests.").first
    expect(why).to_be_hidden()
    page.locator("#model-card summary").click()
    expect(why).to_be_visible()


def test_colours_follow_the_system_until_somebody_chooses(address, open_page):
    page = open_page(address, color_scheme="light")
    assert not is_dark(page)
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_role("button", name="Change to light colours")).to_be_visible()
    assert is_dark(page)
    page.get_by_role("button", name="Change to light colours").click()
    assert not is_dark(page)
    # The choice stays when the page is loaded again, and when the system changes.
    page.reload()
    page.wait_for_selector("#generate-canvas .stage")
    expect(page.get_by_role("button", name="Change to dark colours")).to_be_visible()
    assert not is_dark(page)
    page.emulate_media(color_scheme="light")
    page.emulate_media(color_scheme="dark")
    assert not is_dark(page)
    # Choosing what the system has means to follow it again.
    page.get_by_role("button", name="Change to dark colours").click()
    assert is_dark(page)
    page.emulate_media(color_scheme="light")
    expect(page.get_by_role("button", name="Change to dark colours")).to_be_visible()
    assert not is_dark(page)


def test_on_a_phone_the_order_is_that_of_the_work(address, open_page):
    page = open_page(address, **PHONE)
    parts = (
        "#generate-examples",
        "#generate-canvas .stage",
        "textarea:visible",
        "#generate-start",
        "#generate-results",
        "input[type=range]:visible >> nth=0",
    )
    tops = [page.locator(part).first.bounding_box()["y"] for part in parts]
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Every tab can be seen and is large enough for a finger.
    for tab in page.get_by_role("tab").all():
        assert tab.is_visible()
    for button in page.locator("#generate-examples button").all():
        assert button.bounding_box()["height"] >= 44


def test_on_a_wide_screen_the_result_stands_beside_the_canvas(address, open_page):
    page = open_page(address, viewport={"width": 1400, "height": 900})
    stage = page.locator("#generate-canvas .stage").bounding_box()
    start = page.locator("#generate-start").bounding_box()
    results = page.locator("#generate-results").bounding_box()
    for box in (start, results):
        assert box["x"] >= stage["x"] + stage["width"]
        assert box["y"] + box["height"] <= 900
    assert stage["y"] + stage["height"] <= 900


@pytest.mark.parametrize("size", [(768, 1024), (844, 390), (1000, 800), (1024, 768)])
def test_the_canvas_has_room_on_screens_of_middle_width(address, open_page, size):
    width, height = size
    page = open_page(address, viewport={"width": width, "height": height})
    stage = page.locator("#generate-canvas .stage").bounding_box()
    assert stage["width"] >= 320
    assert stage["height"] <= height
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_fault_goes_with_what_it_was_about(address, open_page):
    page = open_page(address)
    for tab in ("Inpaint", "Keypoints", "Maps"):
        name = tab.lower()
        fault = page.locator(f"#{name}-notice [role=alert]")
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator(f"#{name}-start").click()
        expect(fault).to_be_visible()
        if tab == "Keypoints":
            page.get_by_role("button", name="Add person").click()
        else:
            page.locator(f"#{name}-example-1").click()
        expect(fault).to_have_count(0)


def test_nothing_is_cut_crossed_or_left_alone(address, open_page):
    page = open_page(address, viewport={"width": 1440, "height": 900})
    middles = []
    for name in ("Zoom in", "Background picture"):
        part = page.locator("#generate-canvas").get_by_label(name, exact=True).bounding_box()
        middles.append(part["y"] + part["height"] / 2)
    assert middles[0] == pytest.approx(middles[1], abs=6)
    expect(page.locator("footer .divider:visible")).to_have_count(0)
    page = open_page(address, **PHONE)
    assert page.locator("#generate-example-1").bounding_box()["x"] >= 10
    rules = "getComputedStyle(document.querySelector('[role=tablist]')).backgroundImage"
    assert page.evaluate(rules) == "none"


def test_after_a_run_picture_and_button_are_in_view(address, open_page):
    page = open_page(address, viewport={"width": 1440, "height": 760})
    page.locator("#generate-example-1").click()
    expect(page.locator("#generate-canvas .box")).to_have_count(2)
    page.locator("#generate-start").click()
    picture = page.locator("#generate-results figure img").first
    expect(picture).to_be_in_viewport(ratio=0.99)
    expect(page.locator("#generate-start")).to_be_in_viewport(ratio=0.99)


def test_the_settings_are_explained(address, open_page):
    page = open_page(address)
    text = page.get_by_text("Tau is the share of the steps")
    expect(text.first).to_be_hidden()
    page.get_by_role("button", name="What do these two do?").locator("visible=true").click()
    expect(text.locator("visible=true")).to_contain_text("lower it if they look stiff")


def test_everything_can_be_reached_by_key_and_the_focus_is_seen(address, open_page):
    page = open_page(address)
    page.locator("#model-card summary").focus()
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        place = page.evaluate("""() => {
          const at = document.activeElement;
          const style = getComputedStyle(at);
          const mark = at.id || at.className || at.getAttribute('aria-label') || at.tagName;
          return { mark, seen: style.outlineStyle !== 'none' || style.boxShadow !== 'none'
                         || Number(style.opacity) === 0 };
        }""")
        if place["mark"] == "BODY":  # once around
            break
        assert place["seen"], place["mark"]
        reached.add(place["mark"])
    assert {"generate-example-1", "stage", "generate-start"} <= reached


def test_motion_is_reduced_where_a_person_asks_for_it(address, open_page):
    page = open_page(address, reduced_motion="reduce")
    duration = (
        "getComputedStyle(document.querySelector('#generate-notice .bar')).transitionDuration"
    )
    assert float(page.evaluate(duration).removesuffix("s")) < 0.01
    page = open_page(address, reduced_motion="no-preference")
    assert float(page.evaluate(duration).removesuffix("s")) > 0.1


def test_a_hostile_model_name_is_text(open_page):
    fake = FakeService((GENERATION,))
    fake.card = ModelCard(HOSTILE, HOSTILE, "cpu", fake.card.image_sizes, notes=(HOSTILE,))
    with served(fake) as address:
        page = open_page(address)
        title = page.title()
        expect(page.locator("#model-card .model")).to_have_text(f"{HOSTILE} on cpu")
        # A note says that something is missing: it is in sight without a press.
        expect(page.locator("#model-card .why")).to_be_visible()
        page.get_by_role("tab", name="About").click()
        expect(page.locator("#about")).to_contain_text(HOSTILE)
        assert page.title() == title
        assert page.locator("#model-card img, #about img").count() == 0


@pytest.mark.parametrize("height", [520, 760])
def test_what_stands_below_a_result_stays_in_its_column(address, open_page, height):
    page = open_page(address, viewport={"width": 1280, "height": height})
    for tab, name in (("Generate", "generate"), ("Inpaint", "inpaint"), ("Keypoints", "keypoints")):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.locator(f"#{name}-example-1").click()
        expect(page.locator(f"#{name}-canvas .count")).to_contain_text(re.compile(r"\d"))
        page.locator(f"#{name}-start").click()
        page.wait_for_selector(f"#{name}-results figure")
        result = page.locator(f"#{name}-results").bounding_box()
        keeper = page.locator(f"#{name}-keeper").bounding_box()
        assert keeper["x"] == pytest.approx(result["x"], abs=2)
        assert keeper["y"] >= result["y"] + result["height"]
        assert result["height"] > 200


def test_the_settings_of_a_hole_have_room_on_a_phone(address, open_page):
    page = open_page(address, **PHONE)
    page.get_by_role("tab", name="Inpaint", exact=True).click()
    words = page.get_by_text("How many pixels of the photo")
    assert words.bounding_box()["width"] > 120
