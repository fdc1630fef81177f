"""History, layout files and settings in pictures."""

import json

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demo.links import FRAGMENT, pack, unpack
from demo.recipes import read_recipe
from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.pictures.metadata import read_settings, save_png
from tests.browser.drawing import boxes, drag
from tests.browser.fingers import PHONE
from tests.browser.remembering import (
    CANVAS,
    HOSTILE,
    SHAPES,
    choose_photo,
    compose,
    expect_composed,
    fits,
    go_to,
    load,
    open_keeper,
    press,
    ready,
    run,
    set_steps,
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


def test_a_preset_sets_sampler_and_steps_and_is_kept_with_what_was_changed(open_ready, service):
    page = open_ready()
    compose(page)
    page.get_by_text("Advanced", exact=True).locator("visible=true").first.click()
    field = page.get_by_label("Preset", exact=True).locator("visible=true")
    field.click()
    page.get_by_role("option", name="Faster").click()
    steps = page.get_by_label("number input for Steps").locator("visible=true")
    expect(steps).to_have_value("20")
    set_steps(page, 7)
    run(page)
    asked = service.requests[-1][1]
    assert (asked.preset, asked.sampler, asked.num_inference_steps) == ("faster", "dpm++", 7)

    page.reload()
    ready(page)
    expect_composed(page)
    run(page)
    again = service.requests[-1][1]
    assert (again.preset, again.sampler, again.num_inference_steps) == ("faster", "dpm++", 7)


@SHAPES
def test_a_result_is_loaded_back_from_the_history(open_ready, service, shape):
    page = open_ready(**shape)
    go_to(page, "History")
    expect(page.locator("#history .empty")).to_contain_text("Nothing here yet")
    go_to(page, "Generate")
    compose(page, HOSTILE)
    run(page)
    asked = service.requests[-1][1]
    go_to(page, "History")
    row = page.locator("#history li")
    expect(row).to_have_count(1)
    expect(row.locator(".prompt")).to_have_text(HOSTILE)
    expect(row.locator(".line")).to_contain_text("seed 1234")
    assert row.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 192
    row.locator("summary").click()
    expect(row.locator("dl")).to_contain_text("sun; comet")
    assert fits(page)

    # Everything is changed, then comes back, with the seed fixed.
    go_to(page, "Generate")
    page.get_by_role("button", name="Clear").locator("visible=true").click()
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("something else")
    set_steps(page, 9)
    go_to(page, "History")
    page.get_by_role("button", name="Load back the picture with seed 1234").click()
    expect_composed(page, HOSTILE)
    expect(page.locator("#generate-notice .message")).to_contain_text("from the history")
    expect(page.get_by_label("fixed", exact=True).locator("visible=true")).to_be_checked()
    run(page)
    again = service.requests[-1][1]
    assert (again.layout, again.prompt, again.seed) == (asked.layout, asked.prompt, 1234)
    assert (again.num_inference_steps, again.gate_schedule) == (7, asked.gate_schedule)
    assert page.title() != "hacked"


@SHAPES
def test_pictures_are_downloaded_and_deleted(open_ready, service, tmp_path, shape):
    page = open_ready(**shape)
    compose(page)
    for _ in range(3):
        run(page)
    go_to(page, "History")
    rows = page.locator("#history li")
    expect(rows).to_have_count(3)
    with page.expect_download() as download:
        rows.first.get_by_role("link").click()
    download.value.save_as(tmp_path / "got.png")
    assert read_settings(tmp_path / "got.png")["prompt"] == "a night"
    page.get_by_role("button", name="Delete the picture").first.click()
    expect(rows).to_have_count(2)
    # The first press only asks.
    page.get_by_role("button", name="Delete all").click()
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="Really delete all?").click()
    expect(rows).to_have_count(0)
    expect(page.locator("#history .empty")).to_be_visible()


def test_the_history_outlives_a_reload_and_is_nobody_elses(open_ready, service):
    mine, yours = open_ready(), open_ready()
    compose(mine)
    run(mine)
    go_to(yours, "History")
    expect(yours.locator("#history .empty")).to_be_visible()
    mine.reload()
    ready(mine)
    go_to(mine, "History")
    expect(mine.locator("#history li")).to_have_count(1)
    # What one browser keeps does not come up in another either.
    yours.reload()
    ready(yours)
    expect(yours.locator(f"{CANVAS} .box")).to_have_count(0)
    go_to(yours, "History")
    expect(yours.locator("#history .empty")).to_be_visible()


def test_a_repainted_photo_comes_back_with_its_boxes(open_ready, service, tmp_path):
    Image.new("RGB", (100, 70), "teal").save(tmp_path / "photo.png")
    page = open_ready()
    go_to(page, "Inpaint")
    choose_photo(page, tmp_path / "photo.png")
    expect(page.locator("#inpaint-canvas .hint")).to_contain_text("100 x 70")
    drag(page, "#inpaint-canvas", (0.2, 0.2), (0.7, 0.8))
    page.get_by_label("Name of box 1", exact=True).locator("visible=true").fill("dog")
    run(page, "inpaint")
    asked = service.requests[-1][1]
    page.get_by_role("button", name="Remove photo").click()
    go_to(page, "History")
    page.get_by_role("button", name="Load back").click()
    expect(page.locator("#inpaint-canvas .photo")).to_be_visible()
    expect(page.locator("#inpaint-canvas .box")).to_have_count(1)
    run(page, "inpaint")
    again = service.requests[-1][1]
    assert again.inpaint_image.tobytes() == asked.inpaint_image.tobytes()
    assert again.layout == asked.layout

    # A layout that is loaded keeps the photo that stands there.
    layout = tmp_path / "layout.json"
    layout.write_text('[{"label": "cat", "bbox": [0.1, 0.1, 0.5, 0.5]}]')
    open_keeper(page, "inpaint")
    load(page, layout, "inpaint")
    expect(page.locator("#inpaint-grounding-instruction")).to_have_value("cat")
    expect(page.locator("#inpaint-canvas .photo")).to_be_visible()

    # After a reload the boxes are there, and wait for their photo.
    page.reload()
    ready(page)
    go_to(page, "Inpaint")
    expect(page.locator("#inpaint-keeper .said")).to_contain_text("Choose the photo again")
    choose_photo(page, tmp_path / "photo.png")
    expect(page.locator("#inpaint-canvas .photo")).to_be_visible()
    expect(page.locator("#inpaint-grounding-instruction")).to_have_value("cat")


