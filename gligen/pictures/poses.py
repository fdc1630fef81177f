"""Reads poses of people from JSON: our own form, COCO's annotations, and OpenPose's output."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gligen.person import JOINTS, Person

_FORMS = (
    f"[[[x, y], null, ...], ...] with {len(JOINTS)} joints a person and coordinates in [0, 1], an "
    'object with such "persons", a COCO file with "annotations", or OpenPose\'s with "people"'
)

# Where OpenPose's lists have the joints of COCO's order.
_OPENPOSE_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
_OPENPOSE_25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)
_ORDERS = {17: tuple(range(17)), 18: _OPENPOSE_18, 25: _OPENPOSE_25}


def read_poses(text: str) -> tuple[Person, ...]:
    """Return the people of a JSON text.

    Raises:
        ValueError: it is not JSON, of no form that is known, or a person breaks a rule.
        TypeError: a joint is not a pair of numbers.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The pose is not JSON ({error}); it must be {_FORMS}.") from None
    return poses_from(value)


def poses_from(value: Any) -> tuple[Person, ...]:
    """Return the people that a decoded JSON value describes; raises as `read_poses`."""
    # Editors of poses write a list of pictures, each in OpenPose's form.
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0]
    if isinstance(value, Mapping):
        if "annotations" in value:
            return _from_coco(value)
        if "people" in value:
            return _from_openpose(value)
        value = value.get("persons")
    if not isinstance(value, list):
        raise ValueError(  # noqa: TRY004 (a file is wrong, not an argument)
            f"The pose cannot be read; it must be {_FORMS}."
        )
    return tuple(_from_points(points, number) for number, points in enumerate(value, start=1))


def _from_points(points: Any, number: int) -> Person:
    if not isinstance(points, Sequence) or isinstance(points, str):
        raise TypeError(f"Person {number} is {points!r}; people are written as {_FORMS}.")
    return _person(tuple(p if p is None else _pair(p) for p in points), number)


def _pair(point: Any) -> Any:
    return tuple(point) if isinstance(point, list) else point


def _person(points: tuple[Any, ...], number: int) -> Person:
    try:
        return Person(points)
    except (ValueError, TypeError) as error:
        raise type(error)(f"Person {number}: {error}") from None


def _from_coco(value: Mapping[str, Any]) -> tuple[Person, ...]:
    entries = [entry for entry in _entries(value, "annotations") if entry.get("num_keypoints", 1)]
    entries = [entry for entry in entries if entry.get("keypoints")]
    pictures = {entry.get("image_id") for entry in entries}
    if len(pictures) > 1:
        raise ValueError(
            f"The file has the keypoints of {len(pictures)} pictures; keep the annotations of one."
        )
    found = {picture.get("id"): picture for picture in _entries(value, "images")}
    picture = found.get(next(iter(pictures), None), {})
    return tuple(
        _from_pixels(entry["keypoints"], picture.get("width"), picture.get("height"), number)
        for number, entry in enumerate(entries, start=1)
    )


def _from_openpose(value: Mapping[str, Any]) -> tuple[Person, ...]:
    width, height = value.get("canvas_width"), value.get("canvas_height")
    return tuple(
        _from_pixels(entry.get("pose_keypoints_2d"), width, height, number)
        for number, entry in enumerate(_entries(value, "people"), start=1)
    )


def _entries(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = value.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f'The pose has "{name}" that are not a list of objects; it is {_FORMS}.')
    return entries


def _from_pixels(numbers: Any, width: Any, height: Any, number: int) -> Person:
    """Read x, y and confidence of each joint; a confidence of 0 is a joint that is not seen."""
    is_flat = isinstance(numbers, list) and all(_is_number(n) for n in numbers)
    if not is_flat or len(numbers) % 3 or len(numbers) // 3 not in _ORDERS:
        raise ValueError(
            f"Person {number} has no list of x, y and confidence for 17 (COCO), 18 or 25 "
            "(OpenPose) joints."
        )
    if (width or height) and not (_is_number(width) and _is_number(height)):
        raise ValueError(
            f"The picture of the pose is said to be {width!r} x {height!r}; both must be numbers."
        )
    triples = [numbers[i : i + 3] for i in range(0, len(numbers), 3)]
    seen = [triple[2] > 0 for triple in triples]
    if not (width and height):
        # OpenPose can write fractions of the picture instead of pixels.
        if any(max(x, y) > 1 for x, y, confidence in triples if confidence > 0):
            raise ValueError(
                "The pose is in pixels and does not say of which size of picture; add "
                '"canvas_width" and "canvas_height" (OpenPose), or the entry in "images" (COCO).'
            )
        width = height = 1
    points = [
        (x / width, y / height) if s else None for (x, y, _), s in zip(triples, seen, strict=True)
    ]
    return _person(tuple(points[i] for i in _ORDERS[len(points)]), number)


def _is_number(value: Any) -> bool:
    """Whether it is a number that can be a coordinate; JSON also holds words, NaN and giants."""
    return isinstance(value, (int, float)) and -1e6 < value < 1e6
