"""Ending well: on SIGTERM or Ctrl-C the picture at work is finished, or stopped within a step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from demo import log
from demo.desk import Desk

STEP_SECONDS = 60.0  # the longest that one step is waited for
FAREWELL_SECONDS = 0.5  # in which pages hear how their runs ended
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ending_asked() -> Iterator[threading.Event]:
    """Give an event that is set when the process is told to end.

    Told a second time, the process ends at once, as without this.
    """
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: FrameType | None) -> None:
        restore()
        asked.set()

    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


def end(desk: Desk, grace: float) -> None:
    """Turn away who waits and who comes, and return when nothing runs any more.

    Args:
        desk: of the app.
        grace: seconds that the picture at work may still take before it is stopped.
    """
    was_busy = bool(desk.line.num_running)
    is_finished = desk.close(grace)
    if not is_finished:
        desk.line.wait_until_idle(STEP_SECONDS)
    log.say("end", {"was_busy": was_busy, "was_finished": is_finished})
    if was_busy:
        time.sleep(FAREWELL_SECONDS)
