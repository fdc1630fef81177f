"""Poses from JSON: our own form, COCO's, and both of OpenPose's."""

import json

import pytest

from gligen.person import JOINTS
from gligen.pictures.poses import poses_from, read_poses

POINTS = [[0.1 + i * 0.04, 0.9 - i * 0.05] for i in range(17)]


def openpose(names: list[str]) -> list[float]:
    """Write the points under the names of OpenPose's list; joints that COCO lacks are far away."""
    numbers = []
    for name in names:
        x, y = POINTS[JOINTS.index(name)] if name in JOINTS else (0.99, 0.99)
        numbers += [x * 200, y * 100, 0.8]
    return numbers


def sides(*names: str) -> list[str]:
    return list(names)


ARMS_18 = sides("right shoulder", "right elbow", "right wrist")
ARMS_18 += sides("left shoulder", "left elbow", "left wrist")
LEGS_RIGHT = sides("right hip", "right knee", "right ankle")
LEGS_LEFT = sides("left hip", "left knee", "left ankle")
FACE = sides("right eye", "left eye", "right ear", "left ear")
NAMES_18 = ["nose", "neck", *ARMS_18, *LEGS_RIGHT, *LEGS_LEFT, *FACE]
NAMES_25 = ["nose", "neck", *ARMS_18, "middle", *LEGS_RIGHT, *LEGS_LEFT, *FACE, *("foot",) * 6]


def close(person) -> bool:
    return all(
        point == pytest.approx(expected)
        for point, expected in zip(person.keypoints, POINTS, strict=True)
    )


def test_our_own_form_as_a_list_and_as_a_layout():
    hidden = [None, *POINTS[1:]]
    for value in ([POINTS, hidden], {"persons": [POINTS, hidden], "regions": []}):
        first, second = read_poses(json.dumps(value))
        assert close(first)
        assert second.keypoints[0] is None


@pytest.mark.parametrize("names", [NAMES_18, NAMES_25], ids=["18", "25"])
def test_openpose_names_its_joints_in_another_order(names):
    people = [{"pose_keypoints_2d": openpose(names)}]
    whole = {"people": people, "canvas_width": 200, "canvas_height": 100}
    for value in (whole, [whole]):
        (person,) = poses_from(value)
        assert close(person)


def test_openpose_may_be_in_fractions():
    numbers = openpose(NAMES_18)
    numbers[0::3] = [x / 200 for x in numbers[0::3]]
    numbers[1::3] = [y / 100 for y in numbers[1::3]]
    (person,) = poses_from({"people": [{"pose_keypoints_2d": numbers}]})
    assert close(person)


def test_coco_knows_the_size_from_its_list_of_pictures():
    numbers = [n for x, y in POINTS for n in (x * 640, y * 480, 2)]
    numbers[:3] = [0, 0, 0]
    value = {
        "images": [{"id": 4, "width": 1, "height": 1}, {"id": 7, "width": 640, "height": 480}],
        "annotations": [
            {"image_id": 7, "keypoints": numbers, "num_keypoints": 16},
            {"image_id": 7, "keypoints": [0] * 51, "num_keypoints": 0},
        ],
    }
    (person,) = poses_from(value)
    assert person.keypoints[0] is None
    assert person.keypoints[5] == pytest.approx(POINTS[5])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nobody", "cannot be read"),
        ({"regions": []}, "cannot be read"),
        ([POINTS[:16]], "Person 1: A person has 16"),
        ([POINTS, [*POINTS[:16], [2, 0]]], r"Person 2: The right ankle is at \(2, 0\)"),
        ([[None] * 17], "no visible"),
        (["a"], "Person 1 is 'a'"),
        ({"people": "many"}, "not a list of objects"),
        ({"people": [{"pose_keypoints_2d": [1, 2, 3]}]}, "17 .COCO., 18 or 25"),
        ({"people": [{}]}, "17 .COCO., 18 or 25"),
        ({"people": [{"pose_keypoints_2d": openpose(NAMES_18)}]}, "which size"),
        ({"people": [{"pose_keypoints_2d": [0] * 54}]}, "no visible"),
        ({"people": [{"pose_keypoints_2d": [10**400] * 54}]}, "17 .COCO., 18 or 25"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 54}]}, "17 .COCO., 18 or 25"),
        (
            {
                "people": [{"pose_keypoints_2d": openpose(NAMES_18)}],
                "canvas_width": "wide",
                "canvas_height": 100,
            },
            "'wide' x 100",
        ),
        ([[[10**400, 0]] * 17], "Person 1"),
        (
            {"annotations": [{"image_id": i, "keypoints": [1] * 51} for i in range(3)]},
            "of 3 pictures",
        ),
    ],
)
def test_other_things_are_refused_with_a_sentence(value, words):
    with pytest.raises((ValueError, TypeError), match=words):
        poses_from(value)


def test_what_is_not_json_is_refused():
    with pytest.raises(ValueError, match="not JSON"):
        read_poses("{'a'")
    with pytest.raises(ValueError, match="not JSON"):
        read_poses("[" * 100_000)
