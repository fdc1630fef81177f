"""Several people on the device at once: nothing of one gets to another."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from demo.components.canvas import Drawing
from demo.desk import Desk
from demo.handlers import Asked, Options, Running, Stopped
from demo.jobs import Caller, Made, work
from demo.line import Line, Waiting
from demo.service import GENERATION, LocalService, ModelCard
from demo.session import StopSignal
from gligen.layout import Layout
from tests.conftest import small_pipeline
from tests.demo.fake_service import FakeService

DRAWING = Drawing(Layout.from_lists(["a dog"], [(0, 0, 0.5, 0.5)]))


def asked(prompt: str = "x", steps: int = 4, **options) -> Asked:
    return Asked(GENERATION, Options(prompt, num_inference_steps=steps, **options), DRAWING)


def desk_with(max_batch: int = 4) -> Desk:
    return Desk(line=Line(max_batch=max_batch))


def busy(desk: Desk):
    """Take the device, so that others gather in the line."""
    place = desk.line.enter("busy", replaces=True)
    assert desk.line.wait(place, 0) is None
    return place


def job(desk, service, name: str, signal: StopSignal | None = None, **options):
    caller = Caller(name, signal or StopSignal())
    return work(desk, service, caller, lambda: asked(**options))


def gathered(desk: Desk, service, *jobs: dict):
    """Return jobs that wait in the line, in this order, and free the device."""
    first = busy(desk)
    waiting = [job(desk, service, name=f"person {i}", **options) for i, options in enumerate(jobs)]
    for number, events in enumerate(waiting):
        assert isinstance(next(events), Waiting), number
    desk.line.leave(first)
    return waiting


def test_those_who_wait_are_painted_together_and_get_their_own():
    desk, service = desk_with(), FakeService(shares=True)
    jobs = gathered(desk, service, *({"prompt": f"p{i}", "seed": 10 * i} for i in range(3)))
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda events: list(events)[-1], jobs))
    assert [[r.prompt for r in batch] for batch in service.batches] == [["p0", "p1", "p2"]]
    for number, end in enumerate(ends):
        assert isinstance(end, Made)
        assert end.result.prompt == end.asked.options.prompt == f"p{number}"
        assert end.result.seeds == [10 * number]
    assert (desk.line.num_running, desk.line.num_waiting) == (0, 0)


def test_one_thread_after_another_will_do():
    """Whoever asks for news moves the work on; nobody depends on another's thread."""
    desk, service = desk_with(), FakeService(shares=True)
    first, second = gathered(desk, service, {"prompt": "a"}, {"prompt": "b"})
    assert isinstance(next(first), Running)
    assert isinstance(list(second)[-1], Made)
    assert desk.line.num_running == 1  # the first has not fetched its picture
    assert list(first)[-1].result.prompt == "a"
    assert desk.line.num_running == 0


def test_the_others_go_on_when_the_first_stops():
    desk, service, signal = desk_with(), FakeService(shares=True), StopSignal()
    first, second = gathered(
        desk, service, {"steps": 50, "signal": signal}, {"steps": 50, "prompt": "b"}
    )
    next(first), next(second)
    next(first)
    signal.stop("stopped")
    assert isinstance(list(first)[-1], Stopped)
    assert desk.line.num_running == 1
    end = list(second)[-1]
    assert isinstance(end, Made)
    assert end.result.prompt == "b"
    assert desk.line.num_running == 0


def test_the_last_to_leave_ends_the_work():
    desk, service = desk_with(), FakeService(shares=True)
    jobs = gathered(desk, service, {"steps": 50}, {"steps": 50})
    for events in jobs:
        next(events), next(events)
    jobs[0].close()
    assert not service.was_closed_early
    jobs[1].close()
    assert service.was_closed_early
    assert desk.line.num_running == 0


