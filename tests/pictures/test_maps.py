"""Maps: what a picture becomes for each kind, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gligen.pictures.ade import coloured
from gligen.pictures.images import open_map
from gligen.pictures.maps import MAX_SEMANTIC_SIDE, MAX_SIDE, canny_map, prepare_map, read_labels

GREY_KINDS = ("hed", "canny", "depth")


def grey(width=8, height=6):
    values = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    return Image.fromarray(values * 2)


def normals(width=8, height=6):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def prepared_map(picture: Image.Image, kind: str, size: tuple[int, int]) -> torch.Tensor:
    return torch.from_numpy(prepare_map(picture, kind, size))[None]


def labels_of(tensor):
    assert torch.equal(tensor.sum(1), torch.ones_like(tensor[:, 0])), "one label for each pixel"
    assert set(tensor.unique().tolist()) <= {0.0, 1.0}
    return tensor.argmax(1)[0].numpy()


@pytest.mark.parametrize("kind", GREY_KINDS)
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_grey_maps_become_three_equal_channels(kind, mode):
    picture = grey()
    values = torch.from_numpy(np.array(picture, np.float32))
    prepared = prepared_map(picture.convert(mode), kind, (8, 6))
    assert prepared.shape == (1, 3, 6, 8)
    assert prepared.dtype == torch.float32
    for channel in prepared[0]:
        assert torch.equal(channel, (values / 255 - 0.5) / 0.5)


def test_black_and_white_are_the_ends():
    half = Image.new("1", (4, 2))
    half.paste(1, (0, 0, 2, 2))
    prepared = prepared_map(half, "canny", (4, 2))
    assert prepared[0, 0, 0].tolist() == [1, 1, -1, -1]


def test_normals_keep_their_channels_in_order():
    prepared = prepared_map(normals(), "normal", (8, 6))
    expected = (np.asarray(normals(), np.float32) / 255 - 0.5) / 0.5
    assert np.allclose(prepared[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_depth_of_16_bits_keeps_its_range():
    deep = Image.fromarray(np.array([[0, 32768, 65535]], np.uint16))
    prepared = prepared_map(deep, "depth", (3, 1))
    assert torch.allclose(prepared[0, 0, 0], torch.tensor([-1.0, 0.0039, 1.0]), atol=1e-4)


def test_the_whole_map_is_squeezed_to_the_picture():
    step = np.zeros((40, 100), np.uint8)
    step[:, 80:] = 255  # the right fifth: a centre crop would lose most of it
    prepared = prepared_map(Image.fromarray(step), "depth", (50, 50))
    assert prepared.shape == (1, 3, 50, 50)
    assert (prepared[0, 0, :, :38] < -0.9).all()
    assert (prepared[0, 0, :, 42:] > 0.9).all()


def test_width_and_height_are_not_mixed_up():
    assert prepared_map(grey(), "hed", (24, 16)).shape == (1, 3, 16, 24)
    assert prepared_map(Image.new("L", (9, 5)), "semantic", (24, 16)).shape == (1, 152, 16, 24)


def test_thin_lines_of_a_large_map_do_not_tear():
    lines = np.zeros((256, 256), np.uint8)
    lines[:, 1::8] = 255  # each lies between the pixels that the nearest would take
    prepared = prepared_map(Image.fromarray(lines), "canny", (64, 64))[0, 0]
    assert (prepared[32].view(32, 2).amax(-1) > -0.9).sum() == 32


def test_a_huge_map_is_limited():
    assert prepared_map(grey(), "depth", (2048, 512)).shape == (1, 3, 512, MAX_SIDE)
    small = Image.new("L", (4, 4))
    assert prepared_map(small, "semantic", (64, 2048)).shape == (1, 152, MAX_SEMANTIC_SIDE, 64)


@pytest.mark.parametrize(("kind", "line", "ground"), [("canny", 255, 0), ("normal", 255, 0)])
def test_transparent_is_nothing(kind, line, ground):
    drawing = Image.new("RGBA", (4, 1), (255, 255, 255, 0))
    drawing.putpixel((1, 0), (line, line, line - 1, 255))
    prepared = prepared_map(drawing, kind, (4, 1))
    assert prepared[0, 0, 0].tolist() == [-1, 1, -1, -1]


@pytest.mark.parametrize("kind", ["depth", "semantic"])
def test_the_camera_s_rotation_is_applied(kind):
    picture = Image.fromarray(np.array([[1, 2], [3, 4], [5, 6]], np.uint8))
    picture.getexif()[0x0112] = 6  # to be turned by a quarter clockwise
    prepared = prepared_map(picture, kind, (3, 2))
    values = (
        labels_of(prepared)
        if kind == "semantic"
        else ((prepared[0, 0] + 1) * 127.5).round().numpy()
    )
    assert values.tolist() == [[5, 3, 1], [6, 4, 2]]


# --- semantic maps -------------------------------------------------------------------------------

LABELS = np.array([[0, 1, 2], [13, 150, 151]], np.uint8)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16", "I"])
def test_labels_are_read_from_every_mode_that_holds_them(mode):
    picture = Image.fromarray(LABELS)
    if mode == "P":
        picture = picture.copy()
        picture.putpalette([value for index in range(256) for value in (index, 9, 255 - index)])
        assert picture.mode == "P"
    elif mode == "I;16":
        picture = Image.fromarray(LABELS.astype(np.uint16))
    elif mode == "I":
        picture = Image.fromarray(LABELS.astype(np.int32))
    else:
        picture = picture.convert(mode)
    prepared = prepared_map(picture, "semantic", (3, 2))
    assert prepared.shape == (1, 152, 2, 3)
    assert labels_of(prepared).tolist() == LABELS.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_the_colours_of_the_classes_are_understood(mode):
    labels = np.array([[0, 3, 5, 13, 150]], np.uint8)
    picture = coloured(labels).convert("RGB")
    if mode == "P":
        picture = picture.quantize(8, dither=Image.Dither.NONE)
        assert np.asarray(picture).max() < 8, "the palette's indices are not the labels"
    assert read_labels(picture.convert(mode)).tolist() == labels.tolist()


def test_labels_are_never_blended():
    halves = np.zeros((10, 10), np.uint8)
    halves[:, 5:] = 100
    prepared = labels_of(prepared_map(Image.fromarray(halves), "semantic", (7, 23)))
    assert set(np.unique(prepared)) == {0, 100}


def photo():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8))


def one_strange_pixel():
    picture = coloured(np.full((4, 6), 3, np.uint8))
    picture.putpixel((5, 2), (1, 2, 3))
    return picture


@pytest.mark.parametrize(
    ("picture", "kind", "message"),
    [
        (photo(), "semantic", r"colour picture, .* is none of ADE20K's classes\. Give the labels"),
        (one_strange_pixel(), "semantic", r"\(1, 2, 3\) at pixel \(5, 2\)"),
        (Image.new("L", (2, 2), 152), "semantic", r"label 152; labels go from 0 to 151"),
        (Image.new("RGB", (2, 2), "white"), "semantic", r"label 255"),
        (Image.new("I", (2, 2), -1), "semantic", r"label -1"),
        (Image.new("I", (2, 2), 70_000), "semantic", r"label 70000"),
        (Image.new("F", (2, 2), 1), "semantic", r"semantic map has fractions \(mode F\)"),
        (Image.new("RGBA", (2, 2), (120, 120, 120, 200)), "semantic", r"partly transparent"),
        (Image.new("L", (0, 5)), "semantic", r"semantic map is empty \(0 x 5 pixels\)"),
        (Image.new("L", (3, 0)), "depth", r"The depth map is empty \(3 x 0 pixels\)"),
        (Image.new("F", (3, 3)), "depth", r"The depth map has 32-bit pixels"),
        (photo(), "canny", r"canny map is a coloured picture .*gligen\.pictures\.maps\.canny_map"),
        (photo(), "hed", r"hed map is a coloured picture"),
        (photo(), "depth", r"depth map is a coloured picture .* without a colour scale"),
        (Image.new("L", (3, 3), 255), "canny", r"mostly white .* Invert it"),
        (grey(), "normal", r"normal map has no colours"),
        (grey(), "keypoint", r"keypoint does not read a map; .* hed, canny, depth, normal, sem"),
        (grey(), "generation_text_box", r"does not read a map"),
        (grey(), "scribble", r"There is no kind 'scribble'"),
    ],
)
def test_refusals_are_one_sentence_with_the_way_out(picture, kind, message):
    with pytest.raises(ValueError, match=message) as caught:
        prepared_map(picture, kind, (16, 16))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_slight_tint_is_still_grey():
    tinted = np.array(grey(64, 64).convert("RGB"))
    tinted[..., 2] = tinted[..., 2] // 2 * 2 + 1
    assert prepared_map(Image.fromarray(tinted), "depth", (64, 64)).shape == (1, 3, 64, 64)


def test_a_saved_map_is_read_as_it_was_stored():
    palette = Image.fromarray(LABELS)
    palette.putpalette([value for index in range(256) for value in (index, 9, 255 - index)])
    deep = Image.fromarray(np.array([[0, 300, 65535]], np.uint16))
    for picture, mode in ((palette, "P"), (Image.fromarray(LABELS), "L"), (deep, "I;16")):
        file = io.BytesIO()
        picture.save(file, "PNG")
        file.seek(0)
        opened = open_map(file)
        assert opened.mode == mode
        assert np.array_equal(np.asarray(opened), np.asarray(picture))


# --- edges of a photo ----------------------------------------------------------------------------


def test_a_photo_s_edges_make_a_map():
    photo = np.full((200, 300, 3), (30, 60, 90), np.uint8)
    photo[50:150, 100:200] = (250, 200, 10)
    edges = canny_map(Image.fromarray(photo), (150, 100))
    assert edges.size == (150, 100)
    drawn = np.asarray(edges)
    assert (drawn[30:70].astype(bool).sum(1) == 2).all(), "thin after all"
    assert set(np.unique(drawn)) == {0, 255}
    prepared = prepared_map(edges, "canny", (150, 100))
    assert torch.equal(prepared[0, 0] > 0, torch.from_numpy(drawn > 0))


def test_thresholds_reach_the_edges():
    faint = np.full((40, 40), 100, np.uint8)
    faint[:, 20:] = 120
    assert not np.asarray(canny_map(Image.fromarray(faint), (40, 40))).any()
    assert np.asarray(canny_map(Image.fromarray(faint), (40, 40), 20, 40)).any()
