"""Layout files: ours, other editors', and what must be refused with a sentence."""

import json

import pytest

from gligen.layout import Layout, Region
from gligen.layoutfiles import LayoutFile, layout_document, read_layout_file
from gligen.person import Person

BOX = (0.1, 0.2, 0.5, 0.6)
PERSON = Person(tuple((0.5, 0.05 * n) if n else None for n in range(17)))
FILE = LayoutFile(
    (Region('a "dog"; ${x} <b>\u202e狗', BOX), Region("", (0, 0, 1, 1), phrase_weight=0.5)),
    (PERSON,),
    hidden=(2,),
    width=512,
    height=384,
)


def test_a_file_comes_back_as_it_was():
    assert read_layout_file(json.dumps(layout_document(FILE))) == FILE
    assert read_layout_file(Layout().to_json()) == LayoutFile()


def test_hidden_regions_are_kept_in_the_file_and_left_out_of_the_layout():
    assert FILE.layout.regions == FILE.regions[:1]
    assert Layout.from_json(json.dumps(layout_document(FILE))) == FILE.layout
    with pytest.raises(ValueError, match="Region 3 is said to be hidden, and there are 2"):
        LayoutFile(FILE.regions, hidden=(3,))


@pytest.mark.parametrize(
    "value",
    [
        [{"phrase": "a dog", "box": BOX}],
        [{"label": "a dog", "bbox": BOX}],
        {"regions": [{"caption": "a dog", "box": BOX, "id": 7}], "prompt": 3},
        {"width": 200, "height": 100, "boxes": [{"label": "a dog", "box": [20, 20, 100, 60]}]},
        {
            "width": 200,
            "height": 100,
            "objects": [{"caption": "a dog", "x": 20, "y": 20, "width": 80, "height": 40}],
        },
        {"phrases": ["a dog"], "locations": [BOX]},
        {"phrases": ["a dog"], "boxes": [BOX]},
        {"gligen_phrases": ["a dog"], "gligen_boxes": [BOX]},
    ],
)
def test_files_of_other_editors_are_read(value):
    (region,) = read_layout_file(json.dumps(value)).regions
    assert region.phrase == "a dog"
    assert region.box == pytest.approx(BOX)


def ours(**more) -> str:
    return json.dumps({"gligen": 1, **more})


def region(**more) -> str:
    return ours(regions=[{"phrase": "a", "box": BOX, **more}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("7", "cannot be read"),
        ("{}", "no regions"),
        ('{"prompt": "a"}', "no regions"),
        ("[" * 100_000, "nested too deeply"),
        ('{"gligen": 1, "regions": ' + "[" * 500 + "]" * 500 + "}", "Region 1 is"),
        (f'["{"x" * 1_000_000}"]', "1000004 characters"),
        ('{"gligen": 2, "regions": []}', "version 2.*reads version 1"),
        ('{"gligen": "1", "regions": []}', "version '1'"),
        ('{"gligen": true, "regions": []}', "version True"),
        (f'{{"gligen": {"9" * 5000}}}', "not JSON"),
        (ours(regions="all"), "must be a list"),
        (ours(regions=[7]), "Region 1 is 7"),
        (ours(regions=[{"phrase": "a", "box": BOX}] * 31), "31 regions.*Remove 1"),
        (ours(regions=[{"phrase": "a"}]), "has box None"),
        (region(box="left"), "has box 'left'"),
        (region(box=[0, 0, 1]), r"\[0, 0, 1\].*four numbers"),
        (region(box=[0, 0, True, 1]), "four numbers"),
        (region(box=[0] * 10_000), "four numbers"),
        (region(box=[0, 0, float("nan"), 1]), "finite"),
        (region(box=[0, 0, 10**400, 1]), "four numbers"),
        (region(box=[0, 0, 300, 200]), "divide pixels"),
        (region(box=[0.5, 0, 0.4, 1]), "x0 must be smaller"),
        (region(phrase=7), "phrase of region 1 is 7"),
        (region(phrase={"a": {}}), "must be text"),
        (region(phrase="a\0b"), "NUL"),
        (region(phrase="\ud800"), "half of a pair"),
        (region(phrase_weight="much"), "'much'; it must be a number"),
        (region(phrase_weight=float("nan")), "from 0 to 1"),
        (ours(width="wide"), "whole number of pixels"),
        (ours(width=float("nan")), "whole number of pixels"),
        (ours(height=0), "whole number of pixels"),
        (ours(persons={}), "must be a list"),
        (ours(persons=[7]), "Person 1 is 7"),
        (ours(persons=[[None] * 17]), "Person 1: .*no visible"),
        (ours(persons=[[[0.5, 0.5]] * 17] * 9), "9 persons.*Remove 1"),
        (ours(persons=[[[0.5, 0.5, 1]] * 17]), "Person 1: .*two numbers"),
        ('[{"x": 1, "y": 2, "width": null, "height": 3}]', "numbers as x, y, width and height"),
        ('{"phrases": ["a"], "boxes": []}', "1 phrases and 0 boxes"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_short_sentence(text, words):
    with pytest.raises((ValueError, TypeError), match=f"(?s){words}") as refusal:
        read_layout_file(text)
    assert len(str(refusal.value)) < 700
