"""Editing on the canvas by mouse: selecting, handles, snapping, copies, order, colours."""

import pytest
from playwright.sync_api import expect

from demo.service import GENERATION, IMAGE_GENERATION, INPAINTING
from tests.browser.drawing import (
    add_boxes,
    boxes,
    button,
    drag,
    hover,
    named_boxes,
    names,
    near,
    selected,
)
from tests.demo.fake_service import FakeService

pytestmark = pytest.mark.slow

CANVAS = "#generate-canvas"


@pytest.fixture(scope="module")
def service():
    return FakeService(kinds=(GENERATION, IMAGE_GENERATION, INPAINTING))


# ---- selecting, moving, resizing ----


def test_a_box_is_moved_without_selecting_it_first(page):
    add_boxes(page, CANVAS, (10, 10, 30, 30), (60, 60, 90, 90))
    drag(page, CANVAS, (0.2, 0.25), (0.37, 0.62))
    assert near(boxes(page, CANVAS)[0], [27, 47, 20, 20])
    assert near(boxes(page, CANVAS)[1], [60, 60, 30, 30])
    assert selected(page, CANVAS) == [1]


def test_clicks_go_through_the_pile_and_beside_it_select_nothing(page):
    add_boxes(page, CANVAS, (5, 5, 95, 95))
    add_boxes(page, CANVAS, (30, 30, 60, 60))  # a large box is drawn over unless it is selected
    assert len(boxes(page, CANVAS)) == 2
    for expected in ([2], [1], [2]):
        hover(page, CANVAS, 0.5, 0.5)
        page.mouse.down()
        page.mouse.up()
        assert selected(page, CANVAS) == expected
    hover(page, CANVAS, 0.02, 0.02)
    page.mouse.down()
    page.mouse.up()
    assert selected(page, CANVAS) == []


def test_shift_draws_over_a_box(page):
    add_boxes(page, CANVAS, (20, 20, 60, 60))
    page.keyboard.down("Shift")
    drag(page, CANVAS, (0.3, 0.4), (0.45, 0.52))
    page.keyboard.up("Shift")
    assert len(boxes(page, CANVAS)) == 2


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ("nw", [43, 44, 27, 26]),
        ("n", [40, 44, 30, 26]),
        ("ne", [40, 44, 33, 26]),
        ("e", [40, 40, 33, 30]),
        ("se", [40, 40, 33, 34]),
        ("s", [40, 40, 30, 34]),
        ("sw", [43, 40, 27, 34]),
        ("w", [43, 40, 27, 30]),
    ],
)
def test_each_handle_moves_its_sides(page, edges, expected):
    add_boxes(page, CANVAS, (40, 40, 70, 70))
    hover(page, CANVAS, 0.55, 0.55)
    page.mouse.down()
    page.mouse.up()
    area = page.locator(f"{CANVAS} .stage").bounding_box()
    handle = page.locator(f"{CANVAS} .box.selected .handle[data-edges={edges}]").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.03 * area["width"], y + 0.04 * area["height"], steps=3)
    page.mouse.up()
    assert near(boxes(page, CANVAS)[0], expected)


# ---- snapping ----


def test_boxes_snap_to_each_other_with_guides_and_alt_moves_freely(page):
    add_boxes(page, CANVAS, (10, 10, 30, 30), (52, 60, 72, 80))
    guides = page.locator(f"{CANVAS} .guide:visible")
    hover(page, CANVAS, 0.62, 0.72)
    page.mouse.down()
    hover(page, CANVAS, 0.208, 0.722)  # the left side comes to 10.8 %
    expect(guides).to_have_count(1)
    left, top, *_ = boxes(page, CANVAS)[1]
    assert left == pytest.approx(boxes(page, CANVAS)[0][0], abs=1e-6)
    assert near([top], [60.2], 0.3)
    page.keyboard.down("Alt")
    hover(page, CANVAS, 0.209, 0.722)
    expect(guides).to_have_count(0)
    assert near(boxes(page, CANVAS)[1][:1], [10.9], 0.3)
    page.mouse.up()
    page.keyboard.up("Alt")
    expect(guides).to_have_count(0)


