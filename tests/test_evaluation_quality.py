"""The distance between sets of pictures."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from gligen.evaluation.layouts import held_out_scenes
from gligen.evaluation.quality import (
    EQUAL_PSNR,
    frechet_distance,
    peak_signal_to_noise,
    picture_features,
    structural_similarity,
    through_autoencoder,
)
from gligen.evaluation.series import draw_item

COUNT = 40


@pytest.fixture(scope="module")
def embedded():
    from gligen import load_pipeline

    return load_pipeline(device="cpu")


@pytest.fixture(scope="module")
def drawn():
    return [draw_item(item) for item in held_out_scenes(2 * COUNT)]


def test_the_distance_is_that_of_gaussians():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5000, 3))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 0, 4])) == pytest.approx(25)
    # Variances 1 and 4 along each axis: (2 - 1)^2 for each.
    assert frechet_distance(features, 2 * features) == pytest.approx(3, rel=0.05)
    turned = features * np.array([1, 2, 3]) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(features * np.array([1, 2, 3]), turned) > 0.5


def test_one_picture_has_no_distance():
    with pytest.raises(ValueError, match="two pictures on each side"):
        frechet_distance(np.zeros((1, 2)), np.zeros((5, 2)))


def test_pictures_that_are_worse_are_further_from_drawn_scenes(embedded, drawn):
    ours, others = drawn[:COUNT], drawn[COUNT:]
    reference = picture_features(embedded, others)

    def distance(pictures):
        return frechet_distance(picture_features(embedded, pictures), reference)

    best = distance(ours)
    blurred = [distance([_blurred(p, radius) for p in ours]) for radius in (1, 2)]
    noisy = [distance([_noisy(p, spread) for p in ours]) for spread in (5, 15)]
    assert 2 * best < blurred[0] < blurred[1]
    assert best < noisy[0] < noisy[1]


def test_pictures_of_other_things_are_further_from_drawn_scenes(embedded, drawn):
    reference = picture_features(embedded, drawn[COUNT:])
    ours = [replace(item, scene=_only_dogs(item.scene)) for item in held_out_scenes(COUNT)]
    same, other = (
        frechet_distance(picture_features(embedded, pictures), reference)
        for pictures in (drawn[:COUNT], [draw_item(item) for item in ours])
    )
    assert other > 1.3 * same


def test_features_do_not_depend_on_the_batch(pipeline, drawn):
    together = picture_features(pipeline, drawn[:4])
    alone = np.concatenate([picture_features(pipeline, [picture]) for picture in drawn[:4]])
    assert np.allclose(together, alone, atol=1e-5)


def test_the_autoencoder_keeps_what_it_can(embedded, drawn):
    (packed,) = through_autoencoder(embedded, drawn[:1])
    assert packed.dtype == np.uint8
    error = np.abs(packed.astype(int) - drawn[0]).mean()
    assert 0 < error < 10


def test_likeness_is_as_it_is_defined():
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert peak_signal_to_noise(grey, grey + 16) == pytest.approx(20 * np.log10(255 / 16))
    assert peak_signal_to_noise(grey, grey) == EQUAL_PSNR
    # Of even pictures only the luminance counts: (2 a b + c) / (a a + b b + c).
    c = (0.01 * 255) ** 2
    expected = (2 * 100 * 200 + c) / (100**2 + 200**2 + c)
    assert structural_similarity(grey, grey + 100) == pytest.approx(expected)
    assert structural_similarity(grey, grey) == pytest.approx(1)


def test_likeness_falls_with_what_is_done_to_a_picture(drawn):
    picture = drawn[0]
    for spoiled in ([_blurred(picture, r) for r in (0.5, 1, 2)], [_noisy(picture, 10)]):
        for measure in (peak_signal_to_noise, structural_similarity):
            values = [measure(picture, picture), *(measure(picture, other) for other in spoiled)]
            assert values == sorted(values, reverse=True)
            assert len(set(values)) == len(values)


def _only_dogs(scene):
    objects = tuple(replace(thing, name="dog") for thing in scene.objects)
    return replace(scene, objects=objects)


def _blurred(picture, radius):
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _noisy(picture, spread):
    noise = np.random.default_rng(0).normal(0, spread, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)
