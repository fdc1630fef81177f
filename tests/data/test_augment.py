import numpy as np
import pytest
from PIL import Image

from gligen.data.augment import Augmentation, View, augment, flip, generator_of
from gligen.layout import Layout, Region
from gligen.person import JOINTS, Person

SIZE = 16


def figure(**seen):
    return Person(tuple(seen.get(name.replace(" ", "_")) for name in JOINTS))


def gradient(width, height):
    """Return a picture whose red grows to the right and green downwards, by two a pixel."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width) * 2
    pixels[..., 1] = np.arange(height)[:, None] * 2
    return Image.fromarray(pixels)


def one_box(*box):
    return Layout((Region("p", box),))


def view_of(layout, size=(64, 32), seed=0, captions=(), **options) -> View:
    chosen = Augmentation(**{"size": (SIZE, SIZE), "flip": 0, "min_area": 0} | options)
    return augment(gradient(*size), layout, chosen, np.random.default_rng(seed), captions)


def test_the_centre_of_a_wide_picture():
    # The window is 32 pixels of 64: from 0.25 to 0.75 of the width.
    layout = Layout(
        (Region("all", (0.25, 0, 0.75, 1)), Region("left", (0, 0.25, 0.5, 0.75))),
        persons=(figure(nose=(0.5, 0.5), left_eye=(0.1, 0.5), left_hip=(0.375, 1)),),
    )
    view = view_of(layout, min_visible=0.5)
    assert view.window == (0.25, 0.0, 0.75, 1.0)
    assert view.picture.size == (SIZE, SIZE)
    assert view.layout.boxes == ((0, 0, 1, 1), (0, 0.25, 0.5, 0.75))
    assert view.layout.phrases == ("all", "left")
    assert view.layout.persons == (figure(nose=(0.5, 0.5), left_hip=(0.25, 1)),)
    assert (view.is_flipped, view.num_dropped) == (False, 0)
    # Two pixels of the window for one of the view: red starts at 16 * 2 and grows by 4.
    pixels = np.asarray(view.picture)
    np.testing.assert_allclose(pixels[8, 1:-1, 0], 33 + 4 * np.arange(1, 15), atol=1)
    np.testing.assert_allclose(pixels[1:-1, 8, 1], 1 + 4 * np.arange(1, 15), atol=1)


def test_views_of_another_shape():
    view = augment(
        gradient(40, 80),
        one_box(0, 0.25, 1, 0.75),
        Augmentation((32, 16), flip=0),
        np.random.default_rng(0),
    )
    # 40 x 20 pixels of 40 x 80.
    assert view.window == (0.0, 0.375, 1.0, 0.625)
    assert view.layout.boxes == ((0, 0, 1, 1),)
    assert view.picture.size == (32, 16)


@pytest.mark.parametrize(
    ("x1", "options", "num_kept"),
    [
        (0.30, {"min_visible": 0.16}, 1),  # a sixth of the box is in the view
        (0.30, {"min_visible": 0.17}, 0),
        (0.25, {"min_visible": 0}, 0),  # none of it
        (0.35, {"min_visible": 0, "min_area": 0.19}, 1),  # a fifth of the view
        (0.35, {"min_visible": 0, "min_area": 0.21}, 0),
    ],
)
def test_rests_of_boxes_are_dropped_by_rule(x1, options, num_kept):
    view = view_of(one_box(0, 0, x1, 1), **options)
    assert len(view.layout.regions) == num_kept
    assert view.num_dropped == 1 - num_kept
    if num_kept:
        np.testing.assert_allclose(view.layout.boxes[0], (0, 0, (x1 - 0.25) * 2, 1))


def test_persons_outside_are_dropped():
    layout = Layout(persons=(figure(nose=(0.2, 0.5)), figure(nose=(0.25, 0)), figure(nose=(1, 1))))
    view = view_of(layout)
    assert view.layout.persons == ()  # the second at the corner, which means "not seen"
    assert view.num_dropped == 3


def test_flips_swap_sides():
    person = figure(nose=(0.5, 0.25), left_wrist=(0.25, 0.5), right_ear=(1, 0))
    layout = Layout((Region("p", (0.125, 0, 0.5, 1)),), persons=(person,))
    flipped = flip(layout)
    assert flipped.boxes == ((0.5, 0, 0.875, 1),)
    assert flipped.phrases == ("p",)
    expected = figure(nose=(0.5, 0.25), right_wrist=(0.75, 0.5), left_ear=(0, 0))
    assert flipped.persons == (expected,)
    seen_again = flip(flip(Layout(persons=(figure(left_hip=(0.25, 0.5)),))))
    assert seen_again.persons == (figure(left_hip=(0.25, 0.5)),)


def test_a_person_whose_only_joint_lands_in_the_corner_when_flipped():
    assert flip(Layout(persons=(figure(nose=(1, 0)),))).persons == ()


def test_picture_and_layout_are_flipped_together():
    straight = view_of(one_box(0.25, 0, 0.5, 1))
    flipped = view_of(one_box(0.25, 0, 0.5, 1), flip=1)
    assert flipped.is_flipped
    assert straight.layout.boxes == ((0, 0, 0.5, 1),)
    assert flipped.layout.boxes == ((0.5, 0, 1, 1),)
    np.testing.assert_array_equal(
        np.asarray(flipped.picture), np.asarray(straight.picture)[:, ::-1]
    )
    flips = [view_of(Layout(), seed=seed, flip=0.5).is_flipped for seed in range(200)]
    assert 70 < sum(flips) < 130


@pytest.mark.parametrize("text", ["a dog on the left", "Rightmost", "left-handed", "turn RIGHT"])
def test_sides_in_words_forbid_a_flip(text):
    assert not view_of(Layout(), flip=1, captions=["a", text]).is_flipped
    assert not view_of(Layout((Region(text, (0.3, 0, 0.6, 1)),)), flip=1).is_flipped


@pytest.mark.parametrize("text", ["bright leaflets", "a copyright", "alright"])
def test_other_words_do_not(text):
    assert view_of(Layout(), flip=1, captions=[text]).is_flipped


def test_random_windows_lie_inside_and_vary():
    views = [view_of(one_box(0, 0, 1, 1), crop="random", seed=seed) for seed in range(100)]
    windows = np.array([view.window for view in views])
    heights = windows[:, 3] - windows[:, 1]
    assert windows.min() >= 0
    assert windows.max() <= 1
    assert 0.8 <= heights.min() < 0.82
    assert 0.98 < heights.max() <= 1
    np.testing.assert_allclose((windows[:, 2] - windows[:, 0]) * 64, heights * 32)
    assert windows[:, 0].min() < 0.05
    assert windows[:, 2].max() > 0.95


def test_a_random_window_shows_what_it_says():
    view = view_of(one_box(0.4, 0.25, 0.6, 0.75), crop="random", seed=3, min_scale=0.5)
    x0, y0, x1, y1 = view.window
    expected = np.subtract((0.4, 0.25, 0.6, 0.75), (x0, y0, x0, y0)) / ([x1 - x0, y1 - y0] * 2)
    np.testing.assert_allclose(view.layout.boxes[0], expected.clip(0, 1))
    assert 0 < view.layout.boxes[0][2] < 1
    red = np.asarray(view.picture)[8, 4:12, 0]
    places = (x0 + (x1 - x0) * (np.arange(4, 12) + 0.5) / SIZE) * 64 - 0.5
    np.testing.assert_allclose(red, 2 * places, atol=1.5)


def test_one_generator_for_each_sample():
    def window(seed, epoch, index):
        rng = generator_of(seed, epoch, index)
        options = Augmentation((SIZE, SIZE), crop="random")
        return augment(gradient(64, 32), Layout(), options, rng).window

    assert window(1, 2, 3) == window(1, 2, 3)
    assert len({window(*key) for key in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0)]}) == 4


def test_the_number_of_draws_is_always_the_same():
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    augment(gradient(8, 8), Layout(), Augmentation((8, 8), flip=0), rngs[0])
    augment(gradient(8, 8), Layout(), Augmentation((8, 8), crop="random"), rngs[1], ["left"])
    assert rngs[0].random() == rngs[1].random()


def test_labels_are_taken_from_the_nearest_pixel():
    labels = np.zeros((64, 128), np.uint8)  # twice the size of the picture
    labels[:, 66:] = 150  # within what one pixel of the view covers
    view = view_of(Layout(map=Image.fromarray(labels)), map_kind="semantic")
    found = np.asarray(view.layout.map)
    assert (view.layout.map.mode, found.shape) == ("L", (SIZE, SIZE))
    assert set(np.unique(found)) == {0, 150}
    np.testing.assert_array_equal(found[:, :8], 0)
    np.testing.assert_array_equal(found[:, 8:], 150)
    mirrored = view_of(Layout(map=Image.fromarray(labels)), map_kind="semantic", flip=1)
    np.testing.assert_array_equal(np.asarray(mirrored.layout.map), found[:, ::-1])


def test_depth_is_smooth_and_normals_turn_when_flipped():
    grey = Image.fromarray(np.tile(np.arange(0, 256, 4, np.uint8), (32, 1)))
    view = view_of(Layout(map=grey), map_kind="depth")
    np.testing.assert_allclose(
        np.asarray(view.layout.map)[8, 1:-1, 0], 66 + 8 * np.arange(1, 15), atol=2
    )
    normals = np.full((32, 64, 3), (200, 100, 255), np.uint8)
    normals[:, :32] = 0  # nothing there
    layout = Layout(map=Image.fromarray(normals))
    straight = np.asarray(view_of(layout, map_kind="normal").layout.map)
    flipped = np.asarray(view_of(layout, map_kind="normal", flip=1).layout.map)
    assert straight[8, 14].tolist() == [200, 100, 255]
    assert flipped[8, 1].tolist() == [55, 100, 255]
    assert flipped[8, 14].tolist() == [0, 0, 0]
    depth = np.asarray(view_of(layout, map_kind="depth", flip=1).layout.map)
    assert depth[8, 1].tolist() == [200, 100, 255]


def test_a_map_of_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="map_kind does not say"):
        view_of(Layout(map=Image.new("L", (64, 32))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (0, 8)}, r"size of views is \(0, 8\)"),
        ({"flip": 1.1}, "flip is 1.1"),
        ({"min_visible": -1}, "min_visible is -1"),
        ({"min_area": 2}, "min_area is 2"),
        ({"min_scale": 0}, "min_scale is 0"),
        ({"crop": "center"}, "'center'; it must be 'centre' or 'random'"),
        ({"map_kind": "keypoint"}, "kinds that read maps are hed, canny"),
        ({"map_kind": "labels"}, "no kind 'labels'"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        Augmentation(**{"size": (8, 8)} | options)
