"""Waiting for what happens on the server, in the time that a slow machine needs."""

import time
from collections.abc import Callable

WAIT_SECONDS = 120


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so; fail if it does not become so."""
    end = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.02)
