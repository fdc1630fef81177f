"""Measure the page in Chromium: a drag among thirty boxes, a name, and opening the page.

    python -m benchmarks.page_speed [--moves 120] [--names 20] [--openings 3]

Prints medians and maxima, and ends with an error where a limit is broken or a request leaves the
host. Script time is all script that one event causes: its handlers and the frame that follows.
These are times of a clock; the processor times below them do not grow where other work runs.
Needs `requirements-dev.txt` and Chromium (`CHROMIUM` names it; /usr/bin/chromium).
"""

import argparse
import json
import os
import statistics
import time

from playwright.sync_api import Browser, Page, sync_playwright

from gligen.layout import MAX_REGIONS
from tests.demo.fake_service import FakeService
from tests.demo.serving import served

CANVAS = "#generate-canvas"
WAIT_MS = 120_000
MAX_MOVE_MS = 20  # of script for each move
MAX_FIELD_MS = 100  # from the edit of a name to the field below the canvas
WORK = ("EventDispatch", "FireAnimationFrame", "UpdateLayoutTree", "Layout", "Paint")
MAX_OPEN_MS = 5000  # from navigation to a page that can be used, on two cores

# Thirty boxes by the page's own buttons, then a drag of the last one by events that are measured.
FILL = """(root) => {
  const add = [...root.querySelectorAll("button")].find((node) => node.dataset.action === "add");
  for (let count = 0; count < %d; count++) add.click();
}"""

# Handlers run inside dispatchEvent. What they put off runs in the next frame: callbacks are
# wrapped, so that their time is known. Reading the place of the box afterwards makes the browser
# lay the page out. A step is longer than snapping reaches to both sides, so each one is visible.
MOVES = """async ([root, count]) => {
  const stage = root.querySelector(".stage");
  const box = root.querySelector(".box.selected");
  const area = stage.getBoundingClientRect();
  let inFrames = 0;
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (run) => ask.call(window, (now) => {
    const start = performance.now();
    run(now);
    inFrames += performance.now() - start;
  });
  stage.setPointerCapture = () => {};
  const send = (kind, x, y, target = stage) => target.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, cancelable: true, pointerId: 1, pointerType: "mouse", isPrimary: true,
    button: 0, clientX: x, clientY: y,
  }));
  const frame = () => new Promise((done) => ask.call(window, done));
  const start = box.getBoundingClientRect();
  const [x, y] = [start.left + start.width / 2, start.top + start.height / 2];
  const scripts = [], layouts = [], seen = [];
  send("pointerdown", x, y, box);
  for (let index = 1; index <= count; index++) {
    const before = box.style.left + box.style.top;
    const [toX, toY] = [x + (index % 14) * 15, y + (index % 12) * 17];
    inFrames = 0;
    const begin = performance.now();
    send("pointermove", toX, toY);
    const handlers = performance.now() - begin;
    await frame();
    seen.push(box.style.left + box.style.top !== before);
    const laidOut = performance.now();
    box.getBoundingClientRect();
    layouts.push(performance.now() - laidOut);
    scripts.push(handlers + inFrames);
  }
  const ending = performance.now();
  send("pointerup", x, y);
  await frame();
  const end = performance.now() - ending;
  window.requestAnimationFrame = ask;
  return { scripts, layouts, end, seen: seen.filter(Boolean).length };
}"""

# Until the frame that shows the name in the field; what Gradio does with the new value is in it.
NAMES = """async ([root, count]) => {
  const label = root.querySelector(".row input[type=text]");
  const field = root.querySelector(".instruction");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  label.focus();
  const times = [];
  for (let index = 0; index < count; index++) {
    await frame();
    const start = performance.now();
    label.value = "thing " + index;
    label.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await frame();
    field.getBoundingClientRect();
    if (!field.value.startsWith("thing " + index)) throw new Error("The field says " + field.value);
    times.push(performance.now() - start);
  }
  return times;
}"""


def open_page(browser: Browser, address: str) -> tuple[Page, float, list[str]]:
    """Open the page; return it, the milliseconds until it could be used, and what it asked for."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(WAIT_MS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    # A click that is answered is what a person calls usable.
    page.wait_for_selector(f"{CANVAS} [data-action=add]")
    page.locator(f"{CANVAS} [data-action=add]").click()
    page.wait_for_selector(f"{CANVAS} .box")
    return page, 1000 * (time.perf_counter() - start), asked


def processor_times(browser: Browser, page: Page, script: str, root, count: int):
    """Run a script; return its answer, and milliseconds of the processor for each kind of work."""
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    answer = page.evaluate(script, [root, count])
    times: dict[str, list[float]] = {}
    for event in json.loads(browser.stop_tracing())["traceEvents"]:
        if event.get("name") in WORK and "tdur" in event:
            times.setdefault(event["name"], []).append(event["tdur"] / 1000)
    return answer, times


def report(name: str, times: list[float], limit: float) -> bool:
    """Print a line and return whether the limit holds for the largest time."""
    is_kept = max(times) <= limit
    print(
        f"{name}: median {statistics.median(times):.1f} ms, maximum {max(times):.1f} ms of "
        f"{len(times)} (limit {limit:g} ms){'' if is_kept else '  BROKEN'}"
    )
    return is_kept


def main() -> None:
    """Measure, print, and end with an error where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=120)
    parser.add_argument("--names", type=int, default=20)
    parser.add_argument("--openings", type=int, default=3)
    args = parser.parse_args()
    executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with served(FakeService()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        openings, asked = [], []
        for _ in range(args.openings):
            page, milliseconds, urls = open_page(browser, address)
            openings.append(milliseconds)
            asked += urls
        root = page.locator(CANVAS).element_handle()
        page.evaluate(FILL % (MAX_REGIONS - 1), root)
        names = page.evaluate(NAMES, [root, args.names])
        moves, work = processor_times(browser, page, MOVES, root, args.moves)
        browser.close()
    strangers = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    kept = [
        report(f"Script for a move among {MAX_REGIONS} boxes", moves["scripts"], MAX_MOVE_MS),
        report("Layout after a move", moves["layouts"], MAX_MOVE_MS),
        report("End of the drag", [moves["end"]], MAX_FIELD_MS),
        report("From a name to the field", names, MAX_FIELD_MS),
        report("From navigation to a first box", openings, MAX_OPEN_MS),
    ]
    for name, times in work.items():
        print(
            f"Processor time in the drag, {name}: median {statistics.median(times):.2f} ms, "
            f"maximum {max(times):.2f} ms"
        )
    print(f"Moves that were visible in the next frame: {moves['seen']} of {args.moves}")
    print(f"Requests: {len(asked)}, to other hosts: {len(strangers)} {strangers or ''}")
    if strangers or not all(kept) or moves["seen"] < args.moves:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
