"""Make the screenshots of the README: `python -m docs.make_screenshots`.

Each tab is filled from its first example and painted by the embedded model; needs Chromium and
what `requirements-dev.txt` lists.
"""

import io
import os
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.app import Serving, build_app, launch_options
from demo.flags import parse_flags
from demo.loading import load_service

FOLDER = Path(__file__).parent / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDE = {"viewport": {"width": 1400, "height": 1000}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
WAIT_MS = 300_000  # a slow machine paints for a while
QUALITY = 55
MAX_BYTES = 60_000
SHOWN_WIDTH = 1000  # pixels of the saved picture of a wide screen

# What was made before the picture of the tab History: tab, id of its parts, example.
PAST = (
    ("Generate", "generate", 1),
    ("Generate", "generate", 2),
    ("Generate", "generate", 5),
    ("Keypoints", "keypoints", 1),
    ("Maps", "maps", 1),
)

# Name of the picture, tab, id of the tab's parts (None: nothing is painted there), colours, screen.
SHOTS = (
    ("page_generate", "Generate", "generate", "light", WIDE),
    ("page_inpaint", "Inpaint", "inpaint", "light", WIDE),
    ("page_keypoints", "Keypoints", "keypoints", "dark", WIDE),
    ("page_maps", "Maps", "maps", "light", WIDE),
    ("page_compare", "Compare", "compare", "light", WIDE),
    ("page_history", "History", "history", "light", WIDE),
    ("page_about", "About", None, "dark", WIDE),
    ("page_phone", "Generate", "generate", "light", PHONE),
)


def shoot(browser: Browser, address: str, tab: str, name: str | None, colours: str, shape) -> bytes:
    """Return a PNG of a tab with content."""
    context = browser.new_context(color_scheme=colours, device_scale_factor=1, **shape)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(address)
    page.wait_for_selector("#generate-canvas .stage")
    match name:
        case None:
            show(page, tab)
        case "compare":
            fill(page, "Generate", "generate")
            show(page, tab)
            page.get_by_label("A sweep of tau", exact=True).check()
            paint(page, name)
        case "history":
            for filled_tab, filled, example in PAST:
                fill(page, filled_tab, filled, example)
                paint(page, filled)
            show(page, tab)
            page.wait_for_selector("#history .entries li img")
        case _:
            fill(page, tab, name)
            paint(page, name)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    picture = page.screenshot(full_page=shape is PHONE)
    context.close()
    return picture


def show(page: Page, tab: str) -> None:
    """Open a tab."""
    page.get_by_role("tab", name=tab, exact=True).click()
    page.wait_for_timeout(500)


def fill(page: Page, tab: str, name: str, example: int = 1) -> None:
    """Choose an example of a tab, and a fixed seed."""
    show(page, tab)
    page.locator(f"#{name}-example-{example}").click()
    page.wait_for_timeout(1500)
    page.get_by_label("fixed", exact=True).locator("visible=true").check()
    page.get_by_label("Fixed seed").locator("visible=true").fill("3")


def paint(page: Page, name: str) -> None:
    """Paint what stands on a tab, and wait for the result."""
    page.locator(f"#{name}-start").click()
    picture = page.locator(f"#{name}-results figure img").first
    picture.wait_for(timeout=WAIT_MS)
    picture.evaluate("image => image.decode()")
    expect(page.locator(f"#{name}-notice .message")).to_be_hidden(timeout=WAIT_MS)
    expect(page.locator(f"#{name}-start")).to_be_enabled(timeout=WAIT_MS)
    page.mouse.move(0, 0)


def save(picture: bytes, path: Path) -> None:
    """Save a PNG as a small WebP.

    Raises:
        ValueError: it is larger than `MAX_BYTES`.
    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.width > SHOWN_WIDTH:
        height = round(image.height * SHOWN_WIDTH / image.width)
        image = image.resize((SHOWN_WIDTH, height), Image.Resampling.LANCZOS)
    image.save(path, quality=QUALITY, method=6)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes; at most {MAX_BYTES} are kept in the "
            "repository. Lower QUALITY or SHOWN_WIDTH."
        )


def main() -> None:
    """Write the screenshots into docs/images."""
    page = build_app(load_service(parse_flags(["--model", "embedded", "--device", "cpu"])))
    _, address, _ = page.launch(**launch_options(Serving()), prevent_thread_lock=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for picture, tab, name, colours, shape in SHOTS:
            save(shoot(browser, address, tab, name, colours, shape), FOLDER / f"{picture}.webp")
        browser.close()
    page.close(verbose=False)


if __name__ == "__main__":
    main()
