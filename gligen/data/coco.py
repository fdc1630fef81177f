"""Reads COCO's JSON files: boxes, captions, keypoints, panoptic maps; also LVIS and MDETR's form.

What a file is, its annotations tell: "segments_info" (panoptic), "caption", "keypoints", or else
"bbox". Several files of one split are joined by the "id" of their images.

- Boxes: "bbox" is x, y, width, height in pixels. The phrase is the category's name
  (`gligen.data.phrases`); or, in the form of MDETR and GLIP, the parts "tokens_positive" of the
  image's "caption". Crowds (iscrowd 1) are noted and left out: their box is around many things.
- Captions: all of a picture are kept. An image's own "caption" counts too.
- Keypoints: 51 numbers x, y, v. As in the original's training a joint is seen where v is 2; where
  it is 1 (known, but hidden), it is not. A keypoint file gives persons and no regions.
- Panoptic: the PNG's colours are numbers of segments; the map holds the place of the category in
  the file (by id, from 1; 0 is unlabelled), which is not ADE20K's order. Segments become regions
  where no file of boxes is given.
- `maps`: the folder of the panoptic PNGs, if it is not beside the file; or of label maps that are
  named like the pictures, their values the labels.

Boxes are taken to be measured on the upright picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gligen.data.cocofiles import (
    BOXES,
    CAPTIONS,
    KEYPOINTS,
    PANOPTIC,
    Annotation,
    CocoFiles,
    file_name,
)
from gligen.data.drafts import Draft, box_of_corner_and_size, checked_size
from gligen.data.phrases import phrase_of_category, phrase_of_spans
from gligen.data.pictures import find_folder, size_of
from gligen.data.report import Report
from gligen.data.samples import MapFile, PictureFile, Sample
from gligen.pictures.ade import NUM_LABELS

_VISIBLE = 2  # COCO's v of a joint that is seen


@dataclass(frozen=True)
class CocoSource:
    """Annotation files of one split."""

    files: tuple[Path, ...]
    images: Path | None = None  # folder of the pictures; None: looked for around the files
    maps: Path | None = None  # folder of panoptic PNGs, or of label maps named like the pictures
    ignored: int | None = None  # value in label maps that means "unlabelled"

    name = "coco"

    def read(self, report: Report) -> Iterator[Sample]:
        """Yield the samples, and report what is wrong with them.

        Raises:
            ValueError: a file is not of COCO's form, or the pictures cannot be found.
        """
        content = CocoFiles.read(self.files, report)
        names = [str(file_name(image.entry)) for image in content.images.values()]
        if not names:
            raise ValueError(f"'{self.files[0]}' lists no pictures, so there is nothing to read.")
        folder = self.images or find_folder(_candidates(self.files), names)
        labels = _labels(content)
        for identity, image in content.images.items():
            draft = _draft(identity, image, folder, report)
            if draft is None:
                continue
            for caption in [image, *content.of(CAPTIONS, identity)]:
                draft.add_caption(caption.entry.get("caption"))
            _add_regions(draft, content, identity, report)
            for annotation in content.of(KEYPOINTS, identity):
                _add_person(draft, annotation, report)
            self._add_map(draft, content, identity, labels, report)
            yield draft.finish()

    def _add_map(
        self,
        draft: Draft,
        content: CocoFiles,
        identity: Any,
        labels: dict[Any, int],
        report: Report,
    ) -> None:
        for annotation in content.of(PANOPTIC, identity):
            folder = self.maps or content.panoptic.with_suffix("")  # type: ignore[union-attr]
            segments = []
            for segment in _segments(annotation):
                number, category = segment.get("id"), segment.get("category_id")
                if _is_id(category) and category in labels and _is_colour(number):
                    segments.append((number, labels[category]))
                else:
                    message = f"The segment {number!r} has the category {category!r}."
                    report.add("segment_unknown", annotation.where, message)
            name = str(annotation.entry.get("file_name"))
            draft.add_map(MapFile(folder / name, tuple(segments)), annotation.where)
        if self.maps is not None and content.panoptic is None:
            image = content.images[identity]
            path = self.maps / Path(str(file_name(image.entry))).with_suffix(".png")
            draft.add_map(MapFile(path, ignored=self.ignored), image.where)


def _draft(identity: Any, image: Annotation, folder: Path, report: Report) -> Draft | None:
    picture = folder / str(file_name(image.entry))
    size = checked_size(image.entry.get("width"), image.entry.get("height"))
    if not picture.is_file():
        report.add_absent("picture_missing", image.where, picture)
        return None
    if size is None:
        try:
            size = size_of(picture)
        except ValueError as error:
            report.add_absent("picture_unreadable", image.where, picture, str(error))
            return None
    return Draft(report, str(identity), PictureFile(picture), size, image.where)


def _add_regions(draft: Draft, content: CocoFiles, identity: Any, report: Report) -> None:
    """Add the boxes, or the segments where there is no file of boxes."""
    caption = content.images[identity].entry.get("caption")
    if BOXES in content.annotations:
        found, role = content.of(BOXES, identity), BOXES
    else:
        role = PANOPTIC
        found = [
            Annotation(segment, annotation.where)
            for annotation in content.of(PANOPTIC, identity)
            for segment in _segments(annotation)
        ]
    for annotation in found:
        if annotation.entry.get("iscrowd"):
            report.add("crowd", annotation.where, "The box is around a crowd (iscrowd).")
            continue
        box = box_of_corner_and_size(annotation.entry.get("bbox"), draft.size)
        phrase = phrase_of_spans(caption, annotation.entry.get("tokens_positive"))
        if phrase is None:
            number = annotation.entry.get("category_id")
            category = content.categories[role].get(number) if _is_id(number) else None
            if category is None:
                message = f'There is no category with the id {number!r} in "categories".'
                report.add("category_unknown", annotation.where, message)
                continue
            phrase = phrase_of_category(category.get("name"), category.get("isthing") != 0)
        draft.add_region(phrase, box, annotation.where)


def _add_person(draft: Draft, annotation: Annotation, report: Report) -> None:
    entry = annotation.entry
    if entry.get("iscrowd"):
        report.add("crowd", annotation.where, "The keypoints are of a crowd (iscrowd).")
        return
    numbers = entry.get("keypoints")
    numbers = numbers if isinstance(numbers, list) else []
    width, height = draft.size
    joints: list[Any] = []
    for x, y, v in zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=False):
        is_point = all(isinstance(number, (int, float)) for number in (x, y))
        seen = (x / width, y / height) if is_point else (x, y)
        joints.append(seen if v == _VISIBLE else None)
    if len(numbers) % 3:
        joints = numbers  # not 17 joints either way; reported as it stands
    area = None
    box = box_of_corner_and_size(entry.get("bbox"), draft.size)
    if isinstance(box, tuple):
        area = (box[2] - box[0]) * (box[3] - box[1])
    draft.add_person(joints, annotation.where, area)


def _segments(annotation: Annotation) -> list[dict[str, Any]]:
    segments = annotation.entry.get("segments_info")
    if not isinstance(segments, list):
        return []
    return [segment for segment in segments if isinstance(segment, dict)]


def _labels(content: CocoFiles) -> dict[Any, int]:
    """Number the categories of the panoptic file from 1, by their ids."""
    identities = sorted(content.categories.get(PANOPTIC, {}), key=lambda i: (isinstance(i, str), i))
    if len(identities) >= NUM_LABELS:
        raise ValueError(
            f"The panoptic file has {len(identities)} categories; a semantic map has labels for "
            f"{NUM_LABELS - 1}. Join some of them."
        )
    return {identity: label for label, identity in enumerate(identities, start=1)}


def _candidates(files: tuple[Path, ...]) -> list[Path]:
    """Return the folders where people keep the pictures of such files, the likeliest first."""
    folder = files[0].parent
    root = folder.parent if folder.name == "annotations" else folder
    split = files[0].stem.rpartition("_")[2]
    return [root / split, root / "images" / split, root / "images", root, folder]


def _is_colour(number: Any) -> bool:
    return type(number) is int and 0 <= number < 256**3


def _is_id(value: Any) -> bool:
    return isinstance(value, (int, str))