def test_sides_and_new_boxes_snap_to_the_frame_and_its_middle(page):
    drag(page, CANVAS, (0.006, 0.2), (0.494, 0.33))
    (box,) = boxes(page, CANVAS)
    assert box[0] == 0
    assert box[2] == pytest.approx(50, abs=1e-6)
    page.keyboard.press("Escape")
    drag(page, CANVAS, (0.25, 0.33), (0.25, 0.508))  # its lower side
    assert sum(boxes(page, CANVAS)[0][1::2]) == pytest.approx(50, abs=1e-6)


# ---- copies, order, colour, visibility ----


def test_duplicate_and_delete_by_button_and_key(page):
    add_boxes(page, CANVAS, (10, 10, 30, 30))
    expect(button(page, CANVAS, "Duplicate")).to_be_disabled()
    page.get_by_label("Name of box 1", exact=True).fill("dog")
    button(page, CANVAS, "Duplicate").click()
    page.keyboard.press("Control+d")
    assert names(page, CANVAS) == ["dog", "dog", "dog"]
    assert near(boxes(page, CANVAS)[2], [18, 18, 20, 20])
    assert selected(page, CANVAS) == [3]
    button(page, CANVAS, "Delete").click()
    page.keyboard.press("Control+z")
    assert names(page, CANVAS) == ["dog", "dog", "dog"]
    page.get_by_label("Name of box 2", exact=True).press("Control+d")
    assert names(page, CANVAS) == ["dog"] * 4


def test_a_copy_in_the_corner_is_not_hidden_behind_its_original(page):
    add_boxes(page, CANVAS, (80, 80, 100, 100))
    page.get_by_label("Duplicate box 1").click()
    first, second = boxes(page, CANVAS)
    assert near(second, [76, 76, 20, 20])
    assert near(first, [80, 80, 20, 20])


def test_order_by_buttons_and_keys_keeps_the_focus(page):
    named_boxes(page, CANVAS)
    page.get_by_label("Move box 3 up").click()
    assert names(page, CANVAS) == ["one", "three", "two"]
    expect(page.locator("#generate-grounding-instruction")).to_have_value("one; three; two")
    page.keyboard.press("Enter")  # the same button, which went along
    assert names(page, CANVAS) == ["three", "one", "two"]
    expect(page.get_by_label("Reorder box 1")).to_be_focused()  # there is no further up
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert names(page, CANVAS) == ["one", "two", "three"]
    expect(page.get_by_label("Reorder box 3")).to_be_focused()
    page.get_by_label("Name of box 3", exact=True).press("Alt+ArrowUp")
    assert names(page, CANVAS) == ["one", "three", "two"]
    expect(page.get_by_label("Name of box 2", exact=True)).to_be_focused()
    button(page, CANVAS, "Undo").click()
    assert names(page, CANVAS) == ["one", "two", "three"]


def test_order_by_dragging_a_row_is_one_step_of_the_history(page):
    named_boxes(page, CANVAS)
    rows = page.locator(f"{CANVAS} .row")
    grip, last = rows.nth(0).locator(".chip").bounding_box(), rows.nth(2).bounding_box()
    page.mouse.move(grip["x"] + 10, grip["y"] + 10)
    page.mouse.down()
    page.mouse.move(grip["x"] + 10, last["y"] + last["height"] - 4, steps=8)
    page.mouse.up()
    assert names(page, CANVAS) == ["two", "three", "one"]
    expect(page.locator("#generate-grounding-instruction")).to_have_value("two; three; one")
    page.keyboard.press("Control+z")
    assert names(page, CANVAS) == ["one", "two", "three"]


