import pytest
from PIL import Image

from gligen.kinds import KINDS, check_layout, kind_named
from gligen.layout import MAX_REGIONS, Layout, Region
from gligen.person import JOINTS, Person

BOX = (0.1, 0.1, 0.5, 0.5)
PICTURE = Image.new("RGB", (8, 8))
PERSON = Person(((0.5, 0.5),) * len(JOINTS))


def test_there_are_the_ten_released_kinds():
    assert len(KINDS) == 10
    assert [kind for kind in KINDS if kind_named(kind).is_inpainting] == [
        "inpainting_text_box",
        "inpainting_text_image_box",
    ]
    with pytest.raises(ValueError, match="no kind 'hte'; the kinds are generation_text_box, "):
        kind_named("hte")


@pytest.mark.parametrize(
    ("kind", "layout", "words"),
    [
        ("keypoint", Layout((Region("a dog", BOX),)), "keypoint.*does not read boxes.*has 1"),
        ("canny", Layout((Region("a dog", BOX),)), "does not read boxes"),
        ("generation_text_box", Layout(persons=(PERSON,)), "keypoints.*load the kind keypoint"),
        ("keypoint", Layout(map=PICTURE), "does not read a map.*hed, canny, depth"),
        ("inpainting_text_box", Layout(style=PICTURE), "style picture.*generation_text_image_box"),
        (
            "inpainting_text_box",
            Layout((Region("", BOX), Region("a dog", BOX, PICTURE))),
            "Region 2 has a reference picture.*inpainting_text_image_box",
        ),
        ("generation_text_box", Layout((Region("", BOX),)), "Region 1 has no phrase"),
        (
            "generation_text_image_box",
            Layout((Region("a dog", BOX),) * MAX_REGIONS, style=PICTURE),
            "at most 29 regions",
        ),
    ],
)
def test_a_layout_that_the_kind_cannot_follow_is_refused(kind, layout, words):
    with pytest.raises(ValueError, match=words):
        check_layout(layout, kind_named(kind))


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("generation_text_box", Layout()),
        ("inpainting_text_box", Layout((Region("", BOX),))),
        ("generation_text_image_box", Layout((Region("", BOX), Region("", BOX, PICTURE)))),
        ("inpainting_text_image_box", Layout((Region("a dog", BOX),), style=PICTURE)),
        ("keypoint", Layout(persons=(PERSON,) * 8)),
        ("semantic", Layout(map=PICTURE)),
    ],
)
def test_a_layout_that_the_kind_follows_passes(kind, layout):
    check_layout(layout, kind_named(kind))
