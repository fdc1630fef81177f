"""A job from its turn to its log line, and what the log line may say."""

import json
import logging
import threading
import time

import pytest

from demo import log
from demo.components.canvas import Drawing
from demo.desk import Desk
from demo.handlers import Asked, Options, Running, Stopped
from demo.jobs import Caller, Made, Replaced, work
from demo.line import Line, TurnedAway, Waiting
from demo.rate import RateLimit
from demo.service import GENERATION, ModelCard
from demo.session import StopSignal
from gligen.layout import Layout
from tests.demo.fake_service import FakeService

SECRET = "my secret garden"
DRAWING = Drawing(Layout.from_lists([SECRET], [(0, 0, 0.5, 0.5)]))


def asked(steps: int = 4, **options) -> Asked:
    return Asked(GENERATION, Options(SECRET, num_inference_steps=steps, **options), DRAWING)


@pytest.fixture
def lines():
    """Log lines as objects: [with what people wrote, without]."""
    written: list[list[str]] = [[], []]

    class Keep(logging.Handler):
        def emit(self, record):
            for kept, with_private in zip(written, (True, False), strict=True):
                kept.append(log.JsonLines(with_private).format(record))

    handler = Keep()
    logging.getLogger().addHandler(handler)
    log.logger.setLevel(logging.INFO)
    yield written
    logging.getLogger().removeHandler(handler)


def last(lines) -> dict:
    assert SECRET not in "".join(lines[1])
    return json.loads(lines[1][-1])


def test_a_finished_job_is_one_line_without_what_was_written(lines):
    events = list(work(Desk(), FakeService(), Caller("me", StopSignal()), asked))
    assert isinstance(events[-1], Made)
    line = last(lines)
    assert len(lines[1]) == 1
    assert (
        line.items()
        >= {
            "event": "job",
            "level": "info",
            "outcome": "finished",
            "kind": GENERATION,
            "steps": 4,
            "steps_done": 4,
            "images": 1,
            "regions": 1,
            "width": 64,
            "height": 64,
            "queue": 0,
        }.items()
    )
    assert line["seconds"] >= 0
    assert line["time"].endswith("+00:00")
    told = json.loads(lines[0][-1])
    assert (told["prompt"], told["labels"]) == (SECRET, [SECRET])


def test_a_stop_is_heard_within_one_step(lines):
    desk, service, signal = Desk(), FakeService(), StopSignal()
    for event in work(desk, service, Caller("me", signal), lambda: asked(50)):
        if isinstance(event, Running):
            signal.stop("stopped")
            steps = service.steps_done
    assert isinstance(event, Stopped)
    assert service.steps_done <= steps + 1
    assert service.was_closed_early
    assert last(lines).items() >= {"outcome": "stopped", "steps_done": event.step}.items()
    assert desk.line.num_running == 0


def test_a_job_that_is_left_frees_the_device(lines):
    desk, service = Desk(), FakeService()
    events = work(desk, service, Caller("me", StopSignal()), lambda: asked(50))
    assert next(events) == Running(0, 50, None)
    next(events)
    assert desk.line.num_running == 1
    events.close()
    assert service.was_closed_early
    assert (desk.line.num_running, desk.line.num_waiting) == (0, 0)
    assert last(lines)["outcome"] == "left"


def test_those_who_wait_hear_where_they_are_and_may_be_stopped(lines):
    desk, signal = Desk(), StopSignal()
    busy = desk.line.enter("you", replaces=True)
    desk.line.wait(busy, 0)
    service = FakeService()
    events = work(desk, service, Caller("me", signal), asked)
    assert next(events) == Waiting(1, None)
    signal.stop("stopped")
    assert next(events) == Stopped(0, 4)
    assert list(events) == []
    assert not service.requests
    assert desk.line.num_waiting == 0
    assert last(lines)["outcome"] == "stopped"


