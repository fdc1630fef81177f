"""A dataset's samples in one file on disk, so that opening it again, or any sample, takes no time.

The file is written once, under a key of what it was made from, whole or not at all. It is read by
any number of processes; each access opens it anew, so nothing is shared between them.

    head      magic, time of writing, and where the next parts begin
    samples   one JSON object a line
    offsets   int64 (samples + 1): where each begins
    content   uint8 (samples, 3): regions, persons, and whether there is a map
    footer    JSON: the report, and the files that were missing
"""

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Int64, UInt8

from gligen.data.report import Report
from gligen.data.samples import Sample, sample_from_json, sample_to_json

# To be counted up whenever readers make other samples of the same files.
_MAGIC = b"gligen-data-1\n\0\0"
# Magic, nanoseconds of writing, number of samples, start of the offsets, end of the file.
_HEAD = struct.Struct("<16s4q")

Stamp = tuple[int, int] | None


class StaleIndexError(RuntimeError):
    """The index on disk is not the one that was opened."""


@dataclass(frozen=True)
class Index:
    """The samples of a dataset on disk; holds positions, not samples."""

    path: Path
    written: int  # nanoseconds; tells this file from a later one of the same name
    offsets: Int64[np.ndarray, " boundaries"]  # one more than samples
    content: UInt8[np.ndarray, "samples 3"]  # regions, persons, map
    report: Report

    def __len__(self) -> int:
        return len(self.content)

    def read(self, position: int) -> Sample:
        """Return one sample.

        Raises:
            StaleIndexError: the file was written anew, or removed, since it was opened.
        """
        begin, end = (int(offset) for offset in self.offsets[position : position + 2])
        try:
            with self.path.open("rb") as file:
                written = _read_head(file)[0]
                file.seek(begin)
                line = file.read(end - begin)
        except (OSError, ValueError):
            written, line = None, b""
        if written != self.written:
            raise StaleIndexError(
                f"The index {str(self.path)!r} was removed or written anew while it was in use, "
                "because a picture that had been missing came back; open the dataset again."
            )
        return sample_from_json(json.loads(line))


def write_index(path: Path, samples: Iterable[Sample], report: Report) -> Index:
    """Write the samples, and what the report says when all are read, and open the result.

    Raises:
        ValueError: the folder cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                _write(file, samples, report)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"The index of the dataset cannot be written to {str(path.parent)!r} "
            f"({error.strerror or error}); name a folder that can (cache=FOLDER, on the command "
            "line --cache FOLDER)."
        ) from None
    index = read_index(path)
    if index is None:
        raise ValueError(f"A picture changed while {str(path)!r} was written; open it again.")
    return index


def read_index(path: Path) -> Index | None:
    """Open an index; None where there is none, or one that no longer holds.

    One that is damaged counts as none. So does one from which samples were left out because of a
    file that was missing or unreadable, and has changed since.
    """
    try:
        with path.open("rb") as file:
            written, count, begin, end = _read_head(file)
            file.seek(0, os.SEEK_END)
            if file.tell() != end:
                return None
            file.seek(begin)
            offsets = np.frombuffer(file.read(8 * (count + 1)), "<i8").astype(np.int64)
            content = np.frombuffer(file.read(3 * count), np.uint8).reshape(count, 3)
            footer = json.loads(file.read())
    except (OSError, ValueError):
        return None
    if any(_stamp(Path(name)) != _stamp_of(stamp) for name, stamp in footer["absent"]):
        return None
    return Index(path, written, offsets, content, Report.from_json(footer["report"]))


def key_of(reader: str, files: Iterable[Path], settings: Iterable[Any]) -> str:
    """Return a name that changes with the files (path, size, time of change) and the settings."""
    digest = hashlib.sha256(_MAGIC)
    for part in (reader, *map(str, settings)):
        digest.update(part.encode() + b"\0")
    for path in files:
        digest.update(f"{path.resolve()}\0{_stamp(path)}\0".encode())
    return digest.hexdigest()[:32]


def _write(file: BinaryIO, samples: Iterable[Sample], report: Report) -> None:
    file.write(bytes(_HEAD.size))
    offsets, content = [_HEAD.size], []
    for sample in samples:
        line = json.dumps(sample_to_json(sample), separators=(",", ":")).encode() + b"\n"
        offsets.append(offsets[-1] + file.write(line))
        layout = sample.layout
        content.append((len(layout.regions), len(layout.persons), sample.map is not None))
    report.num_samples = len(content)
    file.write(np.array(offsets, "<i8").tobytes())
    file.write(np.array(content, np.uint8).tobytes())
    absent = [(str(path), _stamp(path)) for path in report.absent]
    file.write(json.dumps({"report": report.to_json(), "absent": absent}).encode())
    end = file.tell()
    file.seek(0)
    file.write(_HEAD.pack(_MAGIC, time.time_ns(), len(content), offsets[-1], end))


def _read_head(file: BinaryIO) -> tuple[int, int, int, int]:
    data = file.read(_HEAD.size)
    if len(data) != _HEAD.size:
        raise ValueError("The file is too short for an index.")
    magic, written, count, begin, end = _HEAD.unpack(data)
    if magic.rstrip(b"\0") != _MAGIC.rstrip(b"\0"):
        raise ValueError("The file is no index.")
    return written, count, begin, end


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except (OSError, ValueError):  # no such file, or no name that a file could have
        return None
    return status.st_mtime_ns, status.st_size


def _stamp_of(value: Any) -> Stamp:
    return None if value is None else (value[0], value[1])