@SHAPES
def test_a_layout_is_saved_and_loaded(open_ready, tmp_path, shape):
    page = open_ready(**shape)
    open_keeper(page)
    press(page, "export")
    expect(page.locator("#generate-keeper .said")).to_contain_text("nothing here yet")
    compose(page)
    drawn = boxes(page, CANVAS)
    page.get_by_label("Hide box 2").locator("visible=true").click()
    with page.expect_download() as download:
        press(page, "export")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".json"
    saved = json.loads(path.read_text())
    assert (saved["gligen"], saved["width"], saved["prompt"]) == (1, 64, "a night")
    assert Layout.from_json(path.read_text()).phrases == ("sun",)
    assert fits(page)

    press(page, "afresh")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    press(page, "afresh")
    expect(page.locator(f"{CANVAS} .box")).to_have_count(0)
    expect(page.locator("#generate-keeper .said")).to_contain_text("afresh")
    load(page, path)
    expect_composed(page)
    expect(page.locator("#generate-notice .message")).to_contain_text("layout, prompt and settings")
    assert np.allclose(boxes(page, CANVAS), drawn)
    expect(page.get_by_label("Show box 2").locator("visible=true")).to_be_visible()


def test_files_that_cannot_be_used_get_a_sentence(open_ready, tmp_path):
    page = open_ready()
    compose(page)
    open_keeper(page)
    said = page.locator("#generate-keeper .said")
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "plain.png")
    save_png(picture, tmp_path / "hostile.png", {"prompt": HOSTILE, "regions": [{"phrase": 7}]})
    save_png(picture, tmp_path / "long.png", {"prompt": "x" * 10_000, "regions": []})
    (tmp_path / "broken.png").write_bytes((tmp_path / "plain.png").read_bytes()[:40])
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 50_000)
    (tmp_path / "tall.json").write_text('[{"phrase": "a", "box": [0, 0, 1, NaN]}]')
    (tmp_path / "hostile.json").write_text(json.dumps([{"phrase": "a", "box": HOSTILE}]))
    for name, words in [
        ("plain.png", "carries no settings"),
        ("hostile.png", "phrase of region 1 is 7"),
        ("long.png", "10000 characters"),
        ("broken.png", "not a readable PNG"),
        ("bytes.json", "neither a PNG nor text"),
        ("deep.json", "nested too deeply"),
        ("tall.json", "finite"),
        ("hostile.json", "<img src=x"),
    ]:
        load(page, tmp_path / name)
        expect(said).to_contain_text(words)
    expect_composed(page)
    assert page.title() != "hacked"


def test_settings_come_back_from_a_picture_on_its_own_tab(open_ready, service, tmp_path):
    page = open_ready()
    go_to(page, "Keypoints")
    page.get_by_role("button", name="Add person").click()
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a dancer")
    set_steps(page, 5)
    run(page, "keypoints")
    asked = service.requests[-1][1]
    with page.expect_download() as download:
        page.locator("#keypoints-results figcaption a").click()
    download.value.save_as(tmp_path / "dancer.png")

    other = open_ready(**PHONE)
    open_keeper(other)
    load(other, tmp_path / "dancer.png")
    expect(other.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value(
        "a dancer"
    )
    expect(other.locator("#keypoints-start")).to_be_visible()
    run(other, "keypoints")
    again = service.requests[-1][1]
    assert (again.layout, again.seed, again.num_inference_steps) == (asked.layout, 1234, 5)


@SHAPES
def test_a_link_restores_everything_in_another_browser(open_ready, service, shape):
    page = open_ready(**shape)
    compose(page, "a “night”; ${x} 狗")
    open_keeper(page)
    press(page, "link")
    link = page.locator("#generate-keeper .link")
    expect(link).to_be_visible()
    text = link.input_value().partition(f"#{FRAGMENT}")[2]
    recipe = read_recipe(unpack(text))
    assert recipe.layout.layout.phrases == ("sun", "comet")

    other = open_ready(f"#{FRAGMENT}{text}", **shape)
    expect_composed(other, "a “night”; ${x} 狗")
    run(other)
    assert service.requests[-1][1].layout == recipe.layout.layout
    # The address is tidy again, and a reload brings what stands on the page then.
    assert "#" not in other.url
    set_steps(other, 8)
    other.reload()
    ready(other)
    steps = other.get_by_label("number input for Steps").locator("visible=true")
    expect(steps).to_have_value("8")
    expect(other.locator(f"{CANVAS} .box")).to_have_count(2)


def test_a_link_can_be_opened_on_an_open_page_and_goes_to_its_tab(open_ready):
    page = open_ready()
    compose(page)
    document = {"gligen": 1, "tab": "keypoints", "persons": [[[0.5, 0.5]] * 17], "prompt": "hi"}
    page.evaluate(f"location.hash = '{FRAGMENT}{pack(document)}'")
    expect(page.locator("#keypoints-start")).to_be_visible()
    expect(page.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value("hi")
    go_to(page, "Generate")
    expect_composed(page)