def test_a_chosen_colour_shows_on_canvas_and_in_the_list_and_can_be_undone(page, service):
    named_boxes(page, CANVAS)
    tint = "node => getComputedStyle(node).getPropertyValue('--tint')"
    usual = page.eval_on_selector(f"{CANVAS} .box >> nth=1", tint)
    page.get_by_label("Colour of box 2").fill("#f5f500")
    for part in ("box", "row"):
        assert page.eval_on_selector(f"{CANVAS} .{part} >> nth=1", tint) == "#f5f500"
    # Light colours have dark letters.
    ink = "node => getComputedStyle(node).color"
    assert page.eval_on_selector(f"{CANVAS} .box >> nth=1 >> .tag", ink) == "rgb(0, 0, 0)"
    assert page.eval_on_selector(f"{CANVAS} .box >> nth=0 >> .tag", ink) == "rgb(255, 255, 255)"
    page.locator("#generate-start").click()
    page.wait_for_selector("#generate-results figure")
    page.get_by_label("Move box 2 up").click()
    assert page.eval_on_selector(f"{CANVAS} .box >> nth=0", tint) == "#f5f500"
    button(page, CANVAS, "Undo").click()
    button(page, CANVAS, "Undo").click()
    assert page.eval_on_selector(f"{CANVAS} .box >> nth=1", tint) == usual


def test_examples_replace_the_drawing_and_undo_brings_it_back(page):
    named_boxes(page, CANVAS)
    page.locator("#generate-example-1").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(2)
    button(page, CANVAS, "Undo").click()
    assert names(page, CANVAS) == ["one", "two", "three"]


def test_the_prompt_of_an_example_goes_and_comes_with_its_boxes(page):
    prompt = page.get_by_label("Prompt", exact=True).locator("visible=true")
    page.locator("#generate-example-1").click()
    expect(prompt).to_have_value("a sun and a comet at night")
    button(page, CANVAS, "Clear").click()
    expect(prompt).to_have_value("")
    button(page, CANVAS, "Undo").click()
    expect(prompt).to_have_value("a sun and a comet at night")
    # One that a person wrote is theirs.
    prompt.fill("my own words")
    button(page, CANVAS, "Clear").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(0)
    expect(prompt).to_have_value("my own words")
    # Where the example is undone, the boxes that were there before stand without its prompt.
    add_boxes(page, CANVAS, (20, 20, 60, 60))
    page.locator("#generate-example-2").click()
    expect(prompt).to_have_value("a dog and an apple in a room")
    button(page, CANVAS, "Undo").click()
    expect(prompt).to_have_value("")


def test_letters_and_a_double_click_name_a_box_and_the_hint_names_the_selected_one(page):
    hint = page.locator(f"{CANVAS} .hint")
    add_boxes(page, CANVAS, (5, 5, 30, 30), (50, 50, 80, 80))
    drag(page, CANVAS, (0.5, 0.1), (0.8, 0.4))
    expect(hint).to_have_text("Type what goes into box 3.")
    hover(page, CANVAS, 0.15, 0.2)
    page.mouse.down()
    page.mouse.up()
    expect(hint).to_have_text("Type what goes into box 1.")
    # The canvas has the focus: an s begins the name, and is no tool.
    page.keyboard.type("snail")
    assert names(page, CANVAS) == ["snail", "", ""]
    expect(hint).not_to_contain_text("Type what goes")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_role("radio", name="Box", exact=True).first).to_be_checked()
    assert names(page, CANVAS)[0] == "snail"
    area = page.locator(f"{CANVAS} .stage").bounding_box()
    page.mouse.dblclick(area["x"] + 0.65 * area["width"], area["y"] + 0.65 * area["height"])
    page.keyboard.type("tree")
    assert names(page, CANVAS) == ["snail", "tree", ""]
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.get_by_role("radio", name="Scribble", exact=True).first).to_be_checked()
