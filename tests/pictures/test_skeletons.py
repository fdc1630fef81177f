"""Drawing persons: every visible joint and bone, left and right in their colours."""

import numpy as np
import pytest
from PIL import Image

from gligen.person import BONES, JOINTS, Person
from gligen.pictures.skeletons import (
    LEFT_COLOUR,
    MIDDLE_COLOUR,
    RIGHT_COLOUR,
    bone_colour,
    draw_persons,
)

# A person seen from the front: their left is on the right of the picture. In [0, 1].
FRONT = {
    "nose": (0.5, 0.12),
    "left eye": (0.55, 0.08),
    "right eye": (0.45, 0.08),
    "left ear": (0.62, 0.1),
    "right ear": (0.38, 0.1),
    "left shoulder": (0.65, 0.25),
    "right shoulder": (0.35, 0.25),
    "left elbow": (0.8, 0.4),
    "right elbow": (0.2, 0.4),
    "left wrist": (0.92, 0.55),
    "right wrist": (0.08, 0.55),
    "left hip": (0.6, 0.55),
    "right hip": (0.4, 0.55),
    "left knee": (0.66, 0.75),
    "right knee": (0.34, 0.75),
    "left ankle": (0.7, 0.95),
    "right ankle": (0.3, 0.95),
}


def person(**hidden):
    return Person(tuple(None if hidden.get(j.replace(" ", "_")) else FRONT[j] for j in JOINTS))


def drawn(*persons, size=(200, 300)):
    return np.asarray(draw_persons(Image.new("RGB", size), persons))


def at(pixels, point):
    height, width = pixels.shape[:2]
    return tuple(pixels[round(point[1] * (height - 1)), round(point[0] * (width - 1))])


def middle(a, b):
    return tuple((FRONT[a][axis] + FRONT[b][axis]) / 2 for axis in (0, 1))


def test_every_joint_and_bone_is_there():
    pixels = drawn(person(), size=(600, 900))
    for index, joint in enumerate(JOINTS):
        assert at(pixels, FRONT[joint]) == bone_colour(index, index), joint
    for a, b in BONES:
        assert at(pixels, middle(JOINTS[a], JOINTS[b])) == bone_colour(a, b), (a, b)


@pytest.mark.parametrize(
    ("start", "end", "colour"),
    [
        ("left elbow", "left wrist", LEFT_COLOUR),
        ("right knee", "right ankle", RIGHT_COLOUR),
        ("nose", "left eye", LEFT_COLOUR),
        ("nose", "right eye", RIGHT_COLOUR),
        ("left hip", "right hip", MIDDLE_COLOUR),
        ("nose", "nose", MIDDLE_COLOUR),
    ],
)
def test_sides_have_their_colours(start, end, colour):
    assert bone_colour(JOINTS.index(start), JOINTS.index(end)) == colour
    assert len({LEFT_COLOUR, RIGHT_COLOUR, MIDDLE_COLOUR}) == 3


def test_what_is_not_seen_is_not_drawn():
    pixels = drawn(person(left_elbow=True))
    assert at(pixels, FRONT["left elbow"]) == (0, 0, 0)
    assert at(pixels, middle("left shoulder", "left elbow")) == (0, 0, 0)
    assert at(pixels, middle("left elbow", "left wrist")) == (0, 0, 0)
    assert at(pixels, FRONT["left wrist"]) == LEFT_COLOUR


def test_every_person_is_drawn_and_the_picture_stays():
    one = Person(tuple((0.1, 0.2) if j == "nose" else None for j in JOINTS))
    two = Person(tuple((0.8, 0.9) if j == "nose" else None for j in JOINTS))
    ground = Image.new("L", (100, 100), 7)
    pixels = np.asarray(draw_persons(ground, (one, two)))
    assert at(pixels, (0.1, 0.2)) == at(pixels, (0.8, 0.9)) == MIDDLE_COLOUR
    assert at(pixels, (0.5, 0.5)) == (7, 7, 7)
    assert ground.getextrema() == (7, 7)


def test_lines_show_on_their_own_colour_and_grow_with_the_picture():
    ground = Image.new("RGB", (200, 300), LEFT_COLOUR)
    pixels = np.asarray(draw_persons(ground, (person(),)))
    x, y = middle("left hip", "left knee")
    row = (pixels[round(y * 299), round(x * 199) - 6 : round(x * 199) + 7] == 255).all(-1)
    assert row[:6].any(), "a white rim on one side"
    assert row[7:].any(), "and on the other"
    assert not row[6]
    small = (drawn(person(), size=(100, 150)) > 0).any(-1).mean()
    large = (drawn(person(), size=(1000, 1500)) > 0).any(-1).mean()
    assert 0.25 < large / small < 1
