"""Average precision, as COCO counts it."""

import numpy as np
import pytest

from gligen.evaluation.metrics import (
    Thing,
    box_precision,
    intersection_over_union,
    joint_precision,
)
from gligen.world import ScenePerson
from gligen.world.people import moved, sample_person

ASKED = (0.0, 0.0, 0.5, 0.5)
MISSED = (0.5, 0.5, 1.0, 1.0)
HALF = (0.0, 0.0, 0.5, 0.25)  # half the box: overlap 0.5


def asked(count, name="dog"):
    return [Thing(picture, name, ASKED) for picture in range(count)]


def found(picture, box=ASKED, score=0.9, name="dog"):
    return Thing(picture, name, box, score)


def test_overlap():
    assert intersection_over_union(ASKED, ASKED) == 1
    assert intersection_over_union(ASKED, MISSED) == 0
    assert intersection_over_union(ASKED, HALF) == 0.5
    assert intersection_over_union((0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75)) == pytest.approx(
        1 / 7
    )


def test_everything_in_its_box_is_1_and_nothing_is_0():
    perfect = box_precision(asked(3), [found(i) for i in range(3)])
    assert (perfect.ap, perfect.ap50, perfect.ap75) == (1, 1, 1)
    for results in ([], [found(i, MISSED) for i in range(3)]):
        nothing = box_precision(asked(3), results)
        assert (nothing.ap, nothing.ap50, nothing.ap75) == (0, 0, 0)


def test_a_good_ranking_is_rewarded():
    # Hit, miss: precision 1 up to recall 0.5, never more. 51 of 101 recalls.
    hit_first = [found(0, score=0.9), found(1, MISSED, score=0.4)]
    assert box_precision(asked(2), hit_first).ap50 == pytest.approx(51 / 101)
    miss_first = [found(0, score=0.4), found(1, MISSED, score=0.9)]
    assert box_precision(asked(2), miss_first).ap50 == pytest.approx(0.5 * 51 / 101)


def test_things_that_nobody_asked_for_count_against():
    wanted = [*asked(2), Thing(2, "sun", ASKED)]
    right = [found(0), found(1), found(2, name="sun")]
    stray = found(2, name="dog", score=0.95)
    assert box_precision(wanted, right).ap50 == 1
    assert box_precision(wanted, [*right, stray]).by_name["dog"] < 0.7
    # A name that is asked for nowhere has no average.
    assert box_precision(wanted, [*right, found(0, name="pig")]).by_name.keys() == {"dog", "sun"}
    # Also in a picture that was asked for nothing at all.
    assert box_precision(wanted, [*right, found(9, score=0.95)]).ap50 < 1


def test_thresholds_are_told_apart():
    most = (0.0, 0.0, 0.5, 0.35)  # overlap 0.7: of ten thresholds, 0.50 to 0.70 are passed
    precision = box_precision(asked(1), [found(0, most)])
    assert precision.ap50 == pytest.approx(1)
    assert precision.ap75 == 0
    assert precision.ap == pytest.approx(0.5, abs=0.11)


def test_the_mean_is_over_names():
    wanted = [*asked(9), Thing(20, "sun", ASKED)]
    precision = box_precision(wanted, [*(found(i) for i in range(9)), found(20, MISSED)])
    assert precision.ap50 == 0.5
    assert precision.by_name == {"dog": 1, "sun": 0}


def test_nothing_asked_for_is_refused():
    with pytest.raises(ValueError, match="nothing to judge"):
        box_precision([], [found(0)])


def person(picture, shift=0.0, score=1.0):
    own = moved(sample_person(np.random.default_rng(picture), 0.6), 0.1 + shift, 0.1)
    assert isinstance(own, ScenePerson)
    return Thing(picture, "person", own.box, score, own)


def test_joints_are_judged_by_their_similarity():
    wanted = [person(i) for i in range(3)]
    assert joint_precision(wanted, [person(i, score=0.9) for i in range(3)]).ap == 1
    # A shift that leaves the joints within COCO's tolerance of 0.5, not of 0.95.
    near = joint_precision(wanted, [person(i, shift=0.02) for i in range(3)])
    assert near.ap50 == 1
    assert near.ap < 1
    assert joint_precision(wanted, [person(i, shift=0.3) for i in range(3)]).ap50 == 0


def test_the_similarity_is_that_of_the_poses():
    from gligen.evaluation.poses import keypoint_similarity

    wanted, near = person(0), person(0, shift=0.03)
    similarity = keypoint_similarity(near.person, wanted.person)
    passed = sum(similarity >= threshold for threshold in np.linspace(0.5, 0.95, 10))
    assert joint_precision([wanted], [near]).ap == pytest.approx(passed / 10)
    assert 0 < passed < 10
