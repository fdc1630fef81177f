"""The synthetic world: sprites, scenes and captions."""

import itertools

import numpy as np
import pytest

from gligen.world import (
    ALL_SPRITE_NAMES,
    IMAGE_SIZE,
    SPRITE_NAMES,
    Scene,
    SceneObject,
    compose_caption,
    describe_location,
    draw_scene,
    load_sprite,
    resized_sprite,
    sample_scene,
)
from gligen.world.captions import with_article
from gligen.world.scenes import BACKGROUNDS, MAX_OVERLAP, OBJECT_SIDES, draw_background
from gligen.world.sprites import CELL

LOCATION_WORDS = {"left", "right", "top", "bottom", "middle", "above", "below"}


def scenes(count, **options):
    rng = np.random.default_rng(11)
    return [sample_scene(rng, **options) for _ in range(count)]


# --- sprites -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL_SPRITE_NAMES)
def test_every_sprite_is_trimmed_coloured_and_mostly_there(name):
    rgba = np.asarray(load_sprite(name))
    assert rgba.shape[2] == 4
    assert max(rgba.shape[:2]) <= CELL
    alpha = rgba[..., 3]
    assert alpha[0].any()
    assert alpha[-1].any()
    assert alpha[:, 0].any()
    assert alpha[:, -1].any()
    assert (alpha > 127).mean() > 0.2
    assert rgba[..., :3][alpha > 127].std() > 10, "a sprite is more than one flat colour"


def test_sprites_are_distinct():
    thumbnails = {name: resized_sprite(name, 16, 16) for name in ALL_SPRITE_NAMES}
    for one, other in itertools.combinations(ALL_SPRITE_NAMES, 2):
        assert np.abs(thumbnails[one] - thumbnails[other]).mean() > 0.02, (one, other)


def test_resized_sprites_have_the_size_asked_for_and_clean_edges():
    sprite = resized_sprite("sun", 31, 17)
    assert sprite.shape == (17, 31, 4)
    assert sprite.dtype == np.float32
    assert sprite.min() >= 0
    assert sprite.max() <= 1
    # Resizing colours that are not premultiplied would mix black into the half-transparent edge.
    edge = (sprite[..., 3] > 0.3) & (sprite[..., 3] < 0.7)
    assert edge.any()
    assert sprite[edge][:, 0].min() > 0.6


def test_the_first_world_keeps_its_sprites_and_their_order():
    assert ALL_SPRITE_NAMES[:12] == SPRITE_NAMES
    assert (SPRITE_NAMES[0], SPRITE_NAMES[-1], len(ALL_SPRITE_NAMES)) == ("dog", "rocket", 20)


def test_unknown_sprites_are_named_with_the_choices():
    with pytest.raises(ValueError, match=r"no sprite 'unicorn'.*dog, panda"):
        load_sprite("unicorn")


# --- scenes --------------------------------------------------------------------------------------


def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return width * height / min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))


def test_scenes_keep_to_their_rules():
    drawn = scenes(300)
    assert {len(scene.objects) for scene in drawn} == {1, 2, 3, 4}
    assert {scene.background for scene in drawn} == set(BACKGROUNDS)
    assert {item.name for scene in drawn for item in scene.objects} == set(SPRITE_NAMES)
    for scene in drawn:
        names = [item.name for item in scene.objects]
        assert len(set(names)) == len(names)
        shortest, longest = OBJECT_SIDES[len(names)]
        for item in scene.objects:
            x0, y0, x1, y1 = item.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            side = max(x1 - x0, y1 - y0) * IMAGE_SIZE
            assert shortest * IMAGE_SIZE - 0.5 <= side <= longest * IMAGE_SIZE + 0.5
        for one, other in itertools.combinations(scene.objects, 2):
            assert overlap(one.box, other.box) <= MAX_OVERLAP


def test_the_number_of_objects_can_be_chosen():
    assert {len(scene.objects) for scene in scenes(20, num_objects=3)} == {3}


def test_the_scenes_of_the_first_world_stay_what_they_were():
    """Held-out layouts and shipped figures hang on these draws."""
    scene = sample_scene(np.random.default_rng(1_000_000))
    frog = SceneObject("frog", (0.1875, 0.28125, 0.84375, 0.796875))
    assert scene == Scene("room", (frog,))


