"""Links, and what stands on the tabs after a reload."""

import json
import secrets

import pytest
from playwright.sync_api import Page, expect

from demo.links import FRAGMENT, pack
from gligen.kinds import KINDS
from tests.browser.drawing import drag
from tests.browser.remembering import (
    CANVAS,
    HOSTILE,
    SHAPES,
    compose,
    expect_composed,
    go_to,
    load,
    open_keeper,
    press,
    ready,
    reload_with,
)
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS, step_seconds=0.001)


@pytest.fixture
def open_ready(open_page, address):
    """Open the page and wait until what the browser kept is there again."""

    def open_at(fragment: str = "", **options) -> Page:
        page = open_page(address + fragment, **options)
        ready(page)
        return page

    return open_at


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("znonsense", "damaged"),
        ("z" * 9_000, "too long"),
        (pack({"gligen": 9}), "version 9"),
        (pack({"gligen": 1, "prompt": HOSTILE * 100}), "limit is 2000"),
    ],
)
def test_links_that_cannot_be_used_are_refused(open_ready, text, words):
    page = open_ready(f"#{FRAGMENT}{text}")
    expect(page.locator("#generate-notice .message")).to_contain_text(words)
    assert page.title() != "hacked"


def test_a_link_that_would_be_too_long_is_not_made(open_ready, tmp_path):
    page = open_ready()
    words = [secrets.token_urlsafe(1500)[:2000] for _ in range(5)]
    regions = [{"phrase": words[n % 3][n * 60 :][:200], "box": [0, 0, 1, 1]} for n in range(30)]
    document = {"gligen": 1, "regions": regions, "prompt": words[3], "negative_prompt": words[4]}
    (tmp_path / "many.json").write_text(json.dumps(document))
    open_keeper(page)
    load(page, tmp_path / "many.json")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(30)
    press(page, "link")
    expect(page.locator("#generate-keeper .said")).to_contain_text("The link would have")
    expect(page.locator("#generate-keeper .link")).to_be_hidden()


@SHAPES
def test_what_stands_on_the_tabs_is_there_after_a_reload(open_ready, shape):
    page = open_ready(**shape)
    compose(page, HOSTILE)
    page.get_by_label("fixed", exact=True).locator("visible=true").check()
    page.get_by_label("Fixed seed").locator("visible=true").fill("42")
    page.get_by_label("Fixed seed").locator("visible=true").press("Tab")
    go_to(page, "Keypoints")
    page.get_by_role("button", name="Add person").click()
    page.reload()
    ready(page)
    expect_composed(page, HOSTILE)
    expect(page.get_by_label("Fixed seed").locator("visible=true")).to_have_value("42")
    expect(page.locator("#generate-keeper .said")).to_contain_text("Restored")
    assert page.title() != "hacked"
    go_to(page, "Keypoints")
    expect(page.get_by_label("Delete person 1")).to_be_visible()

    # Starting afresh is kept too.
    go_to(page, "Generate")
    open_keeper(page)
    press(page, "afresh")
    press(page, "afresh")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(0)
    page.reload()
    ready(page)
    expect(page.locator(f"{CANVAS} .box")).to_have_count(0)
    expect(page.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value("")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ("{", "not JSON"),
        ("[" * 50_000, "nested too deeply"),
        ('{"gligen": 7}', "version 7"),
        ('{"gligen": 1, "regions": [{"phrase": "a\\u0000", "box": [0, 0, 1, 1]}]}', "NUL"),
    ],
)
def test_what_a_browser_kept_wrongly_gets_a_sentence(open_ready, kept, words):
    page = open_ready()
    reload_with(page, kept)
    expect(page.locator("#generate-notice .message")).to_contain_text(words)
    compose(page)


def test_half_typed_settings_do_not_cost_the_drawing(open_ready):
    page = open_ready()
    kept = {
        "gligen": 1,
        "prompt": "a night",
        "regions": [{"phrase": "sun", "box": [0.1, 0.1, 0.5, 0.5]}],
        "gate_schedule": [0.5, 0.5, 0.5],
    }
    reload_with(page, json.dumps(kept))
    expect(page.locator("#generate-notice .message")).to_contain_text("sums to 1.5")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(1)
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true")
    expect(prompt).to_have_value("a night")


def test_nothing_kept_is_lost_where_the_server_does_not_answer(open_ready):
    page = open_ready()
    compose(page)
    page.wait_for_function("() => (localStorage['gligen:generate'] || '').includes('a night')")
    page.route("**/run/predict", lambda route: None)  # no answer, as from a server that hangs
    with page.expect_request("**/run/predict"):
        page.reload()
    page.wait_for_selector(f"{CANVAS} .stage")
    drag(page, CANVAS, (0.1, 0.1), (0.4, 0.4))
    page.wait_for_timeout(500)
    assert "a night" in page.evaluate("localStorage['gligen:generate']")
    page.unroute("**/run/predict")
    page.reload()
    ready(page)
    expect_composed(page)
