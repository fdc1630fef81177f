"""What keeps the canvas fast, without a clock: no calls, no work on boxes that stay as they are.

`benchmarks/page_speed.py` measures the times.
"""

import pytest
from playwright.sync_api import expect

from demo.components.canvas import Drawing
from demo.examples import Example
from demo.service import GENERATION, INPAINTING
from gligen.layout import MAX_REGIONS, Layout
from tests.browser.drawing import boxes, drag, hover
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

CANVAS = "#generate-canvas"
GRID = [
    ((column + 0.1) / 6, (row + 0.1) / 5, (column + 0.8) / 6, (row + 0.8) / 5)
    for row in range(5)
    for column in range(6)
]

# Marks the elements of all boxes and rows, and notes every change below them.
WATCH = """(root) => {
  window.changes = [];
  const parts = [...root.querySelectorAll(".box, .row")];
  parts.forEach((part) => { part.isMarked = true; });
  const note = (records) => records.forEach((record) => {
    const owner = record.target.closest?.("[data-id]");
    const name = owner ? owner.className.split(" ")[0] + owner.dataset.id : "outside";
    window.changes.push([name, record.type]);
  });
  const observer = new MutationObserver(note);
  for (const name of [".boxes", ".regions"]) {
    const all = { attributes: true, childList: true, characterData: true, subtree: true };
    observer.observe(root.querySelector(name), all);
  }
}"""


@pytest.fixture(scope="module")
def address():
    with served(FakeService(kinds=(GENERATION, INPAINTING))) as address:
        yield address


@pytest.fixture
def crowded(address, open_page, monkeypatch):
    """Open a page with thirty boxes, the first of which is selected."""
    assert len(GRID) == MAX_REGIONS
    layout = Layout.from_lists([f"thing {n}" for n in range(1, 31)], GRID)
    monkeypatch.setattr(Example, "drawing", lambda example: Drawing(layout))
    page = open_page(address)
    page.locator("#generate-example-1").click()
    expect(page.locator(f"{CANVAS} .box")).to_have_count(30)
    hover(page, CANVAS, 0.08, 0.1)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(f"{CANVAS} .row").first).to_have_class("row selected")
    return page


def test_a_drag_touches_its_own_box_only_and_asks_nothing(crowded):
    page = crowded
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.eval_on_selector(CANVAS, WATCH)
    page.mouse.down()
    hover(page, CANVAS, 0.5, 0.57)
    first = page.locator(f"{CANVAS} .box").first.get_attribute("data-id")
    changed = {owner for owner, _ in page.evaluate("window.changes")}
    assert changed == {f"box{first}"}
    page.mouse.up()
    marked = "parts => parts.filter(part => part.isMarked).length"
    assert page.eval_on_selector_all(f"{CANVAS} .box, {CANVAS} .row", marked) == 60
    changed = {owner for owner, _ in page.evaluate("window.changes")}
    assert changed <= {f"box{first}", f"row{first}"}
    assert asked == []
    assert boxes(page, CANVAS)[0][0] > 40


def test_a_drawn_box_and_its_name_ask_nothing_of_the_server(address, open_page):
    page = open_page(address)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    drag(page, CANVAS, (0.2, 0.2), (0.6, 0.6))
    page.keyboard.type("a dog")
    expect(page.locator("#generate-grounding-instruction")).to_have_value("a dog")
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    page.keyboard.press("Control+z")
    assert asked == []


def test_typing_a_name_leaves_the_other_boxes_alone(crowded):
    page = crowded
    label = page.get_by_label("Name of box 1", exact=True)
    label.focus()
    page.eval_on_selector(CANVAS, WATCH)
    label.press_sequentially("sun", delay=10)
    expect(page.locator("#generate-grounding-instruction")).to_have_value(
        "; ".join(["thing 1sun", *(f"thing {n}" for n in range(2, 31))])
    )
    first = page.locator(f"{CANVAS} .box").first.get_attribute("data-id")
    changed = {owner for owner, _ in page.evaluate("window.changes")}
    assert changed <= {f"box{first}", f"row{first}"}


def test_a_new_value_writes_no_style(crowded):
    """New style rules make the browser work out the style of every element of the page."""
    page = crowded
    page.evaluate("""() => {
      window.writes = 0;
      const note = (records) => { window.writes += records.length; };
      new MutationObserver(note).observe(document.head, { childList: true, subtree: true });
      document.querySelectorAll("style").forEach((sheet) => {
        new MutationObserver(note).observe(sheet, { childList: true, characterData: true });
      });
    }""")
    page.get_by_label("Name of box 1", exact=True).fill("sun")
    page.get_by_label("Hide box 2", exact=True).click()
    page.wait_for_timeout(100)
    assert page.evaluate("window.writes") == 0
