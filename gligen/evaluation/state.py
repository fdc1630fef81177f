"""The folder of an evaluation: pictures and records, batch by batch, each file written whole.

Layout i of a series is always the same, so a folder that holds 50 of them is the beginning of one
with 500, and the batches may differ in size.
"""

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gligen.evaluation.layouts import HeldOut
from gligen.evaluation.series import Picture, Record, Series

# Counts changes of what is recorded about a picture; records of another form are refused.
FORM = 1


@dataclass(frozen=True)
class Batch:
    """What was made and seen together."""

    pictures: tuple[Picture, ...]  # uint8, all of one size
    records: tuple[Record, ...]  # one for each picture
    painting: float  # seconds
    examining: float  # seconds


@dataclass(frozen=True)
class Measured:
    """A series, as far as it was asked for."""

    items: tuple[HeldOut, ...]
    pictures: tuple[Picture, ...]
    records: tuple[Record, ...]
    painting: float = 0.0  # seconds, of all batches that were read
    examining: float = 0.0


class StateFolder:
    """Where an evaluation keeps what it has made.

    Args:
        path: made when something is written.
    """

    def __init__(self, path: Path):
        self.path = path

    def count(self, series: Series) -> int:
        """Return how many pictures of a series there are.

        Raises:
            ValueError: the folder holds a series of that name from another model or other options.
        """
        self._check(series)
        return sum(stop - start for start, stop, _ in self._files(series.name))

    def append(self, series: Series, start: int, batch: Batch) -> None:
        """Write a batch whose first picture is `start`, whole or not at all."""
        folder = self.path / series.name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            write_whole(folder / "series.json", json.dumps(_identity(series)).encode())
        path = folder / f"{start:06d}-{start + len(batch.records):06d}.npz"
        partial = path.with_suffix(".partial")
        record = {
            "records": batch.records,
            "painting": batch.painting,
            "examining": batch.examining,
        }
        with partial.open("wb") as file:
            np.savez_compressed(
                file, pictures=np.stack(batch.pictures), record=np.array(json.dumps(record))
            )
        partial.replace(path)

    def read(self, series: Series) -> Measured:
        """Return the pictures and records of a series, as many as it has items.

        Raises:
            ValueError: a file cannot be read, or belongs to another series.
        """
        self._check(series)
        batches = [_read(path) for _, _, path in self._files(series.name)]
        wanted = len(series.items)
        return Measured(
            series.items,
            tuple(picture for batch in batches for picture in batch.pictures)[:wanted],
            tuple(record for batch in batches for record in batch.records)[:wanted],
            sum(batch.painting for batch in batches),
            sum(batch.examining for batch in batches),
        )

    def _files(self, name: str) -> list[tuple[int, int, Path]]:
        """Return first and last + 1 picture of every batch; each begins where one ends."""
        found = []
        for path in sorted((self.path / name).glob("*-*.npz")):
            start, stop = (int(part) for part in path.stem.split("-"))
            found.append((start, stop, path))
        return found

    def _check(self, series: Series) -> None:
        path = self.path / series.name / "series.json"
        if not path.exists():
            return
        stored, own = json.loads(path.read_text()), _identity(series)
        if stored != own:
            different = next(k for k in {**stored, **own} if stored.get(k) != own.get(k))
            raise ValueError(
                f"The folder {str(path.parent)!r} holds pictures of other settings or of another "
                f"model ({different}: {stored.get(different)!r}, now {own.get(different)!r}); "
                "delete it to start anew, or give another --out."
            )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)  # noqa: PTH105 (atomic on every system)


def _identity(series: Series) -> dict[str, Any]:
    return json.loads(json.dumps({"form": FORM, **series.identity}))


def _read(path: Path) -> Batch:
    try:
        with np.load(path, allow_pickle=False) as stored:
            pictures = tuple(stored["pictures"])
            record = json.loads(str(stored["record"]))
        return Batch(pictures, tuple(record["records"]), record["painting"], record["examining"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The file {str(path)!r} cannot be read ({error}); delete the folder "
            f"{str(path.parent)!r} to make its pictures again."
        ) from None
