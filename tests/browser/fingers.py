"""Touching a canvas of the page with fingers."""

from playwright.sync_api import Page

PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}

Place = tuple[float, float]  # fractions of the drawing area


class Fingers:
    """Fingers on the drawing area; all of them are named at every move, as on a screen."""

    def __init__(self, page: Page, canvas: str):
        page.locator(f"{canvas} .stage").scroll_into_view_if_needed()
        self.area = page.locator(f"{canvas} .stage").bounding_box()
        self.session = page.context.new_cdp_session(page)

    def down(self, *places: Place) -> None:
        """Put fingers down."""
        self._send("touchStart", places)

    def move(self, *places: Place) -> None:
        """Move the fingers."""
        self._send("touchMove", places)

    def up(self) -> None:
        """Lift all fingers."""
        self._send("touchEnd", ())

    def drag(self, *places: Place) -> None:
        """Drag one finger along places."""
        self.down(places[0])
        for place in places[1:]:
            self.move(place)
        self.up()

    def tap(self, place: Place) -> None:
        """Touch a place shortly."""
        self.down(place)
        self.up()

    def _send(self, kind: str, places: tuple[Place, ...]) -> None:
        points = [
            {
                "x": self.area["x"] + x * self.area["width"],
                "y": self.area["y"] + y * self.area["height"],
                "id": number,
            }
            for number, (x, y) in enumerate(places)
        ]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
