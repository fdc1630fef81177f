"""What the canvas component takes from strangers, and what it refuses."""

import base64
import io
import re
from importlib.resources import files

import gradio as gr
import pytest
from gradio.data_classes import FileData
from PIL import Image

from demo.components.canvas import MAX_MASK_SIDE, Canvas, CanvasData, Drawing, read_drawing
from demo.texts.canvas import WORDS
from gligen.layout import Layout, Region

GOOD = {"phrase": "a dog", "box": [0.1, 0.2, 0.6, 0.9], "visible": True}


def address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_reads_regions_in_order_and_the_same_phrase_twice():
    twice = [GOOD, {"phrase": "a dog", "box": [0, 0, 1, 1]}]
    layout = read_drawing({"regions": twice}).layout
    assert layout.phrases == ("a dog", "a dog")
    assert layout.boxes == ((0.1, 0.2, 0.6, 0.9), (0.0, 0.0, 1.0, 1.0))


def test_hidden_regions_are_left_out():
    hidden = {**GOOD, "phrase": "a ghost", "visible": False}
    drawing = read_drawing({"regions": [GOOD, hidden, GOOD]})
    assert drawing.layout.phrases == ("a dog", "a dog")
    assert drawing.numbers == (1, 3)


def test_nothing_drawn_is_an_empty_drawing():
    assert read_drawing(None) == Drawing()
    assert read_drawing(CanvasData()) == Drawing()


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ({"regions": [{**GOOD, "box": [0.1, 0.2, float("nan"), 0.9]}]}, ValueError, "finite"),
        ({"regions": [{**GOOD, "box": [0.1, 0.2, float("inf"), 0.9]}]}, ValueError, "finite"),
        ({"regions": [{**GOOD, "box": [0.6, 0.2, 0.1, 0.9]}]}, ValueError, "x0 must be smaller"),
        ({"regions": [{**GOOD, "box": [0.1, 0.2, 0.6, 0.2]}]}, ValueError, "y0 must be smaller"),
        ({"regions": [{**GOOD, "box": [-0.1, 0.2, 0.6, 0.9]}]}, ValueError, r"\[0, 1\]"),
        ({"regions": [{**GOOD, "box": [0.1, 0.2, 60, 90]}]}, ValueError, r"\[0, 1\]"),
        ({"regions": [{**GOOD, "box": [0.1, 0.2, 0.6]}]}, ValueError, "four numbers"),
        ({"regions": [{**GOOD, "box": None}]}, TypeError, "four numbers"),
        ({"regions": [{**GOOD, "box": ["a", "b", "c", "d"]}]}, TypeError, "four numbers"),
        ({"regions": [{"phrase": "a dog"}]}, TypeError, "four numbers"),
        ({"regions": [{**GOOD, "phrase": 7}]}, TypeError, "must be text"),
        ({"regions": [{**GOOD, "phrase": "x" * 201}]}, ValueError, "201 characters"),
        ({"regions": ["a dog"]}, TypeError, "Box 1"),
        ({"regions": {"0": GOOD}}, TypeError, "must be a list"),
        ({"regions": [GOOD] * 31}, ValueError, "31 boxes.*Delete 1"),
        ({"pending": "sun"}, TypeError, "must be a list"),
        ({"regions": [{**GOOD, "colour": "red"}]}, ValueError, "colour of box 1 is 'red'"),
        ({"regions": [{**GOOD, "colour": "#E63946"}]}, ValueError, "six digits"),
        ({"regions": [{**GOOD, "colour": "#e63946;x:y"}]}, ValueError, "six digits"),
        ({"regions": [{**GOOD, "colour": 7, "visible": False}]}, ValueError, "six digits"),
        ({"width": "512", "height": 512}, ValueError, "width of the canvas is 512"),
        ({"width": 512, "height": float("nan")}, ValueError, "height of the canvas is nan"),
        ({"width": 512}, ValueError, "height of the canvas is None"),
        ({"width": 0, "height": 512}, ValueError, "from 1 to"),
        ({"width": True, "height": 512}, ValueError, "from 1 to"),
        ({"mask": "/etc/passwd"}, TypeError, "data address"),
        ({"mask": "data:image/png;base64,%%%"}, ValueError, "cannot be read"),
        ({"mask": "data:image/png;base64,aGVsbG8="}, ValueError, "cannot be read"),
        ({"mask": "data:image/png;base64," + "A" * 4_000_000}, ValueError, "limit"),
        ({"mask": address(Image.new("L", (MAX_MASK_SIDE + 1, 2)))}, ValueError, "1025 x 2"),
    ],
)
def test_refuses_bad_data_with_a_sentence(data, error, words):
    with pytest.raises(error, match=words):
        read_drawing(data)