def test_who_stops_before_looking_at_the_turn_is_not_waited_for():
    desk, service, signal = desk_with(), FakeService(shares=True), StopSignal()
    first, second = gathered(desk, service, {}, {"signal": signal})
    next(first)
    signal.stop("stopped")
    assert isinstance(list(second)[-1], Stopped)
    assert isinstance(list(first)[-1], Made)
    assert desk.line.num_running == 0


def test_a_request_that_fails_does_not_touch_the_others():
    desk, service = desk_with(), FakeService(shares=True)
    jobs = gathered(desk, service, {"prompt": "a"}, {"prompt": "fail"}, {"prompt": "c"})
    for events in jobs:
        next(events)
    with pytest.raises(ValueError, match="cannot be painted"):
        list(jobs[1])
    assert list(jobs[0])[-1].result.prompt == "a"
    assert list(jobs[2])[-1].result.prompt == "c"
    assert desk.line.num_running == 0


def test_a_stop_in_a_batch_is_heard_within_one_step():
    desk, service, signal = desk_with(), FakeService(shares=True, step_seconds=0.2), StopSignal()
    first, second = gathered(
        desk, service, {"steps": 100, "signal": signal}, {"steps": 100, "prompt": "b"}
    )
    other = threading.Thread(target=lambda: list(second), daemon=True)
    next(first)
    other.start()
    next(first)
    signal.stop("stopped")
    began = time.monotonic()
    assert isinstance(list(first)[-1], Stopped)
    assert time.monotonic() - began < 10 * service.step_seconds  # a step of a batch of two is 0.4 s
    assert desk.line.num_running == 1  # the other goes on


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


def test_two_users_of_a_real_model(pipeline, monkeypatch):
    """Pictures, previews, seeds and settings are each person's own, as if they were alone."""
    monkeypatch.setattr("demo.handlers.PREVIEW_SECONDS", 0)
    monkeypatch.setattr("demo.handlers.REPORT_SECONDS", 0)
    service = LocalService(
        {GENERATION: pipeline}, ModelCard("small", "", "cpu", {GENERATION: (64, 64)})
    )
    people = (
        {"prompt": "a dog", "seed": 5, "guidance_scale": 4.0, "num_images": 2},
        {"prompt": "a cat at night", "negative_prompt": "a sun", "seed": 90},
    )
    alone = [list(job(Desk(), service, "x", **person)) for person in people]
    batches = []
    start = service.stream_together
    monkeypatch.setattr(
        service, "stream_together", lambda *args: batches.append(args) or start(*args)
    )
    jobs = gathered(desk_with(), service, *people)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(list, jobs))
    assert [len(requests) for _, requests in batches] == [2]
    for events, expected in zip(found, alone, strict=True):
        result, reference = events[-1].result, expected[-1].result
        assert replace(result.request, seed=None) == replace(reference.request, seed=None)
        assert (result.seeds, result.prompt) == (reference.seeds, reference.prompt)
        assert distance(result.images, reference.images) <= 1
        previews = {e.step: e.preview for e in expected if isinstance(e, Running) and e.preview}
        seen = {e.step: e.preview for e in events if isinstance(e, Running) and e.preview}
        assert seen
        for step, preview in seen.items():
            assert distance([preview], [previews[step]]) <= 1
    images = [events[-1].result.images[0] for events in found]
    assert distance(images[:1], images[1:]) > 20


def distance(images, others) -> int:
    """Return the largest difference of any two pixels."""
    assert len(images) == len(others)
    pairs = [
        pair
        for image, other in zip(images, others, strict=True)
        for pair in zip(image.tobytes(), other.tobytes(), strict=True)
    ]
    return max(abs(a - b) for a, b in pairs)


def test_the_log_says_how_many_were_painted_together(caplog):
    desk, service = desk_with(), FakeService(shares=True)
    with caplog.at_level("INFO", logger="demo"):
        for events in gathered(desk, service, {}, {}):
            next(events)
            list(events)
    assert [record.facts["together"] for record in caplog.records] == [2, 2]
