"""Reading pictures that may be anything, and drawing for people."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gligen.layout import Layout, Region
from gligen.person import JOINTS, Person
from gligen.pictures.images import (
    REGION_COLOURS,
    contact_sheet,
    draw_boxes,
    draw_layout,
    flattened,
    open_map,
    open_picture,
)
from gligen.pictures.skeletons import LEFT_COLOUR


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return file


def gradient(width=40, height=30):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.arange(width) * 255 // width
    pixels[..., 1] = (np.arange(height) * 255 // height)[:, None]
    return Image.fromarray(pixels)


def huge_png(width, height):
    """Return a PNG whose header promises the size and whose data ends there."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b""))


def test_a_picture_is_read_from_a_path_and_from_a_file(tmp_path):
    path = tmp_path / "picture.png"
    gradient().save(path)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        picture = open_picture(source)
        assert picture.mode == "RGB"
        assert np.array_equal(np.asarray(picture), np.asarray(gradient()))


def test_the_camera_s_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise to see it upright
    picture = open_picture(saved(gradient(), "PNG", exif=exif))
    assert picture.size == (30, 40)
    assert np.array_equal(np.asarray(picture), np.rot90(np.asarray(gradient()), -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    rgba = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    rgba.paste((0, 0, 0, 0), (2, 0, 4, 2))
    picture = open_picture(saved(rgba.convert(mode)))
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 0, 255, 255]


def test_half_transparent_is_mixed_with_white():
    picture = open_picture(saved(Image.new("RGBA", (1, 1), (0, 100, 200, 128))))
    assert np.allclose(np.asarray(picture)[0, 0], (127, 177, 227), atol=1)


def test_grey_with_16_bits_keeps_its_brightness():
    grey = Image.fromarray(np.array([[0, 32768, 65535]], np.uint16))
    assert np.asarray(open_picture(saved(grey)))[0, :, 1].tolist() == [0, 128, 255]


def test_cmyk_and_palette_become_rgb():
    assert open_picture(saved(gradient().convert("CMYK"), "JPEG")).mode == "RGB"
    assert open_picture(saved(gradient().quantize(16), "GIF")).mode == "RGB"


def truncated():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise)).getvalue()
    return io.BytesIO(data[: len(data) // 2])


def truncated_jpeg():
    data = saved(gradient(200, 200), "JPEG").getvalue()
    return io.BytesIO(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/nowhere/cat.png", r"There is no file '/nowhere/cat\.png'"),
        ("/tmp", r"'/tmp' cannot be read \(Is a directory\)"),
        (io.BytesIO(b"hello, I am a text"), r"not a picture .* PNG, JPEG"),
        (io.BytesIO(b""), "not a picture"),
        (io.BytesIO(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n"), "not a picture"),
        (truncated(), "damaged or incomplete"),
        (truncated_jpeg(), "damaged or incomplete"),
        (huge_png(10_000, 5_000), r"10000 x 5000 .*50 megapixels.* at most 40 .* 8944 x 4472 or"),
        (huge_png(20_000, 20_000), r"far larger than the 40,000,000 pixels"),
        (saved(Image.new("F", (3, 3)), "TIFF"), r"32-bit pixels .*8 bits"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bad_files_are_refused_in_one_sentence(source, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_picture(source)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_the_limit_is_the_caller_s():
    with pytest.raises(ValueError, match=r"40 x 30 pixels .* at most 0\.001 are"):
        open_picture(saved(gradient()), max_pixels=1000)
    assert open_picture(saved(gradient()), max_pixels=1200).size == (40, 30)


def test_maps_keep_their_pixels_as_they_are_stored():
    indices = Image.fromarray(np.array([[0, 1, 200]], np.uint8))
    indices.putpalette([255, 0, 0] * 256)
    deep = Image.fromarray(np.array([[0, 300, 65535]], np.uint16))
    for picture in (indices, deep, gradient()):
        opened = open_map(saved(picture))
        assert opened.mode == picture.mode
        assert np.array_equal(np.asarray(opened), np.asarray(picture))


def test_maps_are_turned_and_checked_like_pictures():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_map(saved(gradient(), exif=exif)).size == (30, 40)
    with pytest.raises(ValueError, match="not a picture"):
        open_map(io.BytesIO(b"hello"))
    with pytest.raises(ValueError, match=r"at most 0\.001 are"):
        open_map(saved(gradient()), max_pixels=1000)


def test_a_picture_in_memory_is_flattened_too():
    clear = Image.new("RGBA", (2, 1), (9, 9, 9, 0))
    assert flattened(clear).getpixel((0, 0)) == (255, 255, 255)
    assert flattened(clear, background="black").getpixel((0, 0)) == (0, 0, 0)
    turned = gradient()
    turned.getexif()[0x0112] = 6
    assert flattened(turned).size == (30, 40)
    assert turned.size == (40, 30), "the picture given is not changed"
    with pytest.raises(ValueError, match=r"^The style picture is empty \(0 x 7 pixels\)\.$"):
        flattened(Image.new("L", (0, 7)), "The style picture")


# --- drawing -------------------------------------------------------------------------------------


def test_boxes_are_drawn_on_their_edges_in_their_colours():
    black = Image.new("RGB", (512, 512))
    layout = Layout.from_lists(["a", "b"], [(0.25, 0.25, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)])
    drawn = np.asarray(draw_boxes(black, layout))
    assert tuple(drawn[200, 128]) == REGION_COLOURS[0]
    assert tuple(drawn[255, 200]) == REGION_COLOURS[0]
    assert not drawn[200, 256].any(), "the box ends before this column"
    assert tuple(drawn[511, 400]) == REGION_COLOURS[1]
    assert tuple(drawn[400, 511]) == REGION_COLOURS[1]
    assert not drawn[:120].any(), "outside the boxes nothing changes"
    assert not np.asarray(black).any(), "the picture given is not changed"


def whole_person(**moved):
    points = [(0.3 + 0.02 * index, 0.3 + 0.02 * index) for index in range(len(JOINTS))]
    for joint, point in moved.items():
        points[JOINTS.index(joint.replace("_", " "))] = point
    return Person(tuple(points))


def test_a_layout_without_extras_is_drawn_as_boxes():
    layout = Layout.from_lists(["a", "b"], [(0.25, 0.25, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)])
    picture = gradient(200, 200)
    assert draw_layout(picture, layout).tobytes() == draw_boxes(picture, layout).tobytes()


def test_persons_are_drawn_over_the_picture():
    black = Image.new("RGB", (100, 100))
    drawn = draw_layout(black, Layout(persons=(whole_person(left_wrist=(0.9, 0.1)),)))
    assert drawn.getpixel((89, 10)) == LEFT_COLOUR
    assert not np.asarray(black).any(), "the picture given is not changed"


def test_reference_pictures_stand_in_the_corner_of_their_box():
    black = Image.new("RGB", (400, 400))
    wide = Image.new("RGBA", (60, 30), (0, 255, 0, 255))
    wide.paste((0, 0, 0, 0), (0, 0, 30, 30))
    layout = Layout((Region("a toy", (0.25, 0.25, 0.75, 1.0), wide), Region("b", (0, 0, 0.2, 0.2))))
    drawn = np.asarray(draw_layout(black, layout))
    outline = REGION_COLOURS[0]
    # A third of the box's 200 pixels, all of it: the left half was transparent, so it is white.
    thumbnail = drawn[370:396, 234:297]
    assert (thumbnail[:, :30] == 255).all()
    assert (thumbnail[:, 38:] == (0, 255, 0)).all()
    assert not drawn[350:364, 110:295].any()
    assert not drawn[370:396, 110:231].any()
    assert tuple(drawn[399, 260]) == outline
    without = Layout(tuple(Region(region.phrase, region.box) for region in layout))
    unchanged = np.asarray(draw_boxes(black, without))
    assert np.array_equal(drawn[:360], unchanged[:360])


def test_a_thumbnail_fits_into_the_smallest_box():
    layout = Layout((Region("", (0.5, 0.5, 0.501, 0.501), gradient()),))
    assert draw_layout(Image.new("RGB", (64, 64)), layout).size == (64, 64)


def test_labels_differ_by_phrase_and_stay_inside():
    white = Image.new("RGB", (256, 256), "white")
    box = [(0.9, 0.95, 1.0, 1.0)]
    cat = np.asarray(draw_boxes(white, Layout.from_lists(["a cat"], box)))
    dog = np.asarray(draw_boxes(white, Layout.from_lists(["a dog"], box)))
    assert (cat != dog).any()
    columns = np.flatnonzero((cat == REGION_COLOURS[0]).all(-1).any(0))
    assert columns[0] < 225, "the label is moved left of the box, which begins at 230"
    assert columns[-1] == 255


def test_more_regions_than_colours():
    boxes = [(i / 30, 0.0, (i + 1) / 30, 1.0) for i in range(30)]
    drawn = draw_boxes(Image.new("L", (300, 100)), Layout.from_lists([""] * 30, boxes))
    assert drawn.mode == "RGB"
    assert tuple(np.asarray(drawn)[90, 290]) == REGION_COLOURS[29 % len(REGION_COLOURS)]


def test_contact_sheet_places_every_picture():
    colours = ["red", "lime", "blue"]
    images = [Image.new("RGB", (20, 10), colour) for colour in colours]
    sheet = contact_sheet(images, columns=2, gap=4)
    assert sheet.size == (4 + 2 * 24, 4 + 2 * 14)
    assert sheet.getpixel((5, 5)) == (255, 0, 0)
    assert sheet.getpixel((30, 5)) == (0, 255, 0)
    assert sheet.getpixel((5, 20)) == (0, 0, 255)
    assert sheet.getpixel((30, 20)) == (255, 255, 255)


def test_contact_sheet_writes_and_cuts_captions():
    images = [Image.new("RGB", (60, 40), "white")] * 2
    sheet = np.asarray(contact_sheet(images, 2, captions=["ab", "a very long caption " * 9]))
    assert (sheet[48:, 8:68] < 128).any()
    assert (sheet[48:, 76:136] < 128).any()
    assert (sheet[:, 137:] == 255).all()


def test_contact_sheet_refuses_nonsense():
    image = Image.new("RGB", (4, 4))
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([], 3)
    with pytest.raises(ValueError, match="cannot have 0 columns"):
        contact_sheet([image], 0)
    with pytest.raises(ValueError, match="1 pictures and 2 captions"):
        contact_sheet([image], 1, captions=["a", "b"])
