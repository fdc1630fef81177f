import json
import math

import pytest

from gligen.layout import MAX_REGIONS, Layout, Region, check_box

BOX = (0.1, 0.2, 0.5, 0.6)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.5, 0.2, 0.4, 0.9), "x0 must be smaller than x1"),
        ((0.1, 0.9, 0.4, 0.9), "y0 must be smaller than y1"),
        ((-0.1, 0, 0.5, 0.5), r"\(-0.1, 0, 0.5, 0.5\).*\[0, 1\]"),
        ((0, 0, 1.2, 0.5), r"1.2.*divide pixels"),
        ((0, 0, math.nan, 0.5), "nan.*finite"),
        ((0, 0, math.inf, 0.5), "inf.*finite"),
    ],
)
def test_a_bad_box_is_refused_with_its_numbers(box, words):
    with pytest.raises(ValueError, match=words):
        Layout.from_lists(["a cat"], [box])


def test_a_box_has_four_numbers():
    with pytest.raises(ValueError, match=r"Region 1 has box \(0, 0, 0.5\).*four numbers"):
        check_box((0, 0, 0.5), "Region 1")


def test_the_message_names_the_region():
    with pytest.raises(ValueError, match=r"Region 2 \('a cat'\) has box \(0.5, 0.2, 0.4, 0.9\)"):
        Layout.from_lists(["a dog", "a cat"], [BOX, (0.5, 0.2, 0.4, 0.9)])


def test_things_that_are_no_box_or_phrase():
    with pytest.raises(TypeError, match="'left'.*four numbers"):
        check_box("left", "Region 1")
    with pytest.raises(TypeError):
        Region(7, BOX)  # type: ignore[arg-type]


def test_region_31_is_an_error():
    assert len(Layout.from_lists(["x"] * MAX_REGIONS, [BOX] * MAX_REGIONS)) == 30
    with pytest.raises(ValueError, match="31 regions.*Remove 1"):
        Layout.from_lists(["x"] * 31, [BOX] * 31)


def test_counts_must_agree():
    with pytest.raises(ValueError, match="2 phrases and 1 box;"):
        Layout.from_lists(["a", "b"], [BOX])


def test_duplicates_and_emptiness_are_normal():
    layout = Layout.from_lists(["a dog", "a dog"], [BOX, (0.5, 0.5, 1, 1)])
    assert [region.box for region in layout] == [BOX, (0.5, 0.5, 1, 1)]
    assert len(Layout()) == 0


def test_text_form_splits_at_the_last_colon():
    layout = Layout.from_text(["a sign: stop: 0.10,0.20,0.5,0.6"])
    assert layout.regions == (Region("a sign: stop", BOX),)
    for text in ("a dog", "a dog: 1,2,3", "a dog: left", "0.1,0.2,0.3,0.4"):
        with pytest.raises(ValueError, match="phrase: x0,y0,x1,y1"):
            Layout.from_text([text])


def test_json_round_trip():
    layout = Layout.from_lists(['a "dog"; ${x}', ""], [BOX, (0, 0, 1, 1)])
    assert Layout.from_json(layout.to_json()) == layout
    assert json.loads(layout.to_json(64, 48))["width"] == 64


def test_a_region_without_phrase_is_not_grounded():
    layout = Layout.from_lists(["a dog", "  "], [BOX, BOX])
    assert [region.phrase for region in layout.grounded] == ["a dog"]
