"""Drawing with the mouse on a canvas of the page, as a person does."""

import math

from playwright.sync_api import Locator, Page


def drag(page: Page, canvas: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one point to another; points are fractions of the drawing area."""
    _move(page, canvas, [start, end])


def scribble(page: Page, canvas: str, box: tuple[float, float, float, float]) -> None:
    """Draw an ellipse that just fills a box."""
    x0, y0, x1, y1 = box
    angles = [math.tau * i / 24 for i in range(25)]
    centre, radius = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)
    points = [
        (centre[0] + radius[0] * math.cos(a), centre[1] + radius[1] * math.sin(a)) for a in angles
    ]
    _move(page, canvas, points)


def _move(page: Page, canvas: str, points: list[tuple[float, float]]) -> None:
    stage = page.locator(f"{canvas} .stage")
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    assert area is not None
    places = [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def boxes(page: Page, canvas: str) -> list[list[float]]:
    """Return the boxes on a canvas in percent of it: left, top, width, height."""
    read = "['left', 'top', 'width', 'height'].map(key => parseFloat(box.style[key]))"
    return page.eval_on_selector_all(f"{canvas} .box", f"all => all.map(box => {read})")


def add_boxes(page: Page, canvas: str, *places) -> None:
    """Draw a box at each place, given in percent of the drawing area: x0, y0, x1, y1."""
    for x0, y0, x1, y1 in places:
        drag(page, canvas, (x0 / 100, y0 / 100), (x1 / 100, y1 / 100))
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")


def near(found, expected, tolerance=1.0):
    """Return whether two boxes in percent are about the same."""
    return all(abs(a - b) < tolerance for a, b in zip(found, expected, strict=True))


def selected(page: Page, canvas: str) -> list[int]:
    """Return the numbers of the selected rows."""
    script = "rows => rows.flatMap((row, i) => row.classList.contains('selected') ? [i + 1] : [])"
    return page.eval_on_selector_all(f"{canvas} .row", script)


def names(page: Page, canvas: str) -> list[str]:
    """Return the names in the list."""
    return page.eval_on_selector_all(
        f"{canvas} .row input[type=text]", "all => all.map(input => input.value)"
    )


def button(page: Page, canvas: str, name: str) -> Locator:
    """Find a button of a canvas by its whole name."""
    return page.locator(canvas).get_by_role("button", name=name, exact=True)


def hover(page: Page, canvas: str, x: float, y: float) -> None:
    """Move the mouse to a point, given in fractions of the drawing area."""
    area = page.locator(f"{canvas} .stage").bounding_box()
    page.mouse.move(area["x"] + x * area["width"], area["y"] + y * area["height"], steps=4)


def named_boxes(page: Page, canvas: str) -> None:
    """Draw three boxes and name them by the field below the canvas of the tab Generate."""
    add_boxes(page, canvas, (5, 5, 25, 25), (35, 5, 55, 25), (65, 5, 85, 25))
    page.locator("#generate-grounding-instruction").fill("one; two; three")