def test_a_bad_drawing_reaches_the_page_as_its_sentence():
    with pytest.raises(gr.Error, match="x0 must be smaller"):
        Canvas().preprocess(CanvasData(regions=[{**GOOD, "box": [0.6, 0.2, 0.1, 0.9]}]))


def test_thirty_regions_are_accepted():
    assert len(read_drawing({"regions": [GOOD] * 30}).layout) == 30


def test_mask_is_read_as_grey_levels():
    painted = Image.new("L", (20, 10))
    painted.paste(255, (5, 2, 15, 8))
    mask = read_drawing({"mask": address(painted.convert("RGB"))}).mask
    assert mask is not None
    assert mask.mode == "L"
    assert mask.tobytes() == painted.tobytes()


def upload(path, size=(40, 20), colour="red") -> dict:
    """Describe a stored file as Gradio does after it has checked it."""
    Image.new("RGB", size, colour).save(path)
    return FileData(path=str(path)).model_dump()


def test_boxes_have_their_reference_pictures(tmp_path):
    pictures = [None, upload(tmp_path / "a.png")]
    nameless = {**GOOD, "phrase": ""}
    layout = read_drawing({"regions": [GOOD, nameless], "pictures": pictures}).layout
    assert [region.image is not None for region in layout] == [False, True]
    assert layout.regions[1].is_grounded
    assert layout.regions[1].image.getpixel((3, 3)) == (255, 0, 0)


def test_a_data_address_is_a_picture_too_and_large_ones_shrink():
    pictures = [address(Image.new("RGB", (3000, 1000), "blue"))]
    (region,) = read_drawing({"regions": [GOOD], "pictures": pictures}).layout
    assert region.image.size == (1024, 341)


def test_pictures_of_hidden_boxes_are_not_even_opened(tmp_path):
    hidden = {**GOOD, "visible": False}
    pictures = [{**upload(tmp_path / "a.png"), "path": str(tmp_path / "gone.png")}]
    assert read_drawing({"regions": [hidden], "pictures": pictures}).hidden == (1,)


@pytest.mark.parametrize(
    ("picture", "error", "words"),
    [
        ({"path": "/etc/passwd"}, TypeError, "picture of box 1 must be an uploaded file"),
        ({"path": "/etc/passwd", "meta": {"_type": "other"}}, TypeError, "uploaded file"),
        ("/etc/passwd", TypeError, "uploaded file"),
        ("http://example.org/a.png", TypeError, "uploaded file"),
        (7, TypeError, "uploaded file"),
        ("data:image/png;base64,%%%", ValueError, "not in base64"),
        ("data:image/png;base64,aGVsbG8=", ValueError, "picture of box 1 cannot be used"),
        ("data:image/png;base64," + "A" * 27_000_001, ValueError, "limit"),
    ],
)
def test_refuses_bad_pictures_with_a_sentence(picture, error, words):
    with pytest.raises(error, match=words):
        read_drawing({"regions": [GOOD], "pictures": [picture]})


