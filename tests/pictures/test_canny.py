"""Canny edges: on shapes whose edges are known, and against a slow reading of the definition."""

import math
import time

import numpy as np
import pytest
from PIL import Image

from gligen.pictures.canny import canny_edges, gaussian_blur


def edges(pixels, *thresholds, **options):
    drawn = canny_edges(Image.fromarray(np.asarray(pixels, np.uint8)), *thresholds, **options)
    assert drawn.mode == "L"
    drawn = np.asarray(drawn)
    assert set(np.unique(drawn)) <= {0, 255}
    return drawn > 0


def square(side=60, low=40, high=220):
    pixels = np.full((side, side), low, np.uint8)
    pixels[20:40, 15:45] = high
    return pixels


def smooth_noise(seed, height=40, width=50, channels=3, cell=3):
    coarse = np.random.default_rng(seed).integers(
        0, 256, (height // cell, width // cell, channels), np.uint8
    )
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def slow_canny(pixels, low, high):
    """Follow the definition pixel by pixel; pixels [height, width, channels]."""
    height, width, channels = pixels.shape
    values = pixels.astype(int)

    def value(y, x, c):
        return values[min(max(y, 0), height - 1), min(max(x, 0), width - 1), c]

    def derivative(y, x, c):
        right = sum(k * (value(y + d, x + 1, c) - value(y + d, x - 1, c)) for d, k in KERNEL)
        down = sum(k * (value(y + 1, x + d, c) - value(y - 1, x + d, c)) for d, k in KERNEL)
        return right, down

    gradients, strength = {}, np.zeros((height + 2, width + 2), int)
    for y in range(height):
        for x in range(width):
            candidates = [derivative(y, x, c) for c in range(channels)]
            gradients[y, x] = max(candidates, key=lambda pair: abs(pair[0]) + abs(pair[1]))
            strength[y + 1, x + 1] = sum(map(abs, gradients[y, x]))

    def is_ridge(y, x):
        right, down = gradients[y, x]
        angle = math.degrees(math.atan2(abs(down), abs(right)))
        here = strength[y + 1, x + 1]
        if angle < 22.5:
            return here > strength[y + 1, x] and here >= strength[y + 1, x + 2]
        if angle > 67.5:
            return here > strength[y, x + 1] and here >= strength[y + 2, x + 1]
        step = -1 if right * down < 0 else 1
        return here > strength[y, x + 1 - step] and here > strength[y + 2, x + 1 + step]

    weak = {(y, x) for y, x in gradients if strength[y + 1, x + 1] > low and is_ridge(y, x)}
    stack = [(y, x) for y, x in weak if strength[y + 1, x + 1] > high]
    kept = set()
    while stack:
        y, x = stack.pop()
        if (y, x) in kept:
            continue
        kept.add((y, x))
        stack += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (y + i, x + j) in weak]
    drawn = np.zeros((height, width), bool)
    for y, x in kept:
        drawn[y, x] = True
    return drawn


KERNEL = ((-1, 1), (0, 2), (1, 1))


