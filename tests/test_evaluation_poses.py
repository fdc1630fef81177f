"""Joints read off pictures of the synthetic world."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gligen.evaluation.poses import (
    SIGMAS,
    FoundPerson,
    find_persons,
    keypoint_similarity,
    match_persons,
)
from gligen.person import JOINTS
from gligen.world import ALL_SPRITE_NAMES, Scene, ScenePerson, draw_scene, sample_scene
from gligen.world.people import figure_mask, moved, sample_person

SCENES = [
    sample_scene(np.random.default_rng([4, seed]), names=ALL_SPRITE_NAMES, person_share=1.0)
    for seed in range(25)
]
PICTURES = [draw_scene(scene, np.random.default_rng(seed)) for seed, scene in enumerate(SCENES)]


def somebody(seed=0, height=0.7) -> ScenePerson:
    return moved(sample_person(np.random.default_rng(seed), height), 0.15, 0.15)


def similarities(pictures):
    found = [
        match_persons(find_persons(picture, len(scene.persons)), scene.persons)
        for picture, scene in zip(pictures, SCENES, strict=True)
    ]
    return [similarity for pairs in found for _, similarity in pairs]


def test_drawn_persons_are_found_with_their_joints():
    found = similarities(PICTURES)
    assert len(found) == sum(len(scene.persons) for scene in SCENES) > len(SCENES)
    assert min(found) >= 0.5
    assert np.mean(found) >= 0.8


@pytest.mark.slow
def test_persons_are_still_found_in_softer_pictures():
    soft = ImageFilter.GaussianBlur(0.7)
    blurred = [np.asarray(Image.fromarray(picture).filter(soft)) for picture in PICTURES]
    assert np.mean(np.array(similarities(blurred)) >= 0.5) >= 0.95


@pytest.mark.slow
def test_scores_tell_pictures_with_persons_from_others():
    without = [replace(scene, persons=()) for scene in SCENES]
    pictures = [draw_scene(scene, np.random.default_rng(i)) for i, scene in enumerate(without)]
    absent = [find_persons(picture, 1)[0].score for picture in pictures]
    present = [found.score for picture in PICTURES for found in find_persons(picture, 1)]
    assert max(absent) < 0.45 < min(present)


def test_two_persons_are_two_and_the_better_one_comes_first():
    scenes = [(s, p) for s, p in zip(SCENES, PICTURES, strict=True) if len(s.persons) == 2]
    for scene, picture in scenes:
        first, second = find_persons(picture, 2)
        assert first.score >= second.score
        assert keypoint_similarity(first.person, second.person) < 0.5
        assert all(pair[1] >= 0.5 for pair in match_persons([first, second], scene.persons))


def test_a_pose_turned_upside_down_is_not_taken_for_the_one_asked_for():
    for scene, picture in zip(SCENES[:8], PICTURES[:8], strict=True):
        asked = scene.persons[0]
        turned = ScenePerson(tuple((1 - x, 1 - y) for x, y in asked.joints))
        assert keypoint_similarity(find_persons(picture, 1)[0].person, turned) < 0.3


@pytest.mark.parametrize(
    "picture", [np.zeros((32, 64, 3), np.uint8), np.zeros((64, 64, 3), np.float32)]
)
def test_other_pictures_are_refused(picture):
    with pytest.raises(ValueError, match="poses are read from uint8 pictures"):
        find_persons(picture, 1)


def test_a_picture_of_nothing_gives_a_bad_score():
    (found,) = find_persons(np.zeros((64, 64, 3), np.uint8), 1)
    assert found.score < 0.2


# --- similarity ----------------------------------------------------------------------------------


def test_similarity_is_one_for_the_same_figure():
    assert keypoint_similarity(somebody(), somebody()) == 1


def test_similarity_is_cocos_formula():
    asked = somebody()
    joints = list(asked.joints)
    joints[JOINTS.index("left wrist")] = tuple(np.add(joints[9], (0.05, 0.0)))
    area = figure_mask(asked, 64).sum() / 64**2
    one = np.exp(-(0.05**2) / (2 * area * (2 * 0.062) ** 2))
    expected = (16 + one) / 17
    assert keypoint_similarity(ScenePerson(tuple(joints)), asked) == pytest.approx(expected)
    assert SIGMAS[JOINTS.index("right hip")] == 0.107
    assert SIGMAS[JOINTS.index("right elbow")] == 0.072


def test_the_same_distance_weighs_less_on_a_larger_figure():
    small, large = somebody(height=0.45), somebody(height=0.8)
    shifts = [keypoint_similarity(moved(p, 0.03, 0.0), p) for p in (small, large)]
    assert shifts[0] < shifts[1] < 1


def test_the_mask_of_a_figure_is_where_it_is_drawn():
    person = somebody()
    mask = figure_mask(person, 64)
    pictures = [
        draw_scene(Scene("plain gray", (), shown), np.random.default_rng(0)).astype(int)
        for shown in ((person,), ())
    ]
    changed = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 3
    assert mask.min() == 0
    assert mask.max() == pytest.approx(1)
    assert not (changed & (mask == 0)).any()
    assert (changed | (mask < 0.5)).mean() > 0.98


def test_every_asked_person_is_matched_once_and_by_the_better_figure_first():
    one, other = somebody(0, 0.4), moved(somebody(1, 0.4), 0.3, 0.2)
    near = moved(one, 0.01, 0.0)
    pairs = match_persons([FoundPerson(one, 0.9), FoundPerson(near, 0.8)], (one, other))
    assert pairs[0] == (0.9, 1.0)
    assert pairs[1][1] == pytest.approx(keypoint_similarity(near, other))
    assert match_persons([FoundPerson(one, 0.9)], ()) == [(0.9, 0.0)]
