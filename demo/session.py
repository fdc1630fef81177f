"""Which runs are going on, so that the Stop button of one page stops the run of that page only."""

import threading


class StopSignals:
    """One stop signal for each running picture, found by the page that started it."""

    def __init__(self):
        self._signals: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def start(self, key: str) -> threading.Event:
        """Begin a run and return its signal; an older run with the same key is stopped."""
        signal = threading.Event()
        with self._lock:
            previous = self._signals.pop(key, None)
            self._signals[key] = signal
        if previous is not None:
            previous.set()
        return signal

    def stop(self, key: str) -> bool:
        """Ask the run to stop; return whether there was one."""
        with self._lock:
            signal = self._signals.get(key)
        if signal is not None:
            signal.set()
        return signal is not None

    def stop_page(self, page: str) -> None:
        """Stop every run of a page that went away; keys are `page` + "/" + tab."""
        with self._lock:
            signals = [s for key, s in self._signals.items() if key.startswith(f"{page}/")]
        for signal in signals:
            signal.set()

    def finish(self, key: str, signal: threading.Event) -> None:
        """Forget a run that is over, unless a newer one has taken its place."""
        with self._lock:
            if self._signals.get(key) is signal:
                del self._signals[key]
