"""Diffusers' parallel lists of phrases, pictures, boxes and masks, read as a layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from gligen.layout import Box, Layout, Region, check_box
from gligen.request import STYLE_BOXES

Item = TypeVar("Item")
# One number for all regions, or one for each of the first regions; None: all 1.
Mask = float | Sequence[float] | None


@dataclass(frozen=True)
class RegionLists:
    """The arguments that describe the regions of a call to diffusers' GLIGEN pipelines.

    `read` returns the layout. A picture in a box that stands for the style (see
    `gligen.request.STYLE_BOXES`) becomes the layout's style picture.
    """

    phrases: Sequence[str | None] | str | None = None  # one for each box
    boxes: Sequence[Sequence[float]] | None = None  # xyxy in [0, 1]
    images: Sequence[Image.Image | None] | None = None  # reference pictures, one for each box
    phrases_mask: Mask = None  # 0 switches a phrase off, 1 leaves it on
    images_mask: Mask = None  # likewise for pictures

    def __bool__(self) -> bool:
        """Whether any list is given."""
        return any(bool(values) for values in (self.phrases, self.boxes, self.images))

    @property
    def style_box(self) -> Box:
        """The box of the style token: that which the lists name, else the official one."""
        boxes = [tuple(map(float, box)) for box in self.boxes or []]
        return next((box for box in STYLE_BOXES.values() if box in boxes), STYLE_BOXES["official"])

    def read(self) -> Layout:
        """Return the layout.

        Raises:
            ValueError: the lists differ in length, a box is invalid, or a style box has no picture
                or a phrase; the message names the region.
        """
        if self.images is None and self.phrases_mask is None and self.images_mask is None:
            phrases = [self.phrases] if isinstance(self.phrases, str) else self.phrases or []
            return Layout.from_lists([phrase or "" for phrase in phrases], self.boxes or [])
        boxes = self.boxes or []
        phrases = self._padded("phrases", self.phrases)
        images = self._padded("pictures", self.images)
        phrase_weights = _weights("input_phrases_mask", self.phrases_mask, len(boxes))
        image_weights = _weights("input_images_mask", self.images_mask, len(boxes))
        regions, style = [], None
        for index, box in enumerate(boxes):
            # What is switched off is not even encoded.
            phrase = (phrases[index] or "") if phrase_weights[index] else ""
            image = images[index] if image_weights[index] else None
            if tuple(map(float, box)) in STYLE_BOXES.values():
                self._check_style(index, phrase, image, style, image_weights[index])
                style = image
                continue
            box = check_box(box, f"Region {index + 1} ({phrase!r})")
            regions.append(Region(phrase, box, image, phrase_weights[index], image_weights[index]))
        return Layout(tuple(regions), style=style)

    def _padded(self, what: str, values: Sequence[Any] | str | None) -> list[Any]:
        num_boxes = len(self.boxes or [])
        if values is None:
            return [None] * num_boxes
        found = [values] if isinstance(values, str) else list(values)
        if len(found) != num_boxes:
            raise ValueError(
                f"There are {len(found)} {what} and {num_boxes} boxes; give exactly one for each "
                "box, None where a region has none."
            )
        return found

    def _check_style(
        self,
        index: int,
        phrase: str,
        image: Image.Image | None,
        earlier: Image.Image | None,
        weight: float,
    ) -> None:
        owner = f"Region {index + 1} has the box that stands for the style"
        if phrase:
            raise ValueError(
                f"{owner} and the phrase {phrase!r}; a style has a picture alone: switch the "
                "phrase off with a 0 in input_phrases_mask."
            )
        if image is None:
            raise ValueError(f"{owner}, but no picture; give one in gligen_images.")
        if earlier is not None:
            raise ValueError(f"{owner}, and so has an earlier one; one style picture is read.")
        if weight != 1:
            raise ValueError(
                f"{owner}, and its picture a mask of {weight:g}; a style picture is on (1) or left "
                "out."
            )


def _weights(name: str, mask: Mask, num_boxes: int) -> list[float]:
    """Return a weight for each box: those given, then 1."""
    if mask is None:
        return [1.0] * num_boxes
    if isinstance(mask, (int, float)):
        given = [float(mask)] * num_boxes
    else:
        given = [float(value) for value in mask]
    if len(given) > num_boxes:
        raise ValueError(
            f"{name} has {len(given)} entries for {num_boxes} boxes; give at most one for each."
        )
    for value in given:
        if not 0 <= value <= 1:
            raise ValueError(f"{name} has the entry {value:g}; it must lie in [0, 1].")
    return given + [1.0] * (num_boxes - len(given))
