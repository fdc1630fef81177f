"""Several browsers at one app: nothing crosses over, and who leaves or stops frees the device."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, expect

from demo import handlers
from demo.desk import Desk
from demo.line import Line
from demo.rate import RateLimit
from gligen.request import Request, Result
from gligen.sampling import Step
from tests.browser.drawing import drag
from tests.browser.waiting import until
from tests.demo.fake_service import SIDE, FakeService
from tests.demo.serving import served

pytestmark = pytest.mark.slow

ROUNDS = 20
PEOPLE = ("anna", "ben")


def colour_of(seed: int) -> tuple[int, int, int]:
    """Say who and which round a seed belongs to; far enough apart for a JPEG."""
    person, number = divmod(seed, 1000)
    return 20 + 200 * person, 10 + 12 * number, 100


class Painter(FakeService):
    """Paints everything, previews too, in the colour of the seed; notices two runs at a time."""

    def __init__(self, step_seconds: float):
        super().__init__(step_seconds=step_seconds)
        self.num_running = self.most_running = 0

    def stream(self, kind: str, request: Request) -> Iterator[Step | Result]:
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        try:
            with closing(super().stream(kind, request)) as items:
                for item in items:
                    if isinstance(item, Step):
                        item = replace(
                            item, predicted=torch.full_like(item.predicted, request.seed or 0)
                        )
                    yield item
        finally:
            self.num_running -= 1

    def preview(self, kind: str, step: Step) -> list[Image.Image]:
        seed = int(step.predicted.flatten()[0])
        return [Image.new("RGB", (SIDE, SIDE), colour_of(seed))]

    def _paint(self, request: Request) -> Image.Image:
        return Image.new("RGB", (SIDE, SIDE), colour_of(request.seed or 0))


# Keeps everything that the line under the buttons ever showed.
WATCH = """() => {
  window.seen = {previews: new Set(), messages: new Set()};
  const notice = document.querySelector("#generate-notice");
  const look = () => {
    const image = notice.querySelector(".preview img");
    if (image && image.src.startsWith("data:")) window.seen.previews.add(image.src);
    window.seen.messages.add(notice.querySelector(".message").textContent);
  };
  new MutationObserver(look).observe(
    notice, {subtree: true, childList: true, attributes: true, characterData: true});
}"""

PIXEL = """async (address) => {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  canvas.getContext("2d").drawImage(image, 0, 0, 1, 1);
  return [...canvas.getContext("2d").getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


def fill_number(page: Page, label: str, value: int) -> None:
    box = page.get_by_label(label).locator("visible=true")
    box.fill(str(value))
    box.press("Tab")


def prepare(page: Page, steps: int) -> None:
    fill_number(page, "number input for Steps", steps)
    page.get_by_label("fixed", exact=True).locator("visible=true").check()


def ask(page: Page, prompt: str, seed: int = 0) -> None:
    page.get_by_label("Prompt", exact=True).locator("visible=true").fill(prompt)
    fill_number(page, "Fixed seed", seed)
    page.locator("#generate-start").click()


def message(page: Page):
    return page.locator("#generate-notice .message")


@pytest.mark.slow  # more than a minute
def test_nothing_crosses_over_between_two_browsers(open_page, monkeypatch):
    monkeypatch.setattr(handlers, "REPORT_SECONDS", 0)
    monkeypatch.setattr(handlers, "PREVIEW_SECONDS", 0)
    service, desk = Painter(step_seconds=0.05), Desk()
    with served(service, desk=desk) as address:
        pages = [open_page(address) for _ in PEOPLE]
        for name, page in zip(PEOPLE, pages, strict=True):
            drag(page, "#generate-canvas", (0.1, 0.1), (0.6, 0.6))
            page.get_by_label("Name of box 1", exact=True).fill(f"{name}'s box")
            prepare(page, steps=5)
            page.evaluate(WATCH)
        for number in range(ROUNDS):
            # Each goes first in half of the rounds.
            order = list(enumerate(pages))[:: 1 if number % 2 else -1]
            # Both press before the device is free, however slow the machine.
            busy = desk.line.enter("somebody", replaces=True)
            assert desk.line.wait(busy, 0) is None
            for person, page in order:
                ask(page, f"{PEOPLE[person]}, round {number}", 1000 * person + number)
            until(lambda: desk.line.num_waiting == 2)
            desk.line.leave(busy)
            for person, page in order:
                check_result(page, PEOPLE[person], number, 1000 * person + number)
        for person, page in enumerate(pages):
            check_seen(page, person)
        assert service.most_running == 1
        assert len(service.requests) == 2 * ROUNDS


def check_result(page: Page, name: str, number: int, seed: int) -> None:
    expect(page.locator("#generate-results figcaption span")).to_have_text(f"Seed {seed}")
    expect(page.locator("#generate-start")).to_be_enabled()
    facts = page.locator("#generate-results .facts")
    expect(facts).to_contain_text(f"Prompt used: {name}, round {number}")
    expect(page.locator("#generate-results .frame span")).to_have_text(f"1 {name}'s box")
    for address in (
        page.locator("#generate-results figure img").get_attribute("src"),
        page.locator("#generate-results figcaption a").get_attribute("href"),
    ):
        assert page.evaluate(PIXEL, address) == list(colour_of(seed))
    # The settings are still those of this person.
    expect(page.get_by_label("Fixed seed").locator("visible=true")).to_have_value(str(seed))
    expect(page.get_by_label("Prompt", exact=True).locator("visible=true")).to_have_value(
        f"{name}, round {number}"
    )


def check_seen(page: Page, person: int) -> None:
    seen = page.evaluate("() => ({previews: [...seen.previews], messages: [...seen.messages]})")
    assert len(seen["previews"]) >= ROUNDS // 2
    for preview in seen["previews"]:
        red, _, _ = page.evaluate(PIXEL, preview)
        assert abs(red - colour_of(1000 * person)[0]) < 30
    known = r"|Waiting.*|Starting\.\.\.|Step \d of 5(, about .* left)?"
    assert all(re.fullmatch(known, text) for text in seen["messages"]), seen["messages"]
    assert any(text.startswith("Waiting: one run is before yours") for text in seen["messages"])


def test_stop_frees_the_device_within_one_step_for_who_waits(open_page, monkeypatch):
    service, desk = FakeService(step_seconds=0.1), Desk()
    steps_at_stop = []
    stop = desk.signals.stop
    monkeypatch.setattr(
        desk.signals, "stop", lambda key: (steps_at_stop.append(service.steps_done), stop(key))[1]
    )
    with served(service, desk=desk) as address:
        first, second = open_page(address), open_page(address)
        prepare(first, steps=250)
        prepare(second, steps=3)
        ask(first, "a long one")
        expect(message(first)).to_contain_text(re.compile(r"Step \d+ of 250"))
        ask(second, "a short one")
        expect(message(second)).to_contain_text("Waiting: one run is before yours")
        first.locator("#generate-stop").click()
        expect(message(first)).to_contain_text(re.compile(r"Stopped after step \d+ of 250"))
        stopped_at = int(re.search(r"step (\d+)", message(first).inner_text()).group(1))
        assert stopped_at <= steps_at_stop[0] + 1
        expect(first.locator("#generate-start")).to_be_enabled()
        expect(second.locator("#generate-results figure")).to_have_count(1)
        # Who waits can be stopped too, and takes nobody's turn.
        ask(first, "a long one")
        expect(message(first)).to_contain_text(re.compile(r"Step \d+ of 250"))
        ask(second, "a short one")
        expect(message(second)).to_contain_text("Waiting: one run is before yours")
        second.locator("#generate-stop").click()
        expect(message(second)).to_have_text("Stopped before it began.")
        assert len(service.requests) == 3
        first.locator("#generate-stop").click()


def test_closing_the_page_cancels_what_runs_and_what_waits(browser, open_page):
    service, desk = FakeService(step_seconds=0.1), Desk()
    with served(service, desk=desk) as address:
        first, second = open_page(address), open_page(address)
        for page, prompt in ((first, "a long one"), (second, "another")):
            prepare(page, steps=250)
            ask(page, prompt)
            expect(page.locator("#generate-stop")).to_be_enabled()
            until(lambda: desk.line.num_running)
        until(lambda: desk.line.num_waiting == 1)
        second.context.close()
        until(lambda: desk.line.num_waiting == 0)
        assert desk.line.num_running == 1
        first.context.close()
        until(lambda: desk.line.num_running == 0)
        assert service.was_closed_early
        assert service.steps_done < 250
        assert [request.prompt for _, request in service.requests] == ["a long one"]


def test_two_quick_clicks_make_one_picture(open_page):
    service = FakeService(step_seconds=0.05)
    with served(service) as address:
        page = open_page(address)
        prepare(page, steps=5)
        page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a sun")
        page.locator("#generate-start").dblclick()
        expect(page.locator("#generate-results figure")).to_have_count(1)
        expect(page.locator("#generate-start")).to_be_enabled()
        expect(page.locator("#generate-stop")).to_be_disabled()
        assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("desk", "words"),
    [
        (Desk(rate=RateLimit(1)), "asked for 1 in the last minute"),
        (Desk(line=Line(max_waiting=0)), "the line for the model is full"),
    ],
    ids=["rate", "line"],
)
def test_limits_are_said_beside_the_button(open_page, desk, words):
    desk.rate.count(["127.0.0.1"])
    place = desk.line.enter("somebody", replaces=True)
    desk.line.wait(place, 0)
    with served(FakeService(), desk=desk) as address:
        page = open_page(address)
        ask(page, "a sun")
        expect(message(page)).to_contain_text(words)
        expect(message(page)).to_contain_text("Try again in")
        expect(message(page)).to_have_attribute("data-tone", "bad")
        expect(page.locator("#generate-start")).to_be_enabled()
        expect(page.locator(".toast-body")).to_have_count(0)


@pytest.mark.parametrize("status", [503, 500])
def test_a_queue_that_fails_is_said_beside_the_button(open_page, status):
    with served(FakeService()) as address:
        page = open_page(address)

        def fail(route):
            if "/queue/join" in route.request.url and len(joined) == 1:
                route.fulfill(status=status, json={})
            else:
                route.continue_()

        joined = []
        page.route("**/queue/join*", fail)
        joined.append(1)
        ask(page, "a sun")
        expect(message(page)).to_contain_text("The picture was not made")
        expect(page.locator("#generate-start")).to_be_enabled()
        for toast in page.locator(".toast-body").all():
            assert toast.inner_text().strip() not in ("Error", "")
        # It works again as soon as the app answers.
        joined.clear()
        page.locator("#generate-start").click()
        expect(page.locator("#generate-results figure")).to_have_count(1)


def test_a_lost_connection_costs_no_drawing(open_page):
    with served(FakeService()) as address:
        page = open_page(address)
        drag(page, "#generate-canvas", (0.1, 0.1), (0.6, 0.6))
        page.get_by_label("Name of box 1", exact=True).fill("a comet")
        page.get_by_label("Prompt", exact=True).locator("visible=true").fill("a night")
        page.route("**/queue/join*", lambda route: route.abort())
        page.locator("#generate-start").click()
        # Gradio loads the page again as soon as the app answers.
        expect(page.locator("#generate-keeper .said")).to_contain_text("Restored")
        expect(page.get_by_label("Name of box 1", exact=True)).to_have_value("a comet")
        page.unroute("**/queue/join*")
        page.locator("#generate-start").click()
        expect(page.locator("#generate-results figure")).to_have_count(1)


def test_a_fault_inside_the_app_is_a_sentence(open_page):
    with served(FakeService(fails_at=2)) as address:
        page = open_page(address)
        ask(page, "a sun")
        expect(message(page)).to_contain_text("something went wrong inside the app")
        expect(page.locator(".toast-body")).to_have_count(0)
        expect(page.locator("#generate-start")).to_be_enabled()
