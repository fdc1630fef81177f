"""Drawing with the mouse on a canvas of the page, as a person does."""

import math

from playwright.sync_api import Page


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
