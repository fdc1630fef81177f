"""Reads the TSV files that the original was trained on.

As its scripts write them (`DATA/mydata_to_tsv.py` there): a row is a name, a tab and one JSON
object with

- "data_id", "file_name";
- "image": the picture, encoded (JPEG) and in base64;
- "caption", or "is_det": true where the names of the categories stand in for one;
- "annos": objects with "bbox" (x, y, width, height in pixels of the picture) and the phrase:
  "category_name" where "is_det" says so, else "tokens_positive", the parts [start, end) of the
  caption that name it. "category_name" or "phrase" is taken where there are no such parts.

The CLIP features that rows also carry ("text_embedding_before" and so on) are not read: they hold
for one encoder only, and are computed anew and cached (`gligen.data.features`). Positions of the
rows are found by reading the file once, so `.lineidx` is not needed. Rows that are pickled instead
of JSON are refused: loading a pickle can run any program.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gligen.data.drafts import Draft, box_of_corner_and_size
from gligen.data.phrases import phrase_of_spans
from gligen.data.pictures import size_of
from gligen.data.report import Report
from gligen.data.samples import PictureFile, Sample

_PICKLE_STARTS = (b"\x80", b"gAS", b"gAJ", b"gAN", b"gAW")  # raw, and in base64


@dataclass(frozen=True)
class TsvSource:
    """One or several TSV files, read one after the other."""

    files: tuple[Path, ...]

    name = "tsv"

    def read(self, report: Report) -> Iterator[Sample]:
        """Yield the samples, and report what is wrong with them."""
        for path in self.files:
            row = 0
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    sample = _sample(line, PictureFile(path, row), number, report)
                    row += len(line)
                    if sample is not None:
                        yield sample


def _sample(line: bytes, picture: PictureFile, number: int, report: Report) -> Sample | None:
    where = f"{picture.path.name}:{number}"
    try:
        name, entry = _row(line)
        encoded = base64.b64decode(entry["image"], validate=True)
    except (ValueError, KeyError, TypeError) as error:
        message = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        report.add("entry_unreadable", where, message)
        return None
    try:
        size = size_of(encoded)
    except ValueError as error:
        report.add("picture_unreadable", where, str(error))
        return None
    draft = Draft(report, str(entry.get("data_id", name)), picture, size, where)
    draft.add_caption(entry.get("caption"))
    for index, anno in enumerate(entry["annos"]):
        place = f"{where}, annos[{index}]"
        box = box_of_corner_and_size(anno.get("bbox"), size)
        draft.add_region(_phrase(entry, anno), box, place)
    return draft.finish()


def _row(line: bytes) -> tuple[str, dict[str, Any]]:
    name, tab, text = line.partition(b"\t")
    start = text.lstrip() if tab else line
    if start.startswith(_PICKLE_STARTS):
        raise ValueError(
            "The row is pickled, and loading a pickle can run any program; write rows as JSON "
            "(json.dumps, pictures and arrays in base64), or describe the pictures in .jsonl."
        )
    if not tab:
        raise ValueError("The row has no tab; it must be a name, a tab and a JSON object.")
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The row's second column is not JSON ({error}).") from None
    annos = entry.get("annos") if isinstance(entry, dict) else None
    if not isinstance(annos, list) or not all(isinstance(anno, dict) for anno in annos):
        raise ValueError('The row must be a JSON object with "annos", a list of objects.')
    return name.decode("utf-8", "replace"), entry


def _phrase(entry: dict[str, Any], anno: dict[str, Any]) -> Any:
    if not entry.get("is_det"):
        phrase = phrase_of_spans(entry.get("caption"), anno.get("tokens_positive"))
        if phrase is not None:
            return phrase
    return anno.get("category_name") or anno.get("phrase")
