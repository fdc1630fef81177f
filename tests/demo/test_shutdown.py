"""The app is told to end: what runs is finished or stopped, and nothing is left half-written."""

import os
import signal
import socket
import threading
import time

import pytest
from PIL import Image

import app
from demo.flags import parse_flags
from tests.demo.fake_service import FakeService
from tests.demo.site import Site

WAIT_SECONDS = 300


def until(is_so) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.2)  # each look costs the app some time too


def answers(site: Site) -> bool:
    try:
        return site.ask("GET", "/healthz").status == 200
    except OSError:
        return False


class Told:
    """Runs the app on this thread, and on another what people do before it is told to end."""

    def __init__(self, service: FakeService, steps: int, *arguments: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.service, self.steps = service, steps
        self.site = Site(f"http://127.0.0.1:{port}/")
        self.heard: dict[str, tuple] = {}
        line = ["--server-port", str(port), "--share", "False", *arguments]
        self.flags = parse_flags(line)

    def run(self, number: int) -> int:
        """Serve, let two people ask, send the signal, and return the exit status."""
        acting = threading.Thread(target=self._act, args=(number,))
        acting.start()
        status = app.serve(self.service, self.flags)
        acting.join(WAIT_SECONDS)
        return status

    def _act(self, number: int) -> None:
        try:
            until(lambda: answers(self.site))
            callers = [threading.Thread(target=self._ask, args=(name,)) for name in ("one", "two")]
            callers[0].start()
            until(lambda: self.service.steps_done)
            callers[1].start()
            until(lambda: b'"queue": 1' in self.site.ask("GET", "/healthz").body)
        finally:
            os.kill(os.getpid(), number)
        for caller in callers:
            caller.join(WAIT_SECONDS)

    def _ask(self, name: str) -> None:
        options = {"num_inference_steps": self.steps}
        self.heard[name] = self.site.call("generate", f"a sun {name}", [], options, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_picture_at_work_is_finished_and_who_waits_is_told(number, tmp_path):
    before = signal.getsignal(number)
    service = FakeService(step_seconds=0.02)
    told = Told(service, 200, "--grace", "600", "--output-folder", str(tmp_path))
    assert told.run(number) == 0
    assert told.heard["one"][0] == "complete"
    event, said = told.heard["two"]
    assert event == "error"
    assert "being shut down" in said["error"]
    assert len(service.requests) == 1
    assert signal.getsignal(number) is before
    # Everything in the folder is a whole picture.
    files = list(tmp_path.iterdir())
    assert files
    for file in files:
        with Image.open(file) as picture:
            picture.load()


def test_what_takes_too_long_is_stopped_within_a_step(tmp_path):
    service = FakeService(step_seconds=0.02)
    told = Told(service, 1000, "--grace", "0", "--output-folder", str(tmp_path))
    assert told.run(signal.SIGTERM) == 0
    event, said = told.heard["one"]
    assert event == "error"
    assert "being shut down" in said["error"]
    assert service.was_closed_early
    assert service.steps_done < 1000
    assert list(tmp_path.iterdir()) == []


def test_without_anybody_it_ends_at_once_and_says_where_it_was(capsys):
    told = Told(FakeService(), 1)
    told._act = lambda number: (
        until(lambda: answers(told.site)),
        os.kill(os.getpid(), number),
    )
    assert told.run(signal.SIGTERM) == 0
    assert f"The page is at http://{told.site.host}/" in capsys.readouterr().out
