"""The persons of the synthetic world: simple figures with the 17 joints of COCO, in many poses.

Every part of the body has its own colour, so that the joints can be found again in a picture: a
person's left side (on the right of the picture, since all face the viewer) is blue, cyan, green and
lime, the right side red, orange, purple and brown. A figure is drawn from its joints alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Joint = tuple[float, float]  # x, y in [0, 1] of the picture
Box = tuple[float, float, float, float]  # xyxy in [0, 1]
Colour = tuple[int, int, int]  # RGB, 0-255

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 5, 6, 11, 12

SKIN: Colour = (255, 218, 178)
TORSO: Colour = (250, 208, 40)
OUTLINE: Colour = (28, 28, 34)
# A limb's first and second joint and its colour, in the order of drawing.
LIMBS: tuple[tuple[int, int, Colour], ...] = (
    (11, 13, (20, 120, 60)),
    (13, 15, (135, 225, 50)),
    (12, 14, (130, 50, 190)),
    (14, 16, (125, 70, 35)),
    (5, 7, (40, 80, 225)),
    (7, 9, (50, 205, 235)),
    (6, 8, (220, 40, 45)),
    (8, 10, (248, 130, 25)),
)

# Sizes as shares of the torso's length (middle of the shoulders to middle of the hips).
LIMB_RADIUS = 0.15
OUTLINE_WIDTH = 0.06
SHOULDER_WIDTH, HIP_WIDTH = 0.36, 0.24  # from the middle to one side
UPPER_ARM, LOWER_ARM, THIGH, SHIN = 0.58, 0.56, 0.78, 0.78
HEAD_RADIUS, HEAD_HEIGHT = 0.36, 0.62  # height: of the head's middle above the shoulders

_SUPERSAMPLING = 4  # drawn so much larger, then averaged down


@dataclass(frozen=True)
class ScenePerson:
    """One figure in a scene."""

    joints: tuple[Joint, ...]  # in the order of `gligen.person.JOINTS`

    @property
    def box(self) -> Box:
        """The rectangle around the drawn figure, xyxy in [0, 1], cut at the picture's edge."""
        points = np.array(self.joints)
        unit = _torso_length(points)
        centre, radius = _head(points)
        limbs = points[5:]
        margin = (LIMB_RADIUS + OUTLINE_WIDTH) * unit
        low = np.minimum(limbs.min(0) - margin, centre - radius - OUTLINE_WIDTH * unit)
        high = np.maximum(limbs.max(0) + margin, centre + radius + OUTLINE_WIDTH * unit)
        x0, y0, x1, y1 = np.clip(np.concatenate([low, high]), 0, 1).tolist()
        return x0, y0, x1, y1


def sample_person(rng: np.random.Generator, height: float) -> ScenePerson:
    """Draw a figure in a random pose whose box is `height` high (or wide, if it is wider).

    It stands at the top left of the picture: `moved` puts it elsewhere.
    """
    points = _random_pose(rng)
    points = points - points.min(0) + 2  # far from the edges, where the box would be cut
    points = points / (2 * points.max())
    x0, y0, x1, y1 = ScenePerson(_as_joints(points)).box
    points = (points - (x0, y0)) * height / max(x1 - x0, y1 - y0)
    return ScenePerson(_as_joints(points))


def moved(person: ScenePerson, x: float, y: float) -> ScenePerson:
    """Return the figure moved by x to the right and y down."""
    return ScenePerson(tuple((a + x, b + y) for a, b in person.joints))


def _as_joints(points: np.ndarray) -> tuple[Joint, ...]:
    return tuple((float(x), float(y)) for x, y in points)


# Angles in degrees, from straight down towards the outside of the body: (upper, lower) of an arm
# or leg, each a mean; jitter is added. 180 is straight up.
_POSES: tuple[tuple[tuple[float, float], tuple[float, float]], ...] = (
    ((18, 8), (6, 3)),  # standing
    ((155, 165), (8, 4)),  # arms up
    ((90, 90), (28, 26)),  # a star
    ((60, -50), (10, 5)),  # hands on the hips
    ((75, 165), (12, 6)),  # elbows out, hands up
    ((30, 20), (80, 0)),  # sitting, knees apart
    ((100, 60), (60, -25)),  # squatting
    ((40, 40), (30, 10)),  # walking
)
_JITTER = 14.0  # standard deviation of every angle, degrees