def test_the_first_of_two_that_wait_is_told(lines):
    desk = Desk()
    busy = desk.line.enter("you", replaces=True)
    desk.line.wait(busy, 0)
    first = work(desk, FakeService(), Caller("me", StopSignal()), asked)
    next(first)
    second = work(desk, FakeService(), Caller("me", StopSignal()), asked)
    next(second)
    with pytest.raises(Replaced):
        next(first)
    assert last(lines)["outcome"] == "replaced"
    desk.line.leave(busy)
    assert isinstance(list(second)[-1], Made)


@pytest.mark.parametrize(
    ("desk", "outcome"),
    [
        (Desk(rate=RateLimit(1)), "limited"),
        (Desk(line=Line(max_waiting=0)), "full"),
    ],
)
def test_limits_refuse_before_anything_is_computed(lines, desk, outcome):
    desk.rate.count(["session me"])
    place = desk.line.enter("you", replaces=True)
    desk.line.wait(place, 0)
    service = FakeService()
    with pytest.raises(TurnedAway, match="Try again"):
        next(work(desk, service, Caller("me", StopSignal()), asked))
    assert not service.requests
    assert last(lines)["outcome"] == outcome


def test_the_address_has_a_limit_of_its_own():
    desk = Desk(rate=RateLimit(1))
    list(work(desk, FakeService(), Caller("me", StopSignal("10.0.0.9")), asked))
    with pytest.raises(TurnedAway):
        list(work(desk, FakeService(), Caller("other", StopSignal("10.0.0.9")), asked))
    list(work(desk, FakeService(), Caller("third", StopSignal("10.0.0.8")), asked))


def test_a_refusal_quotes_nobody_unless_asked(lines):
    def read() -> Asked:
        raise ValueError(f"The name of box 1 is {SECRET!r}.")

    with pytest.raises(ValueError, match=SECRET):
        next(work(Desk(), FakeService(), Caller("me", StopSignal()), read))
    assert last(lines)["outcome"] == "refused"
    assert SECRET in json.loads(lines[0][-1])["refusal"]


def test_a_fault_is_logged_with_its_traceback_and_frees_the_device(lines):
    desk = Desk()
    service = FakeService(fails_at=2)
    with pytest.raises(RuntimeError):
        list(work(desk, service, Caller("me", StopSignal()), asked))
    line = last(lines)
    assert (line["outcome"], line["level"]) == ("failed", "error")
    assert "the device is on fire" in line["traceback"]
    assert desk.line.num_running == 0


def test_messages_of_libraries_do_not_fill_their_gaps_with_prompts(lines):
    logging.getLogger("some.library").warning("This was cut off: %r.", SECRET)
    assert last(lines)["message"] == "This was cut off: %r."
    assert SECRET in json.loads(lines[0][-1])["message"]
    try:
        raise KeyError(SECRET)
    except KeyError:
        logging.getLogger("some.library").exception("A fault.")
    assert last(lines)["traceback"].endswith("KeyError")


def test_a_line_is_one_line_whatever_is_in_it(lines):
    log.say("job", {}, {"prompt": "a\nb\u2028c\u202ed\x1b[2J"})
    assert lines[0][-1].isprintable()
    assert lines[0][-1].isascii()


@pytest.mark.parametrize(
    ("seconds", "steps", "last_event"), [(60, 8, Made), (0, 1000, Stopped)], ids=["grace", "none"]
)
def test_closing_waits_for_the_picture_at_work_or_stops_it(seconds, steps, last_event):
    desk, service = Desk(), FakeService(step_seconds=0.02)
    desk.signals.enter("me/generate")
    caller = Caller("me", desk.signals.signal("me/generate"))
    events: list = []
    job = threading.Thread(
        target=lambda: events.extend(work(desk, service, caller, lambda: asked(steps)))
    )
    job.start()
    while not service.steps_done:
        time.sleep(0.001)
    assert desk.close(seconds) is (last_event is Made)
    job.join(60)
    assert isinstance(events[-1], last_event)
    assert not desk.line.num_running


def test_a_card_is_needed_for_the_kind():
    service = FakeService()
    service.card = ModelCard("fake", "", "cpu")
    with pytest.raises(ValueError, match="is not loaded"):
        next(work(Desk(), service, Caller("me", StopSignal()), asked))
