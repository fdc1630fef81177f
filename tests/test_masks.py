"""Random holes of the inpainting kind's training."""

import numpy as np
import pytest

from gligen.training.masks import BOX_SHARE, random_hole
from gligen.world import SPRITE_NAMES, sample_scene

SIZE = (16, 24)  # height and width differ, so that a mix-up shows


def draw(seed, size=SIZE):
    """Return a scene, its hole, the objects given as covered, and whether boxes made the hole."""
    # Among them scenes of persons alone.
    scene = sample_scene(np.random.default_rng([9, seed]), names=SPRITE_NAMES, person_share=0.3)
    boxes = [item.box for item in scene.things]
    hole, indices = random_hole(boxes, size, np.random.default_rng(seed))
    covered = [scene.things[index] for index in indices]
    is_of_boxes = np.random.default_rng(seed).random() < BOX_SHARE
    return scene, hole, covered, is_of_boxes


def cells(box, size=SIZE, margin=0.0):
    """Return the cells that a box touches, bool (height, width)."""
    height, width = size
    rows = (np.arange(height) + 1) / height, np.arange(height) / height
    columns = (np.arange(width) + 1) / width, np.arange(width) / width
    x0, y0, x1, y1 = box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin
    inside = (rows[0] > y0) & (rows[1] < y1)
    return inside[:, None] & ((columns[0] > x0) & (columns[1] < x1))[None]


DRAWN = [draw(seed) for seed in range(300)]


def test_both_forms_of_holes_occur():
    forms = [is_of_boxes for *_, is_of_boxes in DRAWN]
    assert np.mean(forms) == pytest.approx(BOX_SHARE, abs=0.1)


def test_a_hole_covers_the_objects_that_are_to_be_painted_into_it():
    for scene, hole, covered, is_of_boxes in DRAWN:
        assert hole.shape == SIZE
        assert hole.dtype == bool
        assert hole.any()
        assert set(covered) <= set(scene.things)
        for item in covered:
            share = hole[cells(item.box)].mean()
            assert share == 1 if is_of_boxes else share > 0.6


def test_a_hole_of_boxes_reaches_no_further_than_its_margin():
    for _, hole, covered, is_of_boxes in DRAWN:
        if is_of_boxes:
            assert covered, "a hole of boxes is made of at least one"
            allowed = np.any([cells(item.box, margin=0.04) for item in covered], axis=0)
            assert not (hole & ~allowed).any()


def test_a_stroke_names_every_object_that_it_mostly_covers():
    for scene, hole, covered, is_of_boxes in DRAWN:
        if not is_of_boxes:
            mostly = [item for item in scene.things if hole[cells(item.box)].mean() > 0.6]
            assert covered == mostly


def test_the_same_randomness_gives_the_same_hole():
    one, other = draw(5), draw(5)
    assert np.array_equal(one[1], other[1])
    assert one[2] == other[2]
    assert any(not np.array_equal(one[1], draw(seed)[1]) for seed in range(6, 10))


def test_a_picture_without_things_gets_a_stroke():
    for seed in range(20):
        hole, covered = random_hole([], SIZE, np.random.default_rng(seed))
        assert hole.any()
        assert covered == []
