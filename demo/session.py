"""Which runs wait or go on, so that the Stop button of one page stops the run of that page only."""

import threading


class StopSignals:
    """One stop signal for each run, found by the page and tab that asked for it.

    Keys are the page, a slash and the tab.
    """

    def __init__(self):
        self._signals: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def enter(self, key: str) -> int:
        """Register a run that waits for its turn; return how many are before it.

        A run with the same key that still goes on is stopped.
        """
        with self._lock:
            previous = self._signals.pop(key, None)
            ahead = len(self._signals)
            self._signals[key] = threading.Event()
        if previous is not None:
            previous.set()
        return ahead

    def signal(self, key: str) -> threading.Event:
        """Return the signal of a run, registered now if it did not wait."""
        with self._lock:
            return self._signals.setdefault(key, threading.Event())

    def stop(self, key: str) -> bool:
        """Ask a run to stop; return whether there was one."""
        with self._lock:
            signal = self._signals.get(key)
        if signal is not None:
            signal.set()
        return signal is not None

    def leave(self, page: str) -> None:
        """Stop and forget every run of a page that went away."""
        with self._lock:
            keys = [key for key in self._signals if key.startswith(f"{page}/")]
            signals = [self._signals.pop(key) for key in keys]
        for signal in signals:
            signal.set()

    def finish(self, key: str, signal: threading.Event | None = None) -> None:
        """Forget a run that is over, unless a newer one has taken its place."""
        with self._lock:
            if signal is None or self._signals.get(key) is signal:
                self._signals.pop(key, None)
