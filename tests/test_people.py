"""The persons of the synthetic world: poses, pictures, captions."""

import itertools

import numpy as np
import pytest

from gligen.person import JOINTS
from gligen.world import (
    ALL_SPRITE_NAMES,
    IMAGE_SIZE,
    Scene,
    SceneObject,
    compose_caption,
    draw_scene,
    sample_scene,
)
from gligen.world.people import (
    LIMBS,
    LOWER_ARM,
    SHIN,
    SHOULDER_WIDTH,
    THIGH,
    TORSO,
    UPPER_ARM,
    ScenePerson,
    moved,
    sample_person,
)
from gligen.world.scenes import MAX_OVERLAP, PERSON_SIDES


def persons(count, height=0.8):
    rng = np.random.default_rng(5)
    return [sample_person(rng, height) for _ in range(count)]


def person_scenes(count, share=1.0):
    rng = np.random.default_rng(6)
    return [sample_scene(rng, names=ALL_SPRITE_NAMES, person_share=share) for _ in range(count)]


def joint(person, name):
    return np.array(person.joints[JOINTS.index(name)])


def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))


def changed_pixels(person):
    """Return the rows and columns that a person changes on a flat picture."""
    pictures = [
        draw_scene(Scene("plain gray", (), shown), np.random.default_rng(0)).astype(int)
        for shown in ((person,), ())
    ]
    changed = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 8
    return np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))


@pytest.mark.parametrize("height", [0.45, 0.85])
def test_a_figure_has_the_size_asked_for_and_stands_at_the_top_left(height):
    for person in persons(50, height):
        x0, y0, x1, y1 = person.box
        assert (x0, y0) == pytest.approx((0, 0), abs=1e-6)
        assert max(x1, y1) == pytest.approx(height, abs=1e-6)
        assert all(0 <= value <= height for point in person.joints for value in point)


def test_the_box_holds_what_is_drawn():
    for person in persons(20):
        person = moved(person, 0.1, 0.15)
        rows, columns = changed_pixels(person)
        drawn = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / IMAGE_SIZE
        np.testing.assert_allclose(drawn, person.box, atol=1.6 / IMAGE_SIZE)


def test_limbs_keep_their_lengths_and_poses_differ():
    figures = persons(60)
    for first, second, _ in LIMBS:
        lengths = [
            np.linalg.norm(np.subtract(p.joints[first], p.joints[second]))
            / np.linalg.norm(joint(p, "left shoulder") - joint(p, "right shoulder"))
            for p in figures
        ]
        assert np.std(lengths) < 1e-6
        is_arm, is_upper = first in (5, 6, 7, 8), first in (5, 6, 11, 12)
        own = (UPPER_ARM if is_upper else LOWER_ARM) if is_arm else (THIGH if is_upper else SHIN)
        assert np.mean(lengths) == pytest.approx(own / (2 * SHOULDER_WIDTH))
    wrists = [(joint(p, "left wrist") - joint(p, "left shoulder"))[1] for p in figures]
    assert min(wrists) < -0.1, "some arms are raised"
    assert max(wrists) > 0.1, "some hang"
    assert all(joint(p, "left shoulder")[0] > joint(p, "right shoulder")[0] for p in figures)
    assert all(joint(p, "nose")[1] < joint(p, "left hip")[1] for p in figures)


def test_every_part_shows_its_colour_at_its_middle():
    hits = 0
    figures = [moved(person, 0.1, 0.1) for person in persons(20)]
    for person in figures:
        picture = draw_scene(Scene("plain gray", (), (person,)), np.random.default_rng(0))
        for first, second, colour in LIMBS:
            x, y = (np.add(person.joints[first], person.joints[second]) / 2 * IMAGE_SIZE).astype(
                int
            )
            hits += np.abs(picture[y, x].astype(int) - colour).max() < 40
    # The rest is hidden behind another part.
    assert hits > 0.85 * len(figures) * len(LIMBS)
    colours = [colour for *_, colour in LIMBS] + [TORSO]
    for one, other in itertools.combinations(colours, 2):
        assert np.abs(np.subtract(one, other)).sum() > 80


def test_scenes_with_persons_keep_to_their_rules():
    drawn = person_scenes(200)
    assert {len(scene.persons) for scene in drawn} == {1, 2}
    assert {len(scene.objects) for scene in drawn} == {0, 1, 2}
    for scene in drawn:
        smallest, largest = PERSON_SIDES[len(scene.persons) + len(scene.objects)]
        boxes = [person.box for person in scene.persons]
        for x0, y0, x1, y1 in boxes:
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert smallest - 1e-6 <= max(x1 - x0, y1 - y0) <= largest + 1e-6
        boxes += [item.box for item in scene.objects]
        for one, other in itertools.combinations(boxes, 2):
            assert overlap(one, other) <= MAX_OVERLAP + 1e-9


def test_the_share_of_scenes_with_persons_is_the_one_asked_for():
    shares = np.mean([bool(scene.persons) for scene in person_scenes(400, share=0.25)])
    assert shares == pytest.approx(0.25, abs=0.07)


def test_persons_are_drawn_over_objects():
    person = moved(persons(1)[0], 0.1, 0.1)
    sun = SceneObject("sun", (0.0, 0.0, 1.0, 1.0))
    over_sun = draw_scene(Scene("plain gray", (sun,), (person,)), np.random.default_rng(0))
    alone = draw_scene(Scene("plain gray", (), (person,)), np.random.default_rng(0))
    middle = (joint(person, "left hip") + joint(person, "right shoulder")) / 2 * IMAGE_SIZE
    x, y = middle.astype(int)
    assert np.abs(over_sun[y, x].astype(int) - alone[y, x]).max() <= 2


def captions(number, objects=(), share=0.0):
    rng = np.random.default_rng(7)
    shown = tuple(moved(p, x, 0.25) for p, x in zip(persons(number, 0.5), (0.0, 0.5), strict=False))
    scene = Scene("room", objects, shown)
    return {compose_caption(scene, rng, share) for _ in range(300)}


def test_captions_count_the_persons():
    bare_one, bare_two = {"a person", "person"}, {"two persons", "persons"}
    assert captions(1) >= bare_one
    assert captions(2) >= bare_two
    dog = (SceneObject("dog", (0.0, 0.0, 0.4, 0.4)),)
    assert all("person" in text and "dog" in text for text in captions(1, dog))
    assert "two persons and a dog indoors" in captions(2, dog)
    assert "a dog and a person in a room" in captions(1, dog)


def test_captions_say_where_each_person_is():
    located = captions(2, share=1.0)
    assert any("a person on the left and a person on the right" in text for text in located)


def test_a_person_without_persons_in_the_scene_is_not_named():
    dog = (SceneObject("dog", (0.0, 0.0, 0.4, 0.4)),)
    assert not any("person" in text for text in captions(0, dog))


def test_a_person_moves_as_a_whole():
    person = ScenePerson(tuple((0.01 * i, 0.02 * i) for i in range(17)))
    assert moved(person, 0.25, 0.5).joints[3] == pytest.approx((0.28, 0.56))
