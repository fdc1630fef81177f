"""Every kind through the page on real, small models: what a person does reaches the picture."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.service import LocalService, ModelCard
from gligen.kinds import KINDS
from gligen.pictures.metadata import read_settings
from tests.browser.drawing import drag
from tests.conftest import small_pipeline
from tests.demo.serving import served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    pipelines = {kind: small_pipeline(kind) for kind in KINDS}
    sizes = {kind: pipeline.image_size for kind, pipeline in pipelines.items()}
    service = LocalService(pipelines, ModelCard("small", "Random weights.", "cpu", sizes))
    with served(service) as address:
        yield address


def prepare(page: Page, tab: str) -> None:
    """Go to a tab and set what makes pictures quick and comparable."""
    page.get_by_role("tab", name=tab).click()
    steps = page.get_by_label("number input for Steps").locator("visible=true")
    steps.fill("4")
    steps.press("Tab")
    page.get_by_label("fixed", exact=True).locator("visible=true").check()
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a dog")


def picture(page: Page, name: str, folder) -> tuple[bytes, dict]:
    """Press the button and return the pixels of the downloaded picture, and its settings."""
    page.locator(f"#{name}-start").click()
    expect(page.locator(f"#{name}-start")).to_be_disabled()
    expect(page.locator(f"#{name}-start")).to_be_enabled()
    notice = page.locator(f"#{name}-notice .message")
    expect(notice).to_have_text("")
    page.wait_for_selector(f"#{name}-results figure")
    with page.expect_download() as download:
        page.locator(f"#{name}-results figcaption a").first.click()
    path = folder / f"{name}.png"
    download.value.save_as(path)
    with Image.open(path) as image:
        return image.tobytes(), read_settings(path)


def test_a_reference_picture_changes_the_result(page, tmp_path):
    Image.new("RGB", (40, 20), "red").save(tmp_path / "red.png")
    prepare(page, "Generate")
    page.get_by_role("button", name="Add box").locator("visible=true").click()
    page.get_by_label("Name of box 1", exact=True).fill("dog")
    words, _ = picture(page, "generate", tmp_path)
    again, _ = picture(page, "generate", tmp_path)
    assert words == again
    page.get_by_label("Picture for box 1", exact=True).set_input_files(tmp_path / "red.png")
    expect(page.get_by_alt_text("Picture of box 1")).to_be_visible()
    shown, settings = picture(page, "generate", tmp_path)
    assert shown != words
    assert settings["regions"][0]["has_picture"]


def test_a_bent_joint_changes_the_result(page, tmp_path):
    prepare(page, "Keypoints")
    page.get_by_role("button", name="Add person").click()
    before, settings = picture(page, "keypoints", tmp_path)
    assert len(settings["persons"]) == 1
    drag(page, "#keypoints-canvas", settings["persons"][0][9], (0.9, 0.2))
    after, settings = picture(page, "keypoints", tmp_path)
    assert settings["persons"][0][9] == pytest.approx((0.9, 0.2), abs=0.01)
    assert after != before


@pytest.mark.parametrize("kind", ["hed", "depth", "normal", "semantic"])
def test_a_map_changes_the_result(page, tmp_path, kind):
    rng = np.random.default_rng(3)
    values = {
        "hed": rng.integers(0, 90, (64, 64)),
        "depth": np.tile(np.arange(64) * 4, (64, 1)),
        "normal": rng.integers(0, 256, (64, 64, 3)),
        "semantic": np.repeat(rng.integers(0, 152, (64, 1)), 64, axis=1),
    }[kind].astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "one.png")
    Image.fromarray(values[::-1].copy()).save(tmp_path / "two.png")
    if kind == "depth":
        Image.fromarray(values[:, ::-1].copy()).save(tmp_path / "two.png")
    prepare(page, "Maps")
    titles = {"hed": "Soft edges", "normal": "Surface", "depth": "Depth", "semantic": "Semantic"}
    page.get_by_role("radio", name=re.compile(titles[kind])).check()
    made = []
    for label, name in (("Map", "one.png"), ("Another picture: Map", "two.png")):
        field = page.get_by_label(label, exact=True)
        with page.expect_response(re.compile("upload")):
            field.set_input_files(tmp_path / name)
        expect(page.locator("#maps-map .hint")).to_contain_text("64 x 64")
        pixels, settings = picture(page, "maps", tmp_path)
        assert settings["has_map"]
        made.append(pixels)
    assert made[0] != made[1]


def test_the_edges_of_a_photo_are_painted(page, tmp_path):
    photo = Image.new("RGB", (120, 90), (30, 30, 30))
    photo.paste((220, 220, 220), (30, 20, 90, 70))
    photo.save(tmp_path / "photo.jpg")
    prepare(page, "Maps")
    page.get_by_role("radio", name="Canny edges").check()
    page.get_by_label("Or take the edges of a photo", exact=True).set_input_files(
        tmp_path / "photo.jpg"
    )
    expect(page.locator("#maps-map .shown")).to_be_visible()
    _, settings = picture(page, "maps", tmp_path)
    assert settings["has_map"]
    assert settings["gate_schedule"] == 0.9
