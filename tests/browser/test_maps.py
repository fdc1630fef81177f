"""Maps in the browser: uploaded, taken from a photo, shown as the model reads them, painted."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.service import GENERATION
from gligen.kinds import KINDS
from gligen.pictures.ade import NAMES
from tests.browser.drawing import drag
from tests.browser.fingers import PHONE
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

SHAPES = pytest.mark.parametrize("shape", [{}, PHONE], ids=["wide", "phone"])
PREVIEW, PAINTER = "#maps-preview", "#maps-painter"


@pytest.fixture(scope="module")
def service():
    return FakeService(KINDS, step_seconds=0.01)


@pytest.fixture
def open_tab(address, open_page):
    def open_at(**shape) -> Page:
        page = open_page(address, **shape)
        page.get_by_role("tab", name="Maps").click()
        page.wait_for_selector(f"{PREVIEW} .frame:visible")
        return page

    return open_at


def choose(page: Page, name: str) -> None:
    """Choose a class, after looking for it among the 152."""
    page.get_by_label("Find a class").fill(name)
    page.get_by_role("radio", name=name, exact=True).locator("visible=true").check(force=True)


def run(page: Page) -> None:
    page.locator("#maps-start").click()
    expect(page.locator("#maps-start")).to_be_disabled()
    expect(page.locator("#maps-start")).to_be_enabled()


@pytest.fixture
def photo(tmp_path):
    picture = Image.new("RGB", (300, 200), (40, 40, 40))
    picture.paste((120, 120, 120), (40, 40, 120, 160))
    picture.paste((255, 255, 255), (180, 40, 260, 160))
    picture.save(tmp_path / "photo.jpg", quality=95)
    return tmp_path / "photo.jpg"


@SHAPES
def test_a_depth_map_is_uploaded_shown_and_painted(open_tab, service, tmp_path, shape):
    page = open_tab(**shape)
    ramp = np.tile(np.linspace(0, 255, 90, dtype=np.uint8), (60, 1))
    Image.fromarray(ramp).save(tmp_path / "depth.png")
    page.get_by_label("Depth map").check()
    expect(page.locator(f"{PREVIEW} .message")).to_contain_text("near is white")
    expect(
        page.get_by_label("number input for Scheduled sampling").locator("visible=true")
    ).to_have_value("0.7")
    run(page)
    expect(page.locator("#maps-notice [role=alert]")).to_contain_text("no depth map yet")
    page.get_by_label("Map", exact=True).set_input_files(tmp_path / "depth.png")
    expect(page.locator(f"{PREVIEW} .shown")).to_be_visible()
    expect(page.locator(f"{PREVIEW} .message")).to_contain_text("90 x 60 and is squeezed")
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a slope")
    run(page)
    page.wait_for_selector("#maps-results figure")
    kind, request = service.requests[-1]
    assert kind == "depth"
    assert request.layout.map.size == (90, 60)
    assert request.layout.map.getpixel((89, 30)) == 255
    assert request.gate_schedule == 0.7
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Remove: Map").click()
    expect(page.locator(f"{PREVIEW} .shown")).to_be_hidden()


def test_what_is_shown_first_fits_the_kind_that_is_chosen(open_page):
    with served(FakeService((GENERATION, "canny", "semantic"))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Maps").click()
        page.wait_for_selector(f"{PREVIEW} .frame:visible")
        expect(page.get_by_label("Canny edges")).to_be_checked()
        expect(page.locator(f"{PAINTER} .stage")).to_be_hidden()
        # What is painted is kept while another kind is chosen.
        page.get_by_label("Semantic map").check()
        page.get_by_role("radio", name="Fill").click()
        drag(page, PAINTER, (0.5, 0.5), (0.5, 0.5))
        contents = page.locator(f"{PAINTER} .contents")
        expect(contents).to_contain_text("100 %")
        page.get_by_label("Canny edges").check()
        expect(contents).to_be_hidden()
        page.get_by_label("Semantic map").check()
        expect(contents).to_contain_text("100 %")


@SHAPES
def test_edges_are_taken_of_a_photo(open_tab, service, photo, shape):
    page = open_tab(**shape)
    taker = page.get_by_label("Or take the edges of a photo", exact=True)
    expect(taker).to_be_hidden()
    page.get_by_label("Canny edges").check()
    taker.set_input_files(photo)
    expect(page.locator("#maps-map .shown")).to_be_visible()
    shown = page.locator(f"{PREVIEW} .shown")
    expect(shown).to_be_visible()
    before = shown.get_attribute("src")
    # Only the strong edges are left where the thresholds go up.
    upper = page.get_by_label("number input for Upper threshold")
    upper.fill("900")
    upper.press("Tab")
    lower = page.get_by_label("number input for Lower threshold")
    lower.fill("900")
    lower.press("Tab")
    expect(shown).not_to_have_attribute("src", before)
    page.wait_for_timeout(500)
    run(page)
    page.wait_for_selector("#maps-results figure")
    kind, request = service.requests[-1]
    assert kind == "canny"
    edges = np.asarray(request.layout.map.convert("L"))
    assert edges.shape == (64, 64)
    assert set(np.unique(edges)) <= {0, 255}
    assert not edges[:, :30].any()
    assert edges[:, 34:].any()


def test_thresholds_in_the_wrong_order_are_said_beside_them(open_tab, photo):
    page = open_tab()
    page.get_by_label("Canny edges").check()
    page.get_by_label("Or take the edges of a photo", exact=True).set_input_files(photo)
    expect(page.locator(f"{PREVIEW} .shown")).to_be_visible()
    lower = page.get_by_label("number input for Lower threshold")
    lower.fill("500")
    lower.press("Tab")
    expect(page.locator(f"{PREVIEW} [role=alert]")).to_contain_text("low <= high")


def test_a_semantic_map_is_loaded_into_the_painter(open_tab, service, tmp_path):
    labels = np.full((40, 40), NAMES.index("sky"), np.uint8)
    labels[30:] = NAMES.index("sea")
    Image.fromarray(labels).save(tmp_path / "labels.png")
    Image.new("RGB", (20, 20), (1, 2, 3)).save(tmp_path / "wrong.png")
    page = open_tab()
    page.get_by_label("Semantic map").check()
    run(page)
    expect(page.locator("#maps-notice [role=alert]")).to_contain_text("paint one")
    page.get_by_label("Map", exact=True).set_input_files(tmp_path / "wrong.png")
    expect(page.locator(f"{PAINTER} [role=alert]")).to_contain_text("none of ADE20K's classes")
    page.get_by_label("Another picture: Map", exact=True).set_input_files(tmp_path / "labels.png")
    contents = page.locator(f"{PAINTER} .contents")
    expect(contents).to_have_text("In the map: sky 75 %, sea 25 %.")
    expect(page.locator(f"{PAINTER} [role=alert]")).to_have_count(0)
    run(page)
    page.wait_for_selector("#maps-results figure")
    assert service.requests[-1][1].layout.map.getpixel((0, 0)) == NAMES.index("sky")
    # What is painted over it counts, and the file itself stays as it is.
    choose(page, "sea")
    page.get_by_role("radio", name="Fill").click()
    drag(page, PAINTER, (0.5, 0.2), (0.5, 0.2))
    expect(contents).to_have_text("In the map: sea 100 %.")
    run(page)
    assert service.requests[-1][1].layout.map.getpixel((0, 0)) == NAMES.index("sea")


def test_only_loaded_kinds_are_offered(open_page):
    with served(FakeService((GENERATION, "hed", "normal"))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Maps").click()
        expect(page.get_by_role("radio", name="Soft edges (HED)")).to_be_checked()
        expect(page.get_by_role("radio", name="Surface normals")).to_be_visible()
        expect(page.get_by_role("radio", name="Canny edges")).to_have_count(0)


def test_without_a_model_for_maps_the_flags_are_listed(open_page):
    with served(FakeService((GENERATION,))) as address:
        page = open_page(address)
        page.get_by_role("tab", name="Maps").click()
        absent = page.locator(".block.absent:visible")
        for kind in ("hed", "canny", "depth", "normal", "semantic"):
            expect(absent).to_contain_text(f"--load-{kind} True")
