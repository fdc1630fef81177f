"""The field for one picture: only uploaded files get in, and pictures from Python get out."""

from pathlib import Path

import pytest
from PIL import Image

from demo.components.mapview import MapPreview
from demo.components.picture import FieldData, PictureField
from demo.maps import MapView


def field() -> PictureField:
    return PictureField(name="a", caption="Style picture")


def test_the_value_is_the_path_of_the_upload():
    assert field().preprocess(None) is None
    assert field().preprocess(FieldData()) is None
    data = FieldData.model_validate({"file": {"path": "/uploads/a.png"}})
    assert field().preprocess(data) == Path("/uploads/a.png")


@pytest.mark.parametrize("file", ["/etc/passwd", {"path": "/etc/passwd"}])
def test_a_file_must_be_declared_one(file):
    with pytest.raises(ValueError, match="meta"):
        FieldData.model_validate({"file": file}, context={"validate_meta": True})


def test_a_picture_from_python_is_shown_and_comes_back():
    data = field().postprocess(Image.new("L", (9, 7), 200))
    path = field().preprocess(data)
    with Image.open(path) as stored:
        assert stored.size == (9, 7)
        assert stored.getpixel((0, 0)) == 200
    assert field().postprocess(None).file is None


def test_templates_take_no_values():
    for part in (field(), MapPreview(MapView())):
        for template in (part.html_template, part.css_template):
            assert not any(mark in template for mark in ("${", "{{", "`"))
