"""A sample in the making: everything that readers found, checked and cleaned in one place.

The rules, the same for all formats: what reaches outside the picture by a pixel or less is moved
in and counted, what reaches further is left out and counted; of more regions or persons than a
model has slots for, the largest are kept.
"""

import math
from collections.abc import Sequence
from typing import Any

from gligen.data.report import Report
from gligen.data.samples import MapFile, PictureFile, Sample
from gligen.layout import MAX_REGIONS, Box, Layout, Region
from gligen.person import JOINTS, MAX_PERSONS, Person, Point

_MAX_SIDE = 1 << 31
TOLERANCE = 1.0  # pixels by which boxes and joints may overshoot
# Shares of the picture below which an overshoot is but rounding; moved in without a word.
_ROUNDING = 1e-6


class Draft:
    """Collects what belongs to one picture; all coordinates in fractions of it."""

    def __init__(
        self,
        report: Report,
        identity: str,
        picture: PictureFile,
        size: tuple[int, int],
        where: str,
    ):
        self._report = report
        self._identity = identity
        self._picture = picture
        self.size = size  # pixels of the upright picture
        self._where = where
        self._regions: list[Region] = []
        self._persons: list[tuple[float, Person]] = []  # area, person
        self.captions: list[str] = []
        self._map: MapFile | None = None

    def add_caption(self, caption: Any) -> None:
        """Add a caption, if it says anything; white space is brought to single spaces."""
        if isinstance(caption, str) and caption.strip():
            self.captions.append(" ".join(caption.split()))

    def add_region(self, phrase: Any, box: Any, where: str) -> None:
        """Add a region, or report why not.

        Args:
            phrase: what is there.
            box: xyxy in [0, 1] of the picture.
            where: the place of the box, for the report.
        """
        cleaned = self._clean_box(box, where)
        if cleaned is None:
            return
        if not isinstance(phrase, str) or not phrase.strip():
            self._report.add("phrase_empty", where, f"The phrase is {phrase!r}; say what is there.")
            return
        self._regions.append(Region(phrase, cleaned))

    def add_person(self, joints: Sequence[Any], where: str, area: float | None = None) -> None:
        """Add a person, or report why not.

        Args:
            joints: 17 of (x, y) in [0, 1], or None.
            where: the place of the person, for the report.
            area: in squared fractions, to tell the largest; None: of the box around the joints.
        """
        if len(joints) != len(JOINTS) or not all(_is_point(joint) for joint in joints):
            self._report.add(
                "keypoints_invalid",
                where,
                f"The keypoints are {_short(joints)}; they must be {len(JOINTS)} pairs x, y.",
            )
            return
        points = [None if joint is None else self._clean_joint(joint, where) for joint in joints]
        # A joint at the very corner (0, 0) means "not seen", as in `Person`.
        if not any(point is not None and point != (0, 0) for point in points):
            self._report.add("person_without_joints", where, "No joint of the person is seen.")
            return
        person = Person(tuple(points))
        x0, y0, x1, y1 = person.box
        self._persons.append(((x1 - x0) * (y1 - y0) if area is None else area, person))

    def add_map(self, chart: MapFile, where: str) -> None:
        """Add the map, or report that its file is missing."""
        if chart.path.is_file():
            self._map = chart
        else:
            self._report.add_absent("map_missing", where, chart.path)

    def finish(self, keep_size: bool = True) -> Sample:
        """Return the sample, and report what it lacks.

        Args:
            keep_size: whether the picture must have the size that was given, since boxes were
                measured in its pixels.
        """
        if not self.captions:
            self._report.add("caption_missing", self._where, "There is no caption.")
        if not (self._regions or self._persons or self._map):
            self._report.add("grounding_missing", self._where, "There is no region, person or map.")
        areas = [_area(region.box) for region in self._regions]
        regions = self._largest(self._regions, areas, MAX_REGIONS, "regions")
        areas = [area for area, _ in self._persons]
        people = [person for _, person in self._persons]
        return Sample(
            id=self._identity,
            picture=self._picture,
            captions=tuple(self.captions),
            layout=Layout(
                tuple(regions), tuple(self._largest(people, areas, MAX_PERSONS, "persons"))
            ),
            map=self._map,
            size=self.size if keep_size else None,
            where=self._where,
        )

    def _largest(self, items: list[Any], areas: list[float], limit: int, name: str) -> list[Any]:
        """Return the `limit` largest items, in the order in which they were given."""
        if len(items) <= limit:
            return items
        message = f"There are {len(items)} {name}; the {limit} largest are kept."
        self._report.add(f"{name}_too_many", self._where, message)
        order = sorted(range(len(items)), key=lambda i: -areas[i])[:limit]
        return [items[i] for i in sorted(order)]

    def _clean_box(self, box: Any, where: str) -> Box | None:
        numbers = _numbers(box, 4)
        if numbers is None:
            message = f"The box is {_short(box)}; it must be four finite numbers."
            self._report.add("box_invalid", where, message)
            return None
        x0, y0, x1, y1 = numbers
        width, height = self.size
        shown = f"({x0 * width:g}, {y0 * height:g}, {x1 * width:g}, {y1 * height:g})"
        frame = f"of a picture of {width} x {height} pixels"
        overshoot = max(-x0, -y0, x1 - 1, y1 - 1)
        pixels = max(-x0 * width, -y0 * height, (x1 - 1) * width, (y1 - 1) * height)
        if overshoot > _ROUNDING:
            rule = "box_clipped" if pixels <= TOLERANCE + _ROUNDING else "box_outside"
            message = f"The box {shown} {frame} reaches {pixels:g} pixels outside."
            self._report.add(rule, where, message)
            if rule == "box_outside":
                return None
        x0, y0, x1, y1 = (min(max(number, 0.0), 1.0) for number in numbers)
        if x0 >= x1 or y0 >= y1:
            message = f"The box {shown} {frame} has no width or height (its order is xyxy)."
            self._report.add("box_degenerate", where, message)
            return None
        return x0, y0, x1, y1

    def _clean_joint(self, joint: Any, where: str) -> Point | None:
        x, y = (float(number) for number in joint)
        width, height = self.size
        pixels = max(-x * width, (x - 1) * width, -y * height, (y - 1) * height)
        if max(-x, x - 1, -y, y - 1) > _ROUNDING:
            rule = "keypoints_clipped" if pixels <= TOLERANCE + _ROUNDING else "keypoints_outside"
            message = f"A joint is {pixels:g} pixels outside, at ({x * width:g}, {y * height:g})."
            self._report.add(rule, where, message)
            if rule == "keypoints_outside":
                return None
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)


