"""Holes, working areas and compositing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gligen.inpainting import (
    WorkArea,
    boxes_in_area,
    check_mask,
    composite,
    hole_from_boxes,
    hole_in_area,
    latent_mask,
    layout_in_area,
    masks_from_boxes,
    picture_in_area,
    plan_work_area,
)
from gligen.layout import Layout

GOLDEN = Path(__file__).parent / "golden"
RECORDED = load_file(GOLDEN / "masks_from_boxes.safetensors")
BOXES = json.loads((GOLDEN / "masks_from_boxes.json").read_text())["boxes"]

# The original reads a negative coordinate as counted from the far edge; ours cuts it off at zero.
NEGATIVE = {"negative", "negative_wrap"}
SINGLE = sorted(key for key in RECORDED if "batch" not in key)


def ours(case, height, width, dtype=torch.float32):
    return masks_from_boxes(torch.tensor(BOXES[case], dtype=dtype), height, width)


@pytest.mark.parametrize("key", [k for k in SINGLE if k.split("/")[1] not in NEGATIVE])
def test_masks_equal_the_original_on_squares_and_with_its_axes_swapped_elsewhere(key):
    kind, case, size = key.split("/")
    height, width = (int(n) for n in size.split("x")) if kind == "demo" else (int(size),) * 2
    dtype = torch.float64 if kind == "demo" else torch.float32
    recorded = RECORDED[key].float()
    if height == width:
        assert torch.equal(ours(case, height, width, dtype), recorded)
        return
    # The original scales x by the height and y by the width: as on a square of the other side.
    boxes = torch.tensor(BOXES[case], dtype=dtype)
    swapped = boxes * torch.tensor([height / width, width / height] * 2, dtype=dtype)
    swapped = swapped + 1e-12  # the two-step product may fall just short of a whole pixel
    assert torch.equal(masks_from_boxes(swapped, height, width), recorded)


@pytest.mark.parametrize("case", ["simple", "corgi", "asym", "style_strip"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48)])
def test_masks_scale_x_by_width_where_the_original_did_not(case, height, width):
    expected = torch.ones(1, 1, height, width)
    for x0, y0, x1, y1 in BOXES[case]:
        rows = slice(int(y0 * height), int(y1 * height))
        expected[..., rows, int(x0 * width) : int(x1 * width)] = 0
    mask = ours(case, height, width, torch.float64)
    assert torch.equal(mask, expected)
    if case in {"corgi", "asym"}:
        assert not torch.equal(mask, RECORDED[f"demo/{case}/{height}x{width}"].float())


def test_negative_coordinates_are_cut_off_not_wrapped():
    mask = ours("negative", 64, 64)  # box -0.1, 0.2, 0.5, 0.6
    assert (mask[0, 0, 12:38, :32] == 0).all()
    assert mask.sum() == 64 * 64 - 26 * 32
    assert (RECORDED["square/negative/64"] == 1).all(), "the original masks nothing here"
    assert (ours("negative_wrap", 64, 64) == 1).all()
    assert (RECORDED["square/negative_wrap/64"] == 0).any()


def test_a_recorded_batch_equals_one_call_for_each_layout():
    batch = RECORDED["square_batch2/boxes"]
    masks = torch.cat([masks_from_boxes(boxes.float(), 64, 64) for boxes in batch])
    assert torch.equal(masks, RECORDED["square_batch2/64"].float())


# --- holes ---------------------------------------------------------------------------------------


def test_hole_covers_every_touched_pixel_and_at_least_one():
    hole = np.asarray(hole_from_boxes([(0.101, 0.5, 0.109, 0.501)], (100, 10)))
    assert hole.shape == (10, 100)
    assert np.argwhere(hole).tolist() == [[5, 10]]
    hole = np.asarray(hole_from_boxes([(0.15, 0.0, 0.55, 1.0)], (10, 4)))
    assert (hole[:, 1:6] == 255).all()
    assert hole.sum() == 5 * 4 * 255
    # 0.07 x 100 is a hair above 7: the eighth column is not touched.
    assert np.asarray(hole_from_boxes([(0.0, 0.0, 0.07, 1.0)], (100, 1))).sum() == 7 * 255


def test_hole_at_the_far_corner_stays_in_the_picture():
    hole = np.asarray(hole_from_boxes([(0.9999999, 0.9999999, 1.0, 1.0)], (33, 17)))
    assert np.argwhere(hole).tolist() == [[16, 32]]


def test_masks_are_read_and_refused_in_sentences():
    painted = Image.new("L", (20, 10))
    painted.paste(255, (3, 2, 5, 4))
    painted.putpixel((10, 5), 127)
    assert np.argwhere(check_mask(painted, (20, 10))).tolist() == [[2, 3], [2, 4], [3, 3], [3, 4]]
    assert check_mask(painted.convert("RGB"), (20, 10)).sum() == 4
    with pytest.raises(ValueError, match=r"mask is 20 x 10 pixels and the picture 10 x 20"):
        check_mask(painted, (10, 20))
    with pytest.raises(ValueError, match="no pixel of it is white"):
        check_mask(Image.new("L", (20, 10), 127), (20, 10))
    with pytest.raises(ValueError, match="mode RGBA"):
        check_mask(painted.convert("RGBA"), (20, 10))
    with pytest.raises(TypeError, match=r"PIL\.Image"):
        check_mask(np.zeros((10, 20)), (20, 10))


# --- working area --------------------------------------------------------------------------------

SIZES = [(1000, 700), (64, 64), (333, 517), (31, 900), (5, 5)]
HOLES = [
    (0.50, 0.50, 0.51, 0.51),
    (0.0, 0.0, 0.2, 0.1),
    (0.9, 0.3, 1.0, 1.0),
    (0.2, 0.4, 0.9, 0.5),
    (0.0, 0.0, 1.0, 1.0),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("box", HOLES)
@pytest.mark.parametrize(("train_size", "multiple", "zoom"), [(64, 8, 1), (512, 64, 1), (64, 8, 4)])
def test_area_holds_the_hole_and_fits_picture_and_model(size, box, train_size, multiple, zoom):
    hole = hole_from_boxes([box], size)
    area = plan_work_area(size, hole, train_size, multiple, zoom=zoom)
    left, top, right, bottom = area.crop
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert hole_in_area(hole, area).sum() == (np.asarray(hole) > 0).sum()
    assert all(side % multiple == 0 for side in area.size)
    assert min(area.size) == train_size
    assert max(area.size) <= 2 * train_size
    # Never finer than the picture and the zoom allow, unless the picture itself is smaller.
    assert min(area.crop_size) >= min(train_size // zoom, *size)


def test_area_has_context_and_the_shape_of_the_picture_in_proportion():
    area = plan_work_area((1000, 700), hole_from_boxes([(0.4, 0.4, 0.6, 0.6)], (1000, 700)), 64, 8)
    assert area.crop == (325, 175, 675, 525)  # 200 x 140 hole: 350 square, about its centre
    assert area.size == (64, 64)
    tall = plan_work_area(
        (1000, 700), hole_from_boxes([(0.45, 0.0, 0.55, 1.0)], (1000, 700)), 64, 8
    )
    assert tall.crop == (150, 0, 850, 700)
    whole = plan_work_area((1000, 700), np.ones((700, 1000), np.uint8), 64, 8)
    flat = plan_work_area((900, 31), hole_from_boxes([(0.5, 0.5, 0.51, 0.6)], (900, 31)), 64, 8)
    assert flat.crop_size == (64, 31)
    assert whole.crop == (0, 0, 1000, 700)
    assert whole.size == (88, 64)


def test_zoom_paints_small_holes_finer_and_large_ones_as_without():
    size, small = (64, 64), hole_from_boxes([(0.25, 0.25, 0.375, 0.375)], (64, 64))
    crops = [plan_work_area(size, small, 64, 8, zoom=zoom).crop_size for zoom in (1, 2, 4, 16)]
    # At last it is the surroundings that the model needs, 1.75 holes, that set the limit.
    assert crops == [(64, 64), (32, 32), (16, 16), (14, 14)]
    large = hole_from_boxes([(0.1, 0.1, 0.8, 0.8)], size)
    assert plan_work_area(size, large, 64, 8, zoom=4) == plan_work_area(size, large, 64, 8)


def test_area_grows_to_hold_grounded_boxes_that_touch_the_hole_only():
    size = (1000, 1000)
    hole = hole_from_boxes([(0.45, 0.45, 0.5, 0.5)], size)
    alone = plan_work_area(size, hole, 64, 8)
    touching = plan_work_area(size, hole, 64, 8, boxes=[(0.2, 0.4, 0.46, 0.6)])
    apart = plan_work_area(size, hole, 64, 8, boxes=[(0.7, 0.7, 0.9, 0.9)])
    assert apart == alone
    left, top, right, bottom = touching.crop
    assert left < 200
    assert (right - left, bottom - top) == (525, 525)
    mapped = boxes_in_area([(0.2, 0.4, 0.46, 0.6)], touching)[0]
    pixels = (200 - left, 400 - top, 460 - left, 600 - top)
    assert mapped == pytest.approx(tuple(pixel / 525 for pixel in pixels))


def test_area_refuses_an_empty_hole_and_a_wrong_size():
    with pytest.raises(ValueError, match="hole is empty"):
        plan_work_area((20, 10), np.zeros((10, 20), bool), 64, 8)
    with pytest.raises(ValueError, match="10 x 20 pixels and the picture 20 x 10"):
        plan_work_area((20, 10), np.ones((20, 10), bool), 64, 8)


def test_boxes_are_mapped_cut_and_dropped():
    area = WorkArea((100, 50), crop=(20, 10, 60, 50), size=(64, 64))
    inside, cut, outside = boxes_in_area(
        [(0.3, 0.4, 0.5, 0.6), (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)], area
    )
    assert inside == pytest.approx((0.25, 0.25, 0.75, 0.5))
    assert cut == pytest.approx((0.0, 0.0, 0.5, 1.0))
    assert outside is None
    layout = Layout.from_lists(["a", "b"], [(0.6, 0.0, 1.0, 1.0), (0.3, 0.4, 0.5, 0.6)])
    assert layout_in_area(layout, area).phrases == ("b",)
    assert layout_in_area(layout, area).boxes[0] == pytest.approx((0.25, 0.25, 0.75, 0.5))


# --- latent mask ---------------------------------------------------------------------------------


def test_latent_mask_generates_every_cell_that_the_hole_touches():
    hole = np.zeros((64, 96), bool)
    hole[63, 0] = True
    hole[7:9, 40:48] = True
    mask = latent_mask(hole, 8, 12)
    assert mask.shape == (1, 1, 8, 12)
    assert (mask[0, 0] == 0).nonzero().tolist() == [[0, 5], [1, 5], [7, 0]]


def test_latent_mask_of_a_crop_smaller_than_the_latents():
    hole = np.zeros((3, 3), bool)
    hole[1, 1] = True
    mask = latent_mask(hole, 9, 6)
    assert (mask[0, 0, 3:6, 2:4] == 0).all()
    assert (mask == 0).sum() == 6


# --- compositing ---------------------------------------------------------------------------------


def noise(size, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("box", HOLES)
@pytest.mark.parametrize("feather", [0, 5])
def test_outside_the_hole_the_picture_is_untouched(size, box, feather):
    original, hole = noise(size, 0), hole_from_boxes([box], size)
    area = plan_work_area(size, hole, 64, 8)
    flat = Image.new("RGB", area.size, (0, 255, 0))
    result = np.asarray(composite(original, flat, area, hole, feather))
    inside = np.asarray(hole) > 0
    assert np.array_equal(result[~inside], np.asarray(original)[~inside])
    changed = (result != np.asarray(original)).any(axis=-1)
    assert changed[inside].mean() > 0.9
    if feather == 0:
        assert (result[inside] == (0, 255, 0)).all()


def test_composite_puts_the_area_back_where_it_was_cut():
    size = (300, 200)
    ramp = np.linspace(0, 255, 300)[None, :, None] * np.ones((200, 1, 3))
    original = Image.fromarray(ramp.astype(np.uint8))
    hole = hole_from_boxes([(0.3, 0.2, 0.8, 0.9)], size)
    area = plan_work_area(size, hole, 128, 8)
    result = composite(original, picture_in_area(original, area), area, hole)
    difference = np.abs(np.asarray(result, int) - np.asarray(original, int))
    assert difference.max() <= 3


def test_feather_rises_inside_the_hole_and_not_at_the_border_of_the_picture():
    size = (40, 40)
    original, hole = Image.new("RGB", size), hole_from_boxes([(0.0, 0.0, 0.5, 1.0)], size)
    area = plan_work_area(size, hole, 16, 8)
    row = np.asarray(composite(original, Image.new("RGB", area.size, "white"), area, hole, 4))
    row = row[0, :, 0].astype(int)
    assert row[:16].tolist() == [255] * 16
    assert row[16:20].tolist() == [204, 153, 102, 51]
    assert (row[20:] == 0).all()


def test_feather_wider_than_the_hole_still_paints_its_middle():
    size = (40, 40)
    hole = hole_from_boxes([(0.4, 0.4, 0.5, 0.5)], size)
    area = plan_work_area(size, hole, 16, 8)
    white = Image.new("RGB", area.size, "white")
    result = np.asarray(composite(Image.new("RGB", size), white, area, hole, 50))
    assert result.max() == 255


def test_composite_refuses_wrong_pictures():
    hole = hole_from_boxes([(0.4, 0.4, 0.5, 0.5)], (40, 40))
    area = plan_work_area((40, 40), hole, 16, 8)
    good, painted = Image.new("RGB", (40, 40)), Image.new("RGB", area.size)
    with pytest.raises(ValueError, match="mode RGBA"):
        composite(good.convert("RGBA"), painted, area, hole)
    with pytest.raises(ValueError, match=r"painted area is 3 x 3"):
        composite(good, Image.new("RGB", (3, 3)), area, hole)
    with pytest.raises(ValueError, match="feather is -1"):
        composite(good, painted, area, hole, -1)