def test_scenes_show_the_names_asked_for():
    names = ("cat", "whale", "penguin", "cactus")
    drawn = {item.name for scene in scenes(60, names=names) for item in scene.objects}
    assert drawn == set(names)


def test_a_seed_gives_the_same_scene_and_picture_and_another_seed_does_not():
    def make(seed):
        rng = np.random.default_rng(seed)
        scene = sample_scene(rng)
        return scene, draw_scene(scene, rng)

    (scene, picture), (again, picture_again), (other, _) = make(3), make(3), make(4)
    assert scene == again
    assert np.array_equal(picture, picture_again)
    assert scene != other


@pytest.mark.parametrize("name", ALL_SPRITE_NAMES)
def test_a_sprite_is_drawn_exactly_where_its_box_says(name):
    box = (0.25, 0.125, 0.75, 0.5)
    with_object = Scene("plain gray", (SceneObject(name, box),))
    pictures = [
        draw_scene(scene, np.random.default_rng(0)).astype(int)
        for scene in (with_object, Scene("plain gray", ()))
    ]
    changed = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 4
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    # Half-transparent edges and grey parts may hide a row or two.
    assert (rows[0], rows[-1] + 1) == pytest.approx((8, 32), abs=2)
    assert (columns[0], columns[-1] + 1) == pytest.approx((16, 48), abs=2)
    assert 8 <= rows[0] <= rows[-1] < 32
    assert 16 <= columns[0] <= columns[-1] < 48


def test_later_objects_cover_earlier_ones():
    box = (0.2, 0.2, 0.8, 0.8)
    one, two = SceneObject("sun", box), SceneObject("rocket", box)
    both = draw_scene(Scene("plain blue", (one, two)), np.random.default_rng(0))
    last = draw_scene(Scene("plain blue", (two,)), np.random.default_rng(0))
    difference = np.abs(both.astype(int) - last).max(axis=-1)
    assert difference[28:36, 28:36].max() <= 2
    assert difference.max() > 50, "the sun shows beside the rocket"


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_backgrounds_are_finite_and_in_range(name):
    canvas = draw_background(name, np.random.default_rng(0), 64)
    assert canvas.shape == (64, 64, 3)
    assert canvas.dtype == np.float32
    assert canvas.min() > -30
    assert canvas.max() < 285
    again = draw_background(name, np.random.default_rng(1), 64)
    assert not np.array_equal(canvas, again)


def test_unknown_backgrounds_are_named_with_the_choices():
    with pytest.raises(ValueError, match=r"no background 'moon'.*sky, night"):
        draw_background("moon", np.random.default_rng(0), 64)


# --- captions ------------------------------------------------------------------------------------


def test_captions_name_every_object_and_at_share_zero_no_place():
    rng = np.random.default_rng(2)
    captions = [(scene, compose_caption(scene, rng, 0.0)) for scene in scenes(200)]
    for scene, caption in captions:
        for item in scene.objects:
            assert item.name in caption
        assert not LOCATION_WORDS & set(caption.replace(",", " ").split()), caption
    assert len({caption for _, caption in captions}) > 180


def test_captions_at_share_one_say_where_everything_is_unless_bare():
    rng = np.random.default_rng(2)
    located = 0
    for scene in scenes(100):
        caption = compose_caption(scene, rng, 1.0)
        located += all(f"{i.name} {describe_location(i)}" in caption for i in scene.objects)
    assert located > 75


def test_some_captions_are_bare_nouns():
    rng = np.random.default_rng(2)
    scene = Scene(
        "sky", (SceneObject("dog", (0.0, 0.0, 0.4, 0.4)), SceneObject("sun", (0.5, 0.0, 1.0, 1.0)))
    )
    captions = {compose_caption(scene, rng) for _ in range(400)}
    assert captions & {"dog; sun", "dog, sun", "sun; dog", "sun, dog"}


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.0, 0.0, 0.3, 0.3), "at the top left"),
        ((0.7, 0.7, 1.0, 1.0), "at the bottom right"),
        ((0.4, 0.0, 0.6, 0.3), "at the top"),
        ((0.0, 0.4, 0.3, 0.6), "on the left"),
        ((0.3, 0.3, 0.7, 0.7), "in the middle"),
    ],
)
def test_places_in_words(box, words):
    assert describe_location(SceneObject("dog", box)) == words


def test_articles():
    assert with_article("apple") == "an apple"
    assert with_article("dog") == "a dog"
