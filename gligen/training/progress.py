"""The folder of a run: its state, which is always whole, and its log, which never runs ahead."""

import json
import os
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image


class RunFolder:
    """Where a run keeps its state, log, samples and adapter.

    Args:
        path: made where it does not exist.
        settings: what decides the outcome; a folder begun with others is refused.
        is_main: whether this process writes; the others only read.

    Raises:
        ValueError: the folder holds a run with other settings.
    """

    def __init__(self, path: Path, settings: dict[str, Any], is_main: bool = True):
        self.path = path
        self.is_main = is_main
        self._state = path / "state.pt"
        self._log = path / "log.jsonl"
        self._settings = path / "settings.yaml"
        if is_main:
            path.mkdir(parents=True, exist_ok=True)
            self._check(settings)
            _write(self._settings, yaml.safe_dump(settings, sort_keys=False).encode())

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the last state, None for a new run; log lines after it are dropped."""
        if not self._state.exists():
            return None
        state = torch.load(self._state, map_location=device, weights_only=True)
        if self.is_main:
            self._cut_log(state["step"])
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write the state whole or not at all."""
        partial = self._state.with_suffix(".partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self._state)

    def log(self, step: int, **figures: float) -> dict[str, float]:
        """Append a line to the log, and return it."""
        line = {"step": step, **{key: float(f"{value:.6g}") for key, value in figures.items()}}
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line

    def save_picture(self, picture: Image.Image, step: int) -> None:
        """Write a sheet of samples."""
        folder = self.path / "samples"
        folder.mkdir(exist_ok=True)
        partial = folder / f"step_{step:07d}.partial"
        picture.save(partial, "PNG")
        partial.replace(folder / f"step_{step:07d}.png")

    def read_log(self) -> list[dict[str, float]]:
        """Return the lines of the log; a half-written one, of a killed run, is left out."""
        lines = []
        for text in (
            self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else ()
        ):
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue
        return lines

    def _cut_log(self, step: int) -> None:
        kept = [line for line in self.read_log() if line["step"] <= step]
        _write(self._log, "".join(json.dumps(line) + "\n" for line in kept).encode())

    def _check(self, settings: dict[str, Any]) -> None:
        if not self._state.exists() or not self._settings.exists():
            return
        begun = yaml.safe_load(self._settings.read_text(encoding="utf-8"))
        different = [key for key in settings if begun.get(key, settings[key]) != settings[key]]
        if different:
            key = different[0]
            raise ValueError(
                f"The folder {str(self.path)!r} holds a run with {key}: {begun[key]}, and this one "
                f"has {key}: {settings[key]}. Choose another output folder, or remove that one."
            )


class Clock:
    """How long a run has taken, and which share of it was spent waiting for data."""

    def __init__(self, seconds_before: float = 0.0, first_step: int = 0):
        self._before = seconds_before
        self._first_step = first_step
        self._started = time.perf_counter()
        self._waited = 0.0
        self._saved = time.monotonic()

    def waited(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waited += seconds

    @property
    def seconds(self) -> float:
        """Time of the run so far, earlier sittings included."""
        return self._before + time.perf_counter() - self._started

    def pictures_per_second(self, step: int, batch_size: int) -> float:
        """Return the speed of this sitting, after so many steps of the run."""
        sitting = time.perf_counter() - self._started
        return (step - self._first_step) * batch_size / max(1e-9, sitting)

    @property
    def data_share(self) -> float:
        """Share of this sitting that was spent waiting for data."""
        return self._waited / max(1e-9, time.perf_counter() - self._started)

    def describe(self, step: int, batch_size: int) -> str:
        """Return a sentence on the speed of this sitting."""
        return (
            f"{self.pictures_per_second(step, batch_size):.1f} pictures a second, "
            f"{100 * self.data_share:.1f} % of the time spent waiting for data."
        )

    def is_due(self, every_seconds: float) -> bool:
        """Whether so much time has passed since the last time this said yes."""
        if time.monotonic() - self._saved < every_seconds:
            return False
        self._saved = time.monotonic()
        return True


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
