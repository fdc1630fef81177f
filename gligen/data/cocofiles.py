"""COCO's JSON files as they lie on disk: parsed, told apart, and joined by the id of the images.

What becomes of their annotations is the matter of `gligen.data.coco`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gligen.data.report import Report

BOXES, CAPTIONS, KEYPOINTS, PANOPTIC = "boxes", "captions", "keypoints", "panoptic"

# Field of an annotation -> what its file holds, the first that is there.
_ROLES = {"segments_info": PANOPTIC, "caption": CAPTIONS, "keypoints": KEYPOINTS}


@dataclass(frozen=True)
class Annotation:
    """One entry of a file, and where it stands."""

    entry: dict[str, Any]
    where: str


@dataclass
class CocoFiles:
    """The files of one split, joined.

    Attributes:
        images: id -> the image's entry and its place, in the order of the files.
        categories: role -> id -> the category's entry.
        annotations: role -> id of the image -> annotations.
        panoptic: the file with the panoptic annotations.
    """

    images: dict[Any, Annotation] = field(default_factory=dict)
    categories: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)
    annotations: dict[str, dict[Any, list[Annotation]]] = field(default_factory=dict)
    panoptic: Path | None = None

    @classmethod
    def read(cls, files: tuple[Path, ...], report: Report) -> "CocoFiles":
        """Parse and join the files, and report entries that belong to nothing.

        Raises:
            ValueError: a file is not of COCO's form, or two hold the same kind of annotations.
        """
        joined = cls()
        documents = [(path, _parse(path)) for path in files]
        for path, document in documents:
            joined._add_images(path, document["images"], report)
        for path, document in documents:
            role = _role(document["annotations"])
            if role in joined.annotations:
                raise ValueError(
                    f"{path.name} is a second file of {role}; give one file of each kind, of the "
                    "same split (split=NAME, on the command line --split NAME)."
                )
            if role == PANOPTIC:
                joined.panoptic = path
            categories = document.get("categories")
            joined.categories[role] = _by_id(categories if isinstance(categories, list) else [])
            joined.annotations[role] = joined._sorted(path, document["annotations"], report)
        return joined

    def of(self, role: str, identity: Any) -> list[Annotation]:
        """Return the annotations of one image."""
        return self.annotations.get(role, {}).get(identity, [])

    def _add_images(self, path: Path, images: list[dict[str, Any]], report: Report) -> None:
        seen = set()
        for index, entry in enumerate(images):
            where = f"{path.name}: images[{index}]"
            identity = entry.get("id")
            if not isinstance(identity, (int, str)) or identity in seen or not file_name(entry):
                message = (
                    f'An image needs an "id" of its own and a "file_name"; this one has the id '
                    f"{identity!r} and the name {file_name(entry)!r}."
                )
                report.add("entry_unreadable", where, message)
                continue
            seen.add(identity)
            # A file of captions may list less of an image than one of boxes.
            known = self.images.get(identity, Annotation({}, where))
            self.images[identity] = Annotation({**entry, **known.entry}, known.where)

    def _sorted(
        self, path: Path, annotations: list[dict[str, Any]], report: Report
    ) -> dict[Any, list[Annotation]]:
        found: dict[Any, list[Annotation]] = {}
        for index, entry in enumerate(annotations):
            where = f"{path.name}: annotations[{index}]"
            identity = entry.get("image_id")
            if not isinstance(identity, (int, str)) or identity not in self.images:
                report.add("picture_unlisted", where, f"No image has the id {identity!r}.")
                continue
            found.setdefault(identity, []).append(Annotation(entry, where))
        return found


def file_name(entry: dict[str, Any]) -> str | None:
    """Return the name of an image; of LVIS, which has none, the end of its address."""
    name, address = entry.get("file_name"), entry.get("coco_url")
    if isinstance(name, str) and name:
        return name
    return "/".join(address.split("/")[-2:]) if isinstance(address, str) and address else None


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            document = json.load(file, object_hook=_without_outlines)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not JSON ({error}); fetch or write it again.") from None
    if not isinstance(document, dict):
        document = {}
    for part in ("images", "annotations"):
        entries = document.get(part)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(
                f'{str(path)!r} has no "{part}", a list of objects, so it is not of COCO\'s form; '
                "python -m gligen data --help names the forms that are read."
            )
    return document


def _without_outlines(entry: dict[str, Any]) -> dict[str, Any]:
    """Forget polygons while parsing: nine tenths of a file, which nothing here needs."""
    entry.pop("segmentation", None)
    return entry


def _role(annotations: list[dict[str, Any]]) -> str:
    first = annotations[0] if annotations else {}
    return next((role for key, role in _ROLES.items() if key in first), BOXES)


def _by_id(categories: list[Any]) -> dict[Any, dict[str, Any]]:
    entries = [entry for entry in categories if isinstance(entry, dict)]
    return {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), (int, str))}