@pytest.mark.parametrize("thresholds", [(100, 200), (40, 90), (10, 600), (0, 0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_pixel_follows_the_definition(seed, thresholds):
    pixels = smooth_noise(seed)
    expected = slow_canny(pixels, *thresholds)
    assert 20 < expected.sum() < expected.size / 2, "the example has edges and ground"
    assert np.array_equal(edges(pixels, *thresholds), expected)


def test_a_strength_at_a_threshold_is_not_above_it():
    step = np.zeros((40, 60), np.uint8)
    step[:20] = 50  # an edge of strength 200
    assert not edges(step, 100, 200).any()
    assert edges(step, 100, 199)[19].all()
    step[:20] = 25 + 2 * np.arange(-20, 40).clip(0)  # 100 up to column 19, then growing
    assert not edges(step, 100, 200)[:, :18].any()
    assert edges(step, 99, 200)[19].all()


def test_grey_follows_the_definition_too():
    pixels = smooth_noise(2, cell=4)
    grey = pixels[..., 0]
    assert np.array_equal(edges(grey, 60, 150), slow_canny(grey[..., None], 60, 150))


def test_a_square_has_a_thin_closed_outline():
    drawn = edges(square())
    ys, xs = np.nonzero(drawn)
    # The step lies between two pixels; the first of the two is the edge.
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (19, 39, 14, 44)
    assert drawn[25:35].sum(1).tolist() == [2] * 10, "thin: one pixel on each side"
    assert drawn[:, 20:40].sum(0).tolist() == [2] * 20

    # Closed: what is poured in at the centre does not reach the border.
    poured = np.zeros_like(drawn)
    poured[30, 30] = True
    for _ in range(60):
        grown = poured.copy()
        grown[1:] |= poured[:-1]
        grown[:-1] |= poured[1:]
        grown[:, 1:] |= poured[:, :-1]
        grown[:, :-1] |= poured[:, 1:]
        poured = grown & ~drawn
    assert poured.sum() > 400
    assert not poured[0].any()


def test_noise_below_the_thresholds_has_no_edges():
    noise = 128 + np.random.default_rng(0).integers(-8, 9, (64, 64))
    assert not edges(noise).any()
    assert edges(noise, 10, 20).any(), "lower thresholds see it"


def test_a_weak_line_counts_only_where_it_meets_a_strong_one():
    ramp = np.zeros((40, 60), np.uint8)
    ramp[:20] = np.arange(60) + 10  # its lower edge grows stronger to the right, by 4 each pixel
    assert not edges(ramp.clip(0, 45)).any(), "all of it weaker than the upper threshold"
    columns = np.flatnonzero(edges(ramp)[19])
    assert columns[-1] == 59
    assert columns[0] in range(13, 18), "down to a strength of 100"
    assert len(columns) == columns[-1] - columns[0] + 1, "without a gap"
    ramp[:, 24:28] = 0  # a gap whose own edges are weak
    assert edges(ramp)[19, 32:].all()
    assert not edges(ramp)[:, :23].any(), "a weak part that is cut off is lost"


def test_colours_of_equal_brightness_have_an_edge():
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:, :10] = (255, 0, 0)
    pixels[:, 10:] = (0, 130, 0)
    assert np.ptp(np.asarray(Image.fromarray(pixels).convert("L"))[0]) < 2
    assert edges(pixels).any()


def test_blur_calms_noise_and_keeps_the_shape():
    noisy = square() + np.random.default_rng(0).normal(0, 18, (60, 60))
    noisy = noisy.clip(0, 255)
    plain, calm = edges(noisy), edges(noisy, sigma=1.5)
    assert not calm[:12].any()
    assert plain[:12].any()
    assert calm[18:22, 20:40].any(0).all()


def test_the_blur_is_gaussian():
    point = np.zeros((21, 21, 1), np.float32)
    point[10, 10] = 1
    spread = gaussian_blur(point, 2.0)[..., 0]
    assert np.allclose(spread.sum(), 1)
    assert np.allclose(spread[10, 13] / spread[10, 10], math.exp(-9 / 8), rtol=1e-5)
    assert np.allclose(spread[13, 13] / spread[10, 13], math.exp(-9 / 8), rtol=1e-5)
    flat = np.full((5, 7, 1), 9, np.float32)
    assert np.allclose(gaussian_blur(flat, 3.0), 9), "the border goes on outside"


def test_a_megapixel_is_done_at_once():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    started = time.process_time()
    edges(noise)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [((200, 100), "thresholds are 200 and 100"), ((-1, 5), "-1 and 5"), ((0, math.inf), "inf")],
)
def test_thresholds_must_be_in_order(thresholds, message):
    with pytest.raises(ValueError, match=message):
        edges(square(), *thresholds)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"blur is -1 pixels; give 0"):
        edges(square(), sigma=-1.0)
    with pytest.raises(ValueError, match="empty"):
        canny_edges(Image.new("L", (0, 4)))
