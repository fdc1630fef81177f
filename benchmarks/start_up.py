"""Measure how long the command line takes to answer, and the page to be served.

    python -m benchmarks.start_up [--repeats 5]

Every measurement is a fresh process. `--help` is measured to its end; the page from the start of
`python app.py` to its first answer, by when the embedded model is loaded. Seconds of the clock grow
where other work runs, seconds of the processor hardly.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
MOST_SECONDS = {"python -m gligen --help": 1.0, "python app.py, to the page": 6.0}
WAIT_SECONDS = 120
LOOK_SECONDS = 0.02


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    for (name, most), measure in zip(MOST_SECONDS.items(), (time_help, time_page), strict=True):
        measure()  # files of the libraries come into the system's memory
        found = [measure() for _ in range(args.repeats)]
        clock, processor = zip(*found, strict=True)
        print(
            f"{name}: median {statistics.median(clock):.2f} s of the clock "
            f"({min(clock):.2f}-{max(clock):.2f}), {statistics.median(processor):.2f} s of the "
            f"processor; asked: at most {most:g} s",
            flush=True,
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


def time_page() -> tuple[float, float]:
    """Return the seconds until the page answers, of the clock and of all the processor did for it.

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
            seconds = time.perf_counter() - started
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait()
    after = os.times()
    processor = after.children_user + after.children_system
    return seconds, processor - before.children_user - before.children_system


def wait_for(address: str, app: subprocess.Popen) -> None:
    """Return as soon as an address answers."""
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
