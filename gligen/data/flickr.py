"""Reads Flickr30k Entities, and what is written like it: captions whose phrases have boxes.

- `Sentences/NAME.txt`: a caption a line, phrases marked `[/EN#283585/people A young child]`.
- `Annotations/NAME.xml`: "object" elements with the numbers ("name") of phrases and a "bndbox";
  phrases without a place have "nobndbox" or "scene" instead, and are noted. Pixels are counted
  from 1 and the last one belongs to the box, as the authors' own code reads them, so a box is
  [xmin - 1, xmax] and [ymin - 1, ymax].
- the pictures, in a folder of the usual names beside them, or where `images` says.

Each sentence is a sample of its own, "NAME#0" and so on, since its phrases are its own. A phrase
with several boxes ("three men") is a region in each of them, as in the "separateGT" files that the
original was trained on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from gligen.data.drafts import Draft, checked_size
from gligen.data.pictures import find_folder
from gligen.data.report import Report
from gligen.data.samples import PictureFile, Sample

_PHRASE = re.compile(r"\[/EN#(\d+)(?:/[^\s\]]+)* ([^\[\]]*)\]")

PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True)
class FlickrSource:
    """A folder with Sentences and Annotations."""

    folder: Path
    images: Path | None = None  # folder of the pictures; None: looked for in and beside the folder
    split: str | None = None  # a text file NAME.txt in the folder lists the names of this split

    name = "flickr"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the samples depend on, pictures aside."""
        texts = self._texts()
        lists = [] if self.split is None else [self.folder / f"{self.split}.txt"]
        return (*lists, *texts, *(self.folder / _annotation_of(text) for text in texts))

    def read(self, report: Report) -> Iterator[Sample]:
        """Yield the samples, and report what is wrong with them.

        Raises:
            ValueError: the pictures cannot be found, or a split is not listed.
        """
        texts = self._texts()
        if not texts:
            raise ValueError(f"'{self.folder / 'Sentences'}' holds no .txt files.")
        images = self.images
        if images is None:
            root = self.folder
            folders = [root / "flickr30k-images", root / "flickr30k_images", root / "images", root]
            beside = [root.parent / folder.name for folder in folders[:3]]
            images = find_folder([*folders, *beside], [f"{path.stem}.jpg" for path in texts])
        for path in texts:
            yield from self._samples(path, images, report)

    def _texts(self) -> list[Path]:
        folder = self.folder / "Sentences"
        if self.split is None:
            return sorted(folder.glob("*.txt"))
        listed = self.folder / f"{self.split}.txt"
        if not listed.is_file():
            raise ValueError(
                f"There is no file '{listed}' that lists the names of the split "
                f"{self.split!r}; leave the split out to read all."
            )
        return [folder / f"{name}.txt" for name in listed.read_text(encoding="utf-8").split()]

    def _samples(self, text: Path, images: Path, report: Report) -> Iterator[Sample]:
        where = _annotation_of(text)
        try:
            sentences = text.read_text(encoding="utf-8").splitlines()
            place = _Annotation.read(self.folder / where)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            report.add("entry_unreadable", where, f"{error}.".replace("..", "."))
            return
        picture = images / (place.filename or f"{text.stem}.jpg")
        if not picture.is_file():
            report.add_absent("picture_missing", where, picture)
            return
        for number, sentence in enumerate(sentences):
            if sentence.strip():
                line = f"Sentences/{text.name}:{number + 1}"
                draft = Draft(
                    report, f"{text.stem}#{number}", PictureFile(picture), place.size, line
                )
                if _add_sentence(draft, sentence, place, line, report):
                    yield draft.finish()


def _annotation_of(text: Path) -> str:
    return f"Annotations/{text.stem}.xml"


def _add_sentence(
    draft: Draft, sentence: str, place: "_Annotation", where: str, report: Report
) -> bool:
    """Add caption and regions; False if the markup is broken."""
    caption = _PHRASE.sub(lambda match: match[2], sentence)
    if "[/EN#" in caption:
        report.add("entry_unreadable", where, f"A phrase is not closed: {caption!r}.")
        return False
    draft.add_caption(caption)
    width, height = place.size
    for number, phrase in _PHRASE.findall(sentence):
        boxes = place.boxes.get(number, [])
        if not boxes:
            message = f"The phrase {phrase!r} (number {number}) has no box."
            report.add("phrase_without_box", where, message)
        for x0, y0, x1, y1 in boxes:
            box = (x0 - 1) / width, (y0 - 1) / height, x1 / width, y1 / height
            draft.add_region(phrase, box, where)
    return True


@dataclass(frozen=True)
class _Annotation:
    """What an XML file says of a picture."""

    filename: str | None
    size: tuple[int, int]
    boxes: dict[str, list[PixelBox]]  # number of a phrase -> its boxes, as they are written

    @classmethod
    def read(cls, path: Path) -> "_Annotation":
        text = path.read_text(encoding="utf-8")
        # Nothing of the format needs one, and entities can blow up a file to any size.
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError(f"'{path}' has a document type, which is not read; remove it")
        root = ElementTree.fromstring(text)
        sides = [_whole(root.find("size"), side, path) for side in ("width", "height")]
        size = checked_size(*sides)
        if size is None:
            raise ValueError(f"'{path}' has the size {sides[0]} x {sides[1]}; both must be above 0")
        boxes: dict[str, list[PixelBox]] = {}
        for thing in root.findall("object"):
            for frame in thing.findall("bndbox"):
                x0, y0, x1, y1 = (
                    _whole(frame, edge, path) for edge in ("xmin", "ymin", "xmax", "ymax")
                )
                for name in thing.findall("name"):
                    boxes.setdefault((name.text or "").strip(), []).append((x0, y0, x1, y1))
        filename = root.findtext("filename")
        return cls(filename and filename.strip(), size, boxes)


def _whole(parent: ElementTree.Element | None, name: str, path: Path) -> int:
    text = None if parent is None else parent.findtext(name)
    try:
        return int(text or "")
    except ValueError:
        raise ValueError(f"'{path}' has {text!r} as {name}; it must be a whole number") from None
