"""Measure how long the command line takes to answer, the page to be served, the model to be there.

    python -m benchmarks.start_up [--repeats 5]

Every measurement is a fresh process. `--help` is measured to its end; the page from the start of
`python app.py` to its first answer, and to the moment when the embedded model is loaded. Seconds of
the clock grow where other work runs, seconds of the processor hardly.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
HELP_SECONDS, PAGE_SECONDS, MODEL_SECONDS = 1.0, 6.0, 3.0  # at most
WAIT_SECONDS = 120
LOOK_SECONDS = 0.02


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    time_help()  # files of the libraries come into the system's memory
    clock, processor = zip(*(time_help() for _ in range(args.repeats)), strict=True)
    show("python -m gligen --help", clock, HELP_SECONDS)
    show("  of the processor", processor)
    time_page()
    page, model, processor = zip(*(time_page() for _ in range(args.repeats)), strict=True)
    show("python app.py, to the page", page, PAGE_SECONDS)
    show("  from there to the model", model, MODEL_SECONDS)
    show("  of the processor, both", processor)


def show(what: str, seconds: Sequence[float], most: float | None = None) -> None:
    """Print the median and the range, and what is asked for."""
    asked = "" if most is None else f"; asked: at most {most:g} s"
    median = statistics.median(seconds)
    print(
        f"{what}: median {median:.2f} s ({min(seconds):.2f}-{max(seconds):.2f}){asked}", flush=True
    )


def time_help() -> tuple[float, float]:
    """Return seconds of the clock and of the processor until `--help` has ended."""
    started, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "gligen", "--help"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    after = os.times()
    processor = after.children_user + after.children_system
    processor -= before.children_user + before.children_system
    return time.perf_counter() - started, processor


def time_page() -> tuple[float, float, float]:
    """Return seconds to the page, from there to the model, and of the processor for all of it.

    Raises:
        RuntimeError: it does not come up.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started, before = time.perf_counter(), os.times()
    command = [sys.executable, "app.py", "--model", "embedded", "--server-port", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as app:
        try:
            wait_for(f"http://127.0.0.1:{port}/", app)
            page = time.perf_counter() - started
            wait_for(f"http://127.0.0.1:{port}/healthz", app)
            model = time.perf_counter() - started - page
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait()
    after = os.times()
    processor = after.children_user + after.children_system
    return page, model, processor - before.children_user - before.children_system


def wait_for(address: str, app: subprocess.Popen) -> None:
    """Return as soon as an address answers with success."""
    deadline = time.perf_counter() + WAIT_SECONDS
    while time.perf_counter() < deadline and app.poll() is None:
        try:
            with urlopen(address) as answer:
                answer.read()
                return
        except (URLError, ConnectionError):
            time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"{address} did not answer; see what `python app.py` says.")


if __name__ == "__main__":
    main()
