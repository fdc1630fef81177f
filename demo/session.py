"""Which runs wait or go on, so that the Stop button of one page stops the run of that page only."""

import threading
from typing import Literal

Reason = Literal["", "stopped", "replaced", "left", "closing"]


class StopSignal(threading.Event):
    """Set when a run is to stop, with the reason why."""

    def __init__(self, address: str = ""):
        super().__init__()
        self.address = address  # network address of who asked for the run
        self.reason: Reason = ""

    def stop(self, reason: Reason) -> None:
        """Ask the run to stop; the first reason is kept."""
        self.reason = self.reason or reason
        self.set()


class StopSignals:
    """One stop signal for each run, found by the page and tab that asked for it.

    Keys are the page, a slash and the tab.
    """

    def __init__(self):
        self._signals: dict[str, StopSignal] = {}
        self._lock = threading.Lock()

    def enter(self, key: str, address: str = "") -> None:
        """Register a run that was asked for; one with the same key that still goes on is stopped.

        Args:
            key: the page and the tab.
            address: network address of who asks.
        """
        with self._lock:
            previous = self._signals.pop(key, None)
            self._signals[key] = StopSignal(address)
        if previous is not None:
            previous.stop("replaced")

    def signal(self, key: str) -> StopSignal:
        """Return the signal of a run, registered now if it was not before."""
        with self._lock:
            return self._signals.setdefault(key, StopSignal())

    def stop(self, key: str) -> bool:
        """Ask a run to stop; return whether there was one."""
        with self._lock:
            signal = self._signals.get(key)
        if signal is not None:
            signal.stop("stopped")
        return signal is not None

    def leave(self, page: str) -> None:
        """Stop and forget every run of a page that went away."""
        with self._lock:
            keys = [key for key in self._signals if key.startswith(f"{page}/")]
            signals = [self._signals.pop(key) for key in keys]
        for signal in signals:
            signal.stop("left")

    def stop_all(self) -> None:
        """Stop every run, because the app ends."""
        with self._lock:
            signals = list(self._signals.values())
        for signal in signals:
            signal.stop("closing")

    def finish(self, key: str, signal: threading.Event | None = None) -> None:
        """Forget a run that is over, unless a newer one has taken its place."""
        with self._lock:
            if signal is None or self._signals.get(key) is signal:
                self._signals.pop(key, None)
