"""Reads a `.yaml` file that lists datasets to train on together, or one with its options.

    - path: coco
      split: train2017
    - path: my_pictures.jsonl

Each entry has the options of `open_dataset`; paths start at the folder of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

SUFFIXES = (".yaml", ".yml")
_EXAMPLE = 'for example "- path: coco" and below it "  split: train2017"'


@dataclass(frozen=True)
class Entry:
    """One dataset, as `open_dataset` takes it."""

    path: Path | tuple[Path, ...]
    images: Path | None = None
    maps: Path | None = None
    split: str | None = None
    ignored_label: int | None = None


def read_list(path: Path) -> tuple[Entry, ...]:
    """Return the datasets that a file lists, in order; a single one needs no list.

    Raises:
        ValueError: it cannot be read, or an entry has another form; the sentence says which.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"'{path}' cannot be read as YAML ({error}).") from None
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise ValueError(f"'{path}' lists no dataset; write one, {_EXAMPLE}.")
    return tuple(_entry(entry, path, number) for number, entry in enumerate(entries, start=1))


def _entry(value: Any, path: Path, number: int) -> Entry:
    owner = f"Dataset {number} of '{path}'"
    if not isinstance(value, dict) or not value.get("path"):
        raise ValueError(f"{owner} is {value!r}; it must say at least the path, {_EXAMPLE}.")
    names = [field.name for field in fields(Entry)]
    unknown = [str(name) for name in value if name not in names]
    if unknown:
        raise ValueError(f"{owner} has {', '.join(unknown)}; it can have {', '.join(names)}.")
    is_several = isinstance(value["path"], list)
    places = value["path"] if is_several else [value["path"]]
    images, maps, split = (value.get(name) for name in ("images", "maps", "split"))
    for text in (*places, images, maps, split):
        if text is not None and (not isinstance(text, str) or not text):
            raise ValueError(f"{owner} has {text!r}, which must be text; put numbers in quotes.")
    label = value.get("ignored_label")
    if label is not None and type(label) is not int:
        raise ValueError(f"{owner} has the ignored_label {label!r}; it must be a whole number.")
    paths = tuple(path.parent / place for place in places)
    return Entry(
        path=paths if is_several else paths[0],
        images=None if images is None else path.parent / images,
        maps=None if maps is None else path.parent / maps,
        split=split,
        ignored_label=label,
    )


def is_list(paths: Sequence[Path]) -> bool:
    """Return whether it is one file, with the ending of such a list."""
    return len(paths) == 1 and paths[0].suffix.lower() in SUFFIXES
