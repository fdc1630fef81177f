"""A sequence of samples, and `open_dataset`, which makes one of whatever form the data has."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from gligen.data.detection import detect
from gligen.data.index import Index, key_of, read_index, write_index
from gligen.data.lists import Entry, is_list, read_list
from gligen.data.report import Report
from gligen.data.samples import Sample
from gligen.kinds import KEYPOINT, MAP, kind_named

_NUM_PROBED = 8  # pictures that are looked for when an older index is opened

_REGIONS, _PERSONS, _MAPS = range(3)  # columns of `Index.content`


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order, each read when it is asked for.

    Plain data that any number of worker processes can have a copy of.
    """

    parts: tuple[Index, ...]
    form: str  # of the data: lines, coco, flickr or tsv, several with commas
    positions: Int64[np.ndarray, "samples 2"]  # of each sample: the part, and the place in it

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> Sample:
        """Return a sample, counted from 0, or backwards from -1.

        Raises:
            IndexError: there are not that many.
            StaleIndexError: the index on disk was written anew since.
        """
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"There is no sample {number}; the dataset has {count}.")
        part, place = self.positions[number].tolist()
        return self.parts[part].read(place)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(len(self)))

    @property
    def report(self) -> Report:
        """What was wrong with the data; a copy. `gligen.data.checking` also opens the pictures."""
        report = Report()
        for part in self.parts:
            report.include(part.report)
        return report

    def for_kind(self, kind: str) -> "Dataset":
        """Return the samples that a model of a kind can be trained on.

        Those are the ones with regions, with persons, or with a map.

        Raises:
            ValueError: there is no such kind, or no such sample.
        """
        modality = kind_named(kind).modality
        column = {KEYPOINT: _PERSONS, MAP: _MAPS}.get(modality, _REGIONS)
        has_it = np.zeros(len(self), bool)
        for number, part in enumerate(self.parts):
            of_part = self.positions[:, 0] == number
            has_it[of_part] = part.content[self.positions[of_part, 1], column] > 0
        kept = self.positions[has_it]
        if not len(kept):
            needed = ("regions", "persons", "a map")[column]
            raise ValueError(
                f"None of the {len(self)} samples has {needed}, which the kind {kind} is trained "
                "on; give annotations that have, or choose another kind."
            )
        return replace(self, positions=kept)


def open_dataset(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    images: str | os.PathLike[str] | None = None,
    maps: str | os.PathLike[str] | None = None,
    split: str | None = None,
    ignored_label: int | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open pictures with annotations, whose form is told by their content.

    The annotations are read once; what they say is kept in the cache until one of the files changes
    in size or time. Pictures are not opened, but for the first bytes where a size is needed.

    Args:
        path: a folder or file: COCO (a folder with `annotations/`, or one or several JSON files),
            Flickr30k Entities (a folder with `Sentences/`), `.jsonl`, or the original's TSV;
            several files of one form are joined. Or a `.yaml` file that lists datasets to train on
            together (`gligen.data.lists`). See `docs/data.md`.
        images: folder of the pictures; default: where that form usually has them.
        maps: folder of the maps; default: as the annotations say.
        split: which part, where a folder holds several, as in instances_train2017.json.
        ignored_label: value of the pixels in label maps that nobody labelled, often 255; read as 0.
        cache: folder for the index; default: `gligen/data` in the user's cache folder.

    Raises:
        ValueError: nothing readable is there, or the pictures are not; one sentence says what and
            where. What is wrong with single samples is in the dataset's report instead.
    """
    paths = [Path(path)] if isinstance(path, (str, os.PathLike)) else [Path(part) for part in path]
    place = _user_cache() if cache is None else Path(cache)
    options = (images, maps, split, ignored_label)
    if not is_list(paths):
        folders = [None if folder is None else Path(folder) for folder in (images, maps)]
        opened = [_open(Entry(tuple(paths), folders[0], folders[1], split, ignored_label), place)]
    elif any(option is not None for option in options):
        raise ValueError(f"'{paths[0]}' says of each dataset where it is; write the options in it.")
    else:
        opened = [_open(entry, place) for entry in read_list(paths[0])]
    positions = [
        np.stack([np.full(len(index), part), np.arange(len(index))], axis=1)
        for part, (_, index) in enumerate(opened)
    ]
    forms = dict.fromkeys(form for form, _ in opened)
    parts = tuple(index for _, index in opened)
    return Dataset(parts, ", ".join(forms), np.concatenate(positions).astype(np.int64))


def _open(entry: Entry, cache: Path) -> tuple[str, Index]:
    """Return the form of a dataset, and its index."""
    images, maps = (
        None if folder is None else _folder(folder) for folder in (entry.images, entry.maps)
    )
    paths = [entry.path] if isinstance(entry.path, Path) else entry.path
    source = detect(paths, images, maps, entry.split, entry.ignored_label)
    key = key_of(source.name, source.files, (images, maps, entry.split, entry.ignored_label))
    place = cache / f"{source.name}-{key}.index"
    index = read_index(place)
    if index is None or not _has_pictures(index):
        report = Report()
        index = write_index(place, source.read(report), report)
    if not len(index):
        lines = " ".join(" ".join(index.report.lines()).split())
        raise ValueError(f"No sample of '{paths[0]}' can be used: {lines}")
    return source.name, index


def _has_pictures(index: Index) -> bool:
    """Whether some pictures of an older index are still there: folders move as a whole."""
    some = np.linspace(0, len(index) - 1, min(len(index), _NUM_PROBED)).astype(int)
    return all(index.read(int(number)).picture.path.is_file() for number in some)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"There is no folder '{path}'; check the path.")
    return path.absolute()


def _user_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "gligen" / "data"
