"""Tells what form annotations have, by their content, and returns the reader for it."""

import json
from collections.abc import Sequence
from pathlib import Path

from gligen.data.coco import CocoSource
from gligen.data.flickr import FlickrSource
from gligen.data.lines import LinesSource
from gligen.data.tsv import TsvSource

FORMS = (
    "COCO (a folder with annotations/*.json, or such files), Flickr30k Entities (a folder with "
    "Sentences/ and Annotations/), .jsonl, or the original's TSV; docs/data.md shows each"
)
_HEAD = 1 << 20  # bytes looked at


# A reader: its `name` is the form's, `files` are what the samples depend on, pictures aside, and
# `read(report)` yields the samples.
Source = CocoSource | FlickrSource | LinesSource | TsvSource


def detect(
    paths: Sequence[Path],
    images: Path | None = None,
    maps: Path | None = None,
    split: str | None = None,
    ignored_label: int | None = None,
) -> Source:
    """Return the reader for one folder, or for files of one form.

    Raises:
        ValueError: there is nothing, nothing that can be read, or more than one form.
    """
    paths = [path.absolute() for path in paths]
    for path in paths:
        if not path.exists():
            raise ValueError(f"There is no file or folder '{path}'; check the path.")
    if len(paths) == 1 and paths[0].is_dir():
        folder = paths[0]
        if (folder / "Sentences").is_dir() and (folder / "Annotations").is_dir():
            return FlickrSource(folder, images, split)
        paths = _files_in(folder, split)
    elif split is not None:
        raise ValueError(f"The split {split!r} is of a folder; of files, name those of the split.")
    forms = {_form(path): path for path in reversed(paths)}
    if len(forms) > 1:
        found = ", ".join(f"'{path.name}' ({form})" for form, path in sorted(forms.items()))
        raise ValueError(f"The files are of different forms: {found}. Name those of one form.")
    files = tuple(paths)
    match next(iter(forms)):
        case "coco":
            return CocoSource(files, images, maps, ignored_label)
        case "tsv":
            return TsvSource(files)
        case _:
            return LinesSource(files, images, maps, ignored_label)


def _files_in(folder: Path, split: str | None) -> list[Path]:
    """Return the annotation files of a folder, all of one split."""
    places = (folder / "annotations", folder)
    found = [path for place in places for path in sorted(place.glob("*.json")) if path.is_file()]
    for pattern in ("*.jsonl", "*.tsv"):
        found += [path for path in sorted(folder.glob(pattern)) if path.is_file()]
    if not found:
        raise ValueError(f"The folder '{folder}' holds no annotations; they can be {FORMS}.")
    # "instances_train2017.json" and "captions_train2017.json" are of the split "train2017".
    splits = sorted({path.stem.rpartition("_")[2] for path in found})
    if split is None and len(splits) > 1 and any(path.suffix == ".json" for path in found):
        raise ValueError(
            f"The folder '{folder}' holds the splits {', '.join(splits)}; say which (split=NAME, "
            "on the command line --split NAME), or name the files."
        )
    if split is None:
        return found
    if split not in splits:
        raise ValueError(
            f"There is no split {split!r} in '{folder}'; there is {', '.join(splits)}."
        )
    return [path for path in found if path.stem.rpartition("_")[2] == split]


def _form(path: Path) -> str:
    """Return "coco", "lines" or "tsv".

    Raises:
        ValueError: it is none of them.
    """
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder; of several paths, each must be a file.")
    with path.open("rb") as file:
        start = file.read(_HEAD)
    lines = start.removeprefix(b"\xef\xbb\xbf").lstrip().splitlines() or [b""]
    first, second = lines[0], lines[1].lstrip() if len(lines) > 1 else b""
    name, tab, _ = first.partition(b"\t")
    if tab and not name.lstrip().startswith(b"{"):
        return "tsv"
    if first.startswith(b"{"):
        # Of JSON that is one long line, or spread over lines, the first line alone says nothing.
        is_lines = _is_entry(first) or second.startswith(b"{")
        return "lines" if is_lines else "coco"
    raise ValueError(
        f"'{path}' has no form that is known (it begins with {start[:20]!r}); annotations can be "
        f"{FORMS}."
    )


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and not entry.keys() & {"images", "annotations"}
