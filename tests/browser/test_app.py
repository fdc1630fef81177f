"""The whole way on the embedded model: draw, name, generate, stop, inpaint a photo."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.flags import parse_flags
from demo.loading import load_service
from gligen.pictures.metadata import read_settings
from tests.browser.drawing import boxes, drag, scribble

GENERATE, INPAINT = "#generate-canvas", "#inpaint-canvas"


@pytest.fixture(scope="module")
def service():
    return load_service(parse_flags(["--model", "embedded", "--device", "cpu"]))


def set_steps(page: Page, count: int) -> None:
    box = page.get_by_label("number input for Steps").locator("visible=true")
    box.fill(str(count))
    box.press("Tab")


def downloaded(page: Page, results: str, folder) -> Image.Image:
    with page.expect_download() as download:
        page.locator(f"{results} figcaption a").first.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    with Image.open(path) as image:
        image.load()
    return image


def test_draw_name_generate_and_stop_a_second_run(address, open_page, tmp_path):
    page = open_page(address)
    expect(page.locator("#model-card")).to_contain_text("embedded on cpu")

    # Two boxes and one scribble, each with its name.
    drag(page, GENERATE, (0.05, 0.05), (0.45, 0.45))
    drag(page, GENERATE, (0.55, 0.5), (0.95, 0.95))
    page.get_by_role("radio", name="Scribble").locator("visible=true").click()
    scribble(page, GENERATE, (0.55, 0.05, 0.95, 0.4))
    assert len(boxes(page, GENERATE)) == 3
    for number, phrase in enumerate(["sun", "dog", "rocket"], start=1):
        page.get_by_label(f"Name of box {number}", exact=True).fill(phrase)
    instruction = page.locator("#generate-grounding-instruction")
    expect(instruction).to_have_value("sun; dog; rocket")

    # A picture, with its seed, the prompt that was built, and everything in the file.
    set_steps(page, 10)
    page.locator("#generate-start").click()
    expect(page.locator("#generate-start")).to_be_disabled()
    page.wait_for_selector("#generate-results figure")
    expect(page.locator("#generate-start")).to_be_enabled()
    caption = page.locator("#generate-results figcaption span").inner_text()
    seed = int(re.fullmatch(r"Seed (\d+)", caption).group(1))
    facts = page.locator("#generate-results .facts").inner_text()
    assert all(phrase in facts for phrase in ("Prompt used:", "sun", "dog", "rocket"))
    image = downloaded(page, "#generate-results", tmp_path)
    assert image.size == (64, 64)
    assert np.asarray(image).std() > 5
    settings = read_settings(next(tmp_path.glob("*.png")))
    assert settings["seed"] == seed
    assert settings["num_inference_steps"] == 10
    assert [region["phrase"] for region in settings["regions"]] == ["sun", "dog", "rocket"]
    assert np.allclose(settings["regions"][0]["box"], (0.05, 0.05, 0.45, 0.45), atol=0.01)

    # A long second run, stopped half-way: it ends, says where, and the first picture stays.
    set_steps(page, 200)
    page.locator("#generate-start").click()
    message = page.locator("#generate-notice .message")
    expect(message).to_contain_text(re.compile(r"Step ([2-9]|\d\d+) of 200"), timeout=60_000)
    page.wait_for_selector("#generate-notice .preview img[src^='data:image']")
    page.locator("#generate-stop").click()
    expect(message).to_contain_text(re.compile(r"Stopped after step \d+ of 200"))
    expect(page.locator("#generate-start")).to_be_enabled()
    expect(page.locator("#generate-stop")).to_be_disabled()
    expect(page.locator("#generate-results figure")).to_have_count(1)

    # The page still works, and the fixed seed gives the same picture again.
    set_steps(page, 10)
    page.get_by_label("fixed", exact=True).locator("visible=true").check()
    page.get_by_label("Fixed seed").locator("visible=true").fill(str(seed))
    page.locator("#generate-start").click()
    expect(page.locator("#generate-notice .message")).to_be_hidden()
    again = downloaded(page, "#generate-results", tmp_path)
    assert again.tobytes() == image.tobytes()


def photo_of(width: int, height: int) -> Image.Image:
    """Make a photo-like picture: colour ramps with noise, so that every pixel is its own."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    ramps = np.stack([200 * x, 160 * y + 40, 120 * (1 - x) + 60], axis=-1)
    noisy = ramps + rng.normal(0, 6, ramps.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def open_photo(address, open_page, tmp_path) -> tuple[Page, np.ndarray]:
    photo = photo_of(1000, 700)
    photo.save(tmp_path / "photo.png")
    page = open_page(address)
    page.get_by_role("tab", name="Inpaint").click()
    page.locator(f"{INPAINT} [data-name=photo_input]").set_input_files(tmp_path / "photo.png")
    expect(page.locator(f"{INPAINT} .hint")).to_contain_text("1000 x 700")
    set_steps(page, 8)
    return page, np.asarray(photo)


def test_inpainting_a_box_keeps_the_outside(address, open_page, tmp_path):
    page, before = open_photo(address, open_page, tmp_path)
    stage = page.locator(f"{INPAINT} .stage").bounding_box()
    assert stage["width"] / stage["height"] == pytest.approx(1000 / 700, rel=0.01)
    drag(page, INPAINT, (0.3, 0.2), (0.7, 0.8))
    page.get_by_label("Name of box 1", exact=True).fill("dog")
    page.locator("#inpaint-start").click()
    page.wait_for_selector("#inpaint-results figure")
    (tmp_path / "out").mkdir()
    after = np.asarray(downloaded(page, "#inpaint-results", tmp_path / "out"))
    settings = read_settings(next((tmp_path / "out").glob("*.png")))
    x0, y0, x1, y1 = settings["regions"][0]["box"]
    assert after.shape == before.shape
    changed = (after != before).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert columns.min() >= np.floor(x0 * 1000)
    assert columns.max() < np.ceil(x1 * 1000)
    assert rows.min() >= np.floor(y0 * 700)
    assert rows.max() < np.ceil(y1 * 700)
    inside = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert inside.mean() > 0.9


def test_inpainting_a_painted_mask_keeps_the_outside(address, open_page, tmp_path):
    page, before = open_photo(address, open_page, tmp_path)
    page.get_by_role("radio", name="Mask brush").locator("visible=true").click()
    drag(page, INPAINT, (0.35, 0.5), (0.65, 0.5))
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a frog in a field")
    page.locator("#inpaint-start").click()
    page.wait_for_selector("#inpaint-results figure")
    (tmp_path / "out").mkdir()
    after = np.asarray(downloaded(page, "#inpaint-results", tmp_path / "out"))
    changed = (after != before).any(axis=2)
    assert changed[350, 500]
    # The brush is 6 % of the width thick: 30 pixels to each side of the line, and round ends.
    assert not changed[:316].any()
    assert not changed[385:].any()
    assert not changed[:, :315].any()
    assert not changed[:, 685:].any()
    facts = page.locator("#inpaint-results .facts").inner_text()
    assert "painted mask was repainted" in facts