def test_pictures_of_boxes_must_be_declared_files():
    for pictures in ([{"path": "/etc/passwd"}], ["/etc/passwd"]):
        forged = {"regions": [GOOD], "pictures": pictures}
        with pytest.raises(ValueError, match="meta"):
            CanvasData.model_validate(forged, context={"validate_meta": True})


def test_a_picture_set_from_python_comes_back():
    region = Region("sun", (0, 0, 1, 1), Image.new("RGB", (9, 7), "lime"))
    data = Canvas(takes_pictures=True).postprocess(Drawing(Layout((region,))))
    (back,) = read_drawing(data).layout
    assert back.image.size == (9, 7)
    assert back.image.getpixel((0, 0)) == (0, 255, 0)


def test_a_drawing_set_from_python_comes_back_equal():
    canvas = Canvas(takes_photo=True)
    drawing = Drawing(Layout.from_lists(["sun", "sun"], [(0, 0, 0.5, 1), (0.5, 0, 1, 1)]))
    assert read_drawing(canvas.postprocess(drawing)) == drawing


def test_colours_and_shape_set_from_python_come_back():
    layout = Layout.from_lists(["sun", "moon"], [(0, 0, 0.5, 1), (0.5, 0, 1, 1)])
    drawing = Drawing(layout, colours=(None, "#00ff7f"), size=(768, 512))
    data = Canvas().postprocess(drawing)
    assert data is not None
    assert (data.width, data.height) == (768, 512)
    assert [region.get("colour") for region in data.regions] == [None, "#00ff7f"]
    assert read_drawing(data) == drawing


def test_colours_are_those_of_the_visible_regions():
    regions = [{**GOOD, "colour": "#000001", "visible": False}, {**GOOD, "colour": "#000002"}]
    assert read_drawing({"regions": regions}).colours == ("#000002",)
    assert read_drawing({"regions": [GOOD, GOOD]}).colours == ()


@pytest.mark.parametrize(
    ("colours", "words"), [(("#00ff7f",) * 2, "2 colours for 1"), (("lime",), "'lime'")]
)
def test_wrong_colours_from_python_are_refused(colours, words):
    with pytest.raises(ValueError, match=words):
        Drawing(Layout.from_lists(["sun"], [(0, 0, 1, 1)]), colours=colours)


def test_a_photo_set_from_python_gives_the_canvas_its_size():
    data = Canvas(takes_photo=True).postprocess(Drawing(photo=Image.new("RGB", (30, 20))))
    assert data is not None
    assert (data.width, data.height) == (30, 20)
    assert data.photo is not None
    with Image.open(data.photo.path) as stored:
        assert stored.size == (30, 20)


def test_a_photo_must_be_declared_a_file():
    forged = {"photo": {"path": "/etc/passwd"}}
    with pytest.raises(ValueError, match="meta"):
        CanvasData.model_validate(forged, context={"validate_meta": True})


def test_every_text_of_the_page_has_words_and_all_words_are_used():
    folder = files("demo.components")
    names = [p.name for p in folder.iterdir() if p.name.startswith("canvas")]
    pages = {
        n: folder.joinpath(n).read_text("utf-8") for n in names if n.endswith((".js", ".html"))
    }
    used = set(
        re.findall(r'data-(?:text|title|name|alt|placeholder)="(\w+)"', pages["canvas.html"])
    )
    # In the scripts each key stands in quotes, whether it is given to `words` at once or later.
    quoted = {key for page in pages.values() for key in re.findall(r'"(\w+)"', page)}
    used |= {f"hint_{mode}" for mode in ("box", "scribble", "mask", "erase")}
    assert used <= set(WORDS)
    assert set(WORDS) <= used | quoted
    for page in pages.values():
        assert set(re.findall(r'words\("(\w+)"[,)]', page)) <= set(WORDS)


def test_templates_take_no_values():
    """A value inside a template would be run as code on the page."""
    canvas = Canvas(takes_photo=True)
    for template in (canvas.html_template, canvas.css_template):
        assert "${" not in template
        assert "{{" not in template
        assert "`" not in template
