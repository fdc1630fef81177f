"""A person as the keypoint kind sees one: 17 joints, in COCO's order.

Coordinates are (x, y) in [0, 1] of the picture, x to the right, y down. Left and right are the
person's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_PERSONS = 8  # of the released model

JOINTS = (
    "nose",
    "left eye",
    "right eye",
    "left ear",
    "right ear",
    "left shoulder",
    "right shoulder",
    "left elbow",
    "right elbow",
    "left wrist",
    "right wrist",
    "left hip",
    "right hip",
    "left knee",
    "right knee",
    "left ankle",
    "right ankle",
)

# Pairs of joints that a drawing of a person connects, as indices into JOINTS.
BONES = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (5, 6),
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 11),
    (6, 12),
    (11, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Person:
    """The joints of one person; None where a joint is not seen.

    The point (0, 0) counts as not seen, as in COCO's files and in the original.

    Raises:
        ValueError: there are not 17 joints, none is seen, or a coordinate lies outside [0, 1].
        TypeError: a joint is not a pair of numbers.
    """

    keypoints: tuple[Point | None, ...]  # one for each of JOINTS

    def __post_init__(self):
        points = tuple(self.keypoints)
        if len(points) != len(JOINTS):
            raise ValueError(
                f"A person has {len(points)} keypoints; there must be {len(JOINTS)}, in COCO's "
                f"order ({JOINTS[0]}, {JOINTS[1]}, ..., {JOINTS[-1]}), None for one not seen."
            )
        points = tuple(
            None if point is None else _check_point(point, joint)
            for point, joint in zip(points, JOINTS, strict=True)
        )
        points = tuple(None if point == (0, 0) else point for point in points)
        if not any(points):
            raise ValueError("A person has no visible keypoint; give at least one, or no person.")
        object.__setattr__(self, "keypoints", points)

    @classmethod
    def from_coco(cls, keypoints: Sequence[float], width: float, height: float) -> "Person":
        """Read COCO's flat list x, y, v, x, y, v, ... in pixels of a picture; v = 0 is not seen.

        Raises:
            ValueError: there are not 51 numbers, or a point lies outside the picture.
        """
        if len(keypoints) != 3 * len(JOINTS):
            raise ValueError(
                f"A person in COCO's form has {3 * len(JOINTS)} numbers (x, y, v for each of the "
                f"{len(JOINTS)} joints), not {len(keypoints)}."
            )
        triples = (keypoints[i : i + 3] for i in range(0, len(keypoints), 3))
        return cls(tuple((x / width, y / height) if v > 0 else None for x, y, v in triples))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest box, xyxy, around the joints that are seen."""
        seen = [point for point in self.keypoints if point is not None]
        xs, ys = zip(*seen, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def _check_point(point: Any, joint: str) -> Point:
    try:
        x, y = (float(value) for value in point)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"The {joint} is {point!r}; it must be two numbers x, y, or None."
        ) from None
    if not (math.isfinite(x) and math.isfinite(y) and 0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(
            f"The {joint} is at ({x:g}, {y:g}); coordinates are fractions of the picture and must "
            "lie in [0, 1]. Give None for a joint that is not seen."
        )
    return x, y