def box_of_corner_and_size(box: Any, size: tuple[int, int]) -> Any:
    """Turn COCO's (x, y, width, height) in pixels into xyxy in fractions; what is none stays."""
    numbers = _numbers(box, 4)
    if numbers is None:
        return box
    x, y, w, h = numbers
    return x / size[0], y / size[1], (x + w) / size[0], (y + h) / size[1]


def box_of_pixels(box: Any, size: tuple[int, int]) -> Any:
    """Turn xyxy in pixels into fractions of a picture of that size; what is no box stays."""
    numbers = _numbers(box, 4)
    if numbers is None:
        return box
    x0, y0, x1, y1 = numbers
    return x0 / size[0], y0 / size[1], x1 / size[0], y1 / size[1]


def checked_size(width: Any, height: Any) -> tuple[int, int] | None:
    """Return the two if they are whole numbers that a picture's sides can be."""
    is_size = all(type(side) is int and 0 < side < _MAX_SIDE for side in (width, height))
    return (width, height) if is_size else None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, (list, tuple)) or len(value) != count:
        return None
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value):
        return None
    try:
        numbers = tuple(map(float, value))
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _is_point(joint: Any) -> bool:
    return joint is None or _numbers(joint, 2) is not None


def _area(box: Box) -> float:
    x0, y0, x1, y1 = box
    return (x1 - x0) * (y1 - y0)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