def _random_pose(rng: np.random.Generator) -> np.ndarray:
    """Return joints (17, 2) with torso length 1; arms and legs are posed independently."""
    arms = [_POSES[rng.integers(len(_POSES))][0]] * 2
    if rng.random() < 0.4:  # the other arm does something else: waving, pointing, walking
        arms[1] = _POSES[rng.integers(len(_POSES))][0]
    legs = [_POSES[rng.integers(len(_POSES))][1]] * 2
    if rng.random() < 0.25:
        legs[1] = _POSES[rng.integers(len(_POSES))][1]
    points = np.zeros((17, 2))
    for side, sign in ((0, 1), (1, -1)):  # left is on the right of the picture
        shoulder = np.array([sign * SHOULDER_WIDTH, 0.0])
        hip = np.array([sign * HIP_WIDTH, 1.0])
        points[5 + side], points[11 + side] = shoulder, hip
        for start, angles, lengths, first in (
            (shoulder, arms[side], (UPPER_ARM, LOWER_ARM), 7),
            (hip, legs[side], (THIGH, SHIN), 13),
        ):
            joint = start
            for step in range(2):
                angle = math.radians(angles[step] + rng.normal(0, _JITTER))
                joint = joint + lengths[step] * np.array([sign * math.sin(angle), math.cos(angle)])
                points[first + 2 * step + side] = joint
    points[:5] = _face(rng)
    lean = math.radians(rng.normal(0, 6))
    turn = np.array([[math.cos(lean), math.sin(lean)], [-math.sin(lean), math.cos(lean)]])
    return points @ turn


def _face(rng: np.random.Generator) -> np.ndarray:
    tilt = math.radians(rng.normal(0, 8))
    right = np.array([math.cos(tilt), math.sin(tilt)]) * HEAD_RADIUS
    down = np.array([-math.sin(tilt), math.cos(tilt)]) * HEAD_RADIUS
    centre = np.array([0.0, -HEAD_HEIGHT])
    return np.array(
        [
            centre + 0.15 * down,
            centre + 0.4 * right - 0.2 * down,
            centre - 0.4 * right - 0.2 * down,
            centre + right,
            centre - right,
        ]
    )


def _torso_length(points: np.ndarray) -> float:
    shoulders = (points[LEFT_SHOULDER] + points[RIGHT_SHOULDER]) / 2
    hips = (points[LEFT_HIP] + points[RIGHT_HIP]) / 2
    return float(np.linalg.norm(shoulders - hips))


def _head(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the middle and the radius of the head."""
    left, right = points[LEFT_EAR], points[RIGHT_EAR]
    return (left + right) / 2, float(np.linalg.norm(left - right)) / 2


def draw_person(canvas: np.ndarray, person: ScenePerson) -> None:
    """Paint a figure on `canvas`, float32 (S, S, 3) in [0, 255], in place."""
    rgba = _figure(person, canvas.shape[0])
    canvas += rgba[..., :3] - rgba[..., 3:] * canvas


def figure_mask(person: ScenePerson, size: int) -> np.ndarray:
    """Return the share of each pixel that a figure covers, float32 (size, size)."""
    return _figure(person, size)[..., 3]


def _figure(person: ScenePerson, size: int) -> np.ndarray:
    """Return colours (premultiplied, 0-255) and alpha (0-1), float32 (size, size, 4)."""
    side = size * _SUPERSAMPLING
    figure = Image.new("RGBA", (side, side))
    points = np.array(person.joints) * size * _SUPERSAMPLING
    unit = _torso_length(points)
    pen = ImageDraw.Draw(figure)
    # First the whole figure a little thicker in the outline's colour, then its parts.
    _draw_parts(pen, points, OUTLINE_WIDTH * unit, OUTLINE)
    _draw_parts(pen, points, 0.0, None)
    _draw_eyes(pen, points, unit)
    rgba = np.asarray(figure, np.float32).reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 4)
    alpha = rgba[..., 3:] / 255
    return np.concatenate([rgba[..., :3] * alpha, alpha], axis=-1).mean((1, 3))


def _draw_parts(
    pen: ImageDraw.ImageDraw, points: np.ndarray, extra: float, colour: Colour | None
) -> None:
    unit = _torso_length(points)
    radius = LIMB_RADIUS * unit + extra
    centre, head = _head(points)
    corners = [points[i] for i in (LEFT_SHOULDER, RIGHT_SHOULDER, RIGHT_HIP, LEFT_HIP)]
    legs, arms = LIMBS[:4], LIMBS[4:]
    for first, second, own in legs:
        _capsule(pen, points[first], points[second], radius, colour or own)
    pen.polygon([tuple(corner) for corner in corners], fill=colour or TORSO)
    for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
        _capsule(pen, one, other, 0.6 * radius, colour or TORSO)
    _disc(pen, centre, head + extra, colour or SKIN)
    for first, second, own in arms:
        _capsule(pen, points[first], points[second], radius, colour or own)


def _draw_eyes(pen: ImageDraw.ImageDraw, points: np.ndarray, unit: float) -> None:
    for eye in (LEFT_EYE, RIGHT_EYE):
        _disc(pen, points[eye], 0.06 * unit, OUTLINE)
    _disc(pen, points[NOSE], 0.05 * unit, (225, 120, 100))


def _capsule(
    pen: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, radius: float, colour: Colour
) -> None:
    along = end - start
    length = float(np.linalg.norm(along))
    if length > 0:
        across = np.array([-along[1], along[0]]) * radius / length
        corners = (start + across, end + across, end - across, start - across)
        pen.polygon([tuple(corner) for corner in corners], fill=colour)
    _disc(pen, start, radius, colour)
    _disc(pen, end, radius, colour)


def _disc(pen: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, colour: Colour) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
