import pytest

from gligen.layout import Layout
from gligen.person import BONES, JOINTS, Person

POINTS = tuple((i / 20, 1 - i / 20) for i in range(1, 18))


def test_a_joint_may_be_unseen():
    person = Person((None, (0, 0), *POINTS[2:]))
    assert person.keypoints[:3] == (None, None, POINTS[2])
    assert person.box == pytest.approx((0.15, 0.15, 0.85, 0.85))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (POINTS[:-1], "16 keypoints; there must be 17"),
        ((None,) * 17, "no visible keypoint"),
        ((*POINTS[:-1], (1.2, 0.5)), r"right ankle is at \(1.2, 0.5\).*\[0, 1\]"),
        ((*POINTS[:-1], (float("nan"), 0.5)), "nan"),
    ],
)
def test_a_bad_person_is_refused(points, words):
    with pytest.raises(ValueError, match=words):
        Person(points)


def test_a_joint_is_two_numbers():
    with pytest.raises(TypeError):
        Person((*POINTS[:-1], "left"))  # type: ignore[arg-type]


def test_coco_keypoints_are_pixels_with_visibility():
    flat = [v for i in range(17) for v in (10 * i, 5 * i, 2 if i else 0)]
    person = Person.from_coco(flat, 200, 100)
    assert person.keypoints[0] is None
    assert person.keypoints[4] == (0.2, 0.2)
    with pytest.raises(ValueError, match="51 numbers.*not 50"):
        Person.from_coco(flat[:-1], 200, 100)


def test_nine_persons_are_too_many():
    assert Layout(persons=(Person(POINTS),) * 8)
    with pytest.raises(ValueError, match="9 persons.*Remove 1"):
        Layout(persons=(Person(POINTS),) * 9)


def test_persons_travel_as_json():
    layout = Layout(persons=(Person((None, *POINTS[1:])),))
    assert Layout.from_json(layout.to_json()) == layout


def test_every_joint_has_a_bone():
    assert {joint for bone in BONES for joint in bone} == set(range(len(JOINTS)))
