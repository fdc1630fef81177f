"""From a run to the history and back to the canvas, and recipes from files."""

import json

import pytest
from PIL import Image

from demo.components.canvas import Canvas, Drawing, read_drawing
from demo.gallery import write_gallery
from demo.handlers import Asked, Finished, Options, follow, request_for
from demo.history import Visits
from demo.recipefiles import read_recipe_file
from demo.recipes import recipe_document
from demo.remembering import drawing_of, pictures_of, remember
from demo.service import IMAGE_GENERATION, INPAINTING
from gligen.kinds import KINDS
from gligen.layout import Layout, Region
from gligen.pictures.metadata import save_png
from tests.demo.fake_service import FakeService

BOX = (0.1, 0.2, 0.5, 0.6)
RED = Image.new("RGB", (20, 10), "red")
HIDDEN = Region("moon", (0.5, 0.5, 1, 1))


@pytest.fixture
def visit(tmp_path):
    visits = Visits(tmp_path / "visits", sweeps=False)
    visits.join("mine")

    def make(asked: Asked):
        service = FakeService(KINDS)
        *_, event = follow(service, asked.kind, request_for(service.card, asked), lambda: False)
        assert isinstance(event, Finished)
        gallery = write_gallery(event.result, tmp_path, [], asked.drawing.numbers)
        files = [picture.file for picture in gallery.pictures]
        remember(visits, "mine", asked, event.result, files)
        remember(visits, "a page that is not there", asked, event.result, files)
        return visits.of("mine").entries()

    return make


def test_each_picture_is_kept_with_its_seed_settings_and_pictures(visit):
    layout = Layout((Region("sun", BOX), Region("", BOX, RED)), style=RED)
    drawing = Drawing(layout, hidden=(2,), hidden_regions=(HIDDEN,), pending=("star",))
    options = Options("a night", shares=(0.5, 0.3, 0.2), num_images=2, seed=None)
    newest, oldest = visit(Asked(IMAGE_GENERATION, options, drawing))
    assert [entry.recipe.options.seed for entry in (oldest, newest)] == [1234, 1235]
    assert newest.recipe.options.shares == (0.5, 0.3, 0.2)
    assert (newest.prompt, newest.recipe.options.prompt) == ("a night", "a night")
    assert newest.recipe.layout.regions == (layout.regions[0], HIDDEN, Region("", BOX))

    # And back: what the canvas is given, it gives again.
    brought = pictures_of(newest)
    restored = drawing_of(newest.recipe, brought)
    assert brought.style is not None
    assert restored.layout.regions[1].image.getpixel((0, 0)) == (255, 0, 0)
    assert (restored.hidden, restored.hidden_regions) == ((2,), (HIDDEN,))
    again = read_drawing(Canvas().postprocess(restored))
    assert again.layout.phrases == ("sun", "")
    assert again.layout.regions[1].image.size == RED.size
    assert (again.hidden, again.hidden_regions, again.pending) == ((2,), (HIDDEN,), ("star",))


def test_a_turned_photo_goes_back_upright_and_unchanged(visit, tmp_path):
    photo, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.new("RGB", (80, 40)).save(photo, exif=exif)
    drawing = Drawing(Layout((Region("dog", BOX),)), photo=photo)
    (entry,) = visit(Asked(INPAINTING, Options(), drawing))
    restored = drawing_of(entry.recipe, pictures_of(entry))
    data = Canvas(takes_photo=True).postprocess(restored)
    assert (data.width, data.height) == (40, 80)
    again = read_drawing(data)
    assert again.photo.read_bytes() == photo.read_bytes()
    entry.extras.photo.unlink()
    assert pictures_of(entry).photo is None


def test_a_picture_and_its_layout_file_are_the_same_recipe(visit, tmp_path):
    drawing = Drawing(Layout((Region("sun", BOX),)))
    (entry,) = visit(Asked("generation_text_box", Options("a night", seed=7), drawing))
    from_picture = read_recipe_file(entry.file, "maps")
    (tmp_path / "kept.json").write_text("\ufeff" + json.dumps(recipe_document(entry.recipe)))
    assert from_picture == read_recipe_file(tmp_path / "kept.json", "maps") == entry.recipe


def test_files_that_are_none_of_ours_get_a_sentence(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(ValueError, match="no longer there"):
        read_recipe_file(path, "generate")
    with pytest.raises(ValueError, match="no longer there"):
        read_recipe_file(None, "generate")
    path.write_bytes(b" " * 4_000_001)
    with pytest.raises(ValueError, match="4000001 bytes"):
        read_recipe_file(path, "generate")
    save_png(RED, path.with_suffix(".png"), {"regions": [], "gate_schedule": [1]})
    with pytest.raises(ValueError, match="has 1 numbers"):
        read_recipe_file(path.with_suffix(".png"), "generate")
    RED.save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match=r"no settings.* a photo to repaint to the tab Inpaint"):
        read_recipe_file(tmp_path / "plain.png", "generate")
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"text, but no layout.*JSON.*or a PNG made here"):
        read_recipe_file(path, "generate")
