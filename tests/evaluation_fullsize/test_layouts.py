import json

import pytest

from gligen.evaluation.fullsize.layouts import choose_layouts, crop_window
from gligen.evaluation.fullsize.options import Choice, Painting
from tests.data.files import images, write_json
from tests.evaluation_fullsize.models import IDS, write_annotations


def choose(root, painting=None, **filters):
    filters = {"min_objects": 1, **filters}
    choice = Choice(root / "instances.json", **filters)
    return choose_layouts(choice, painting or Painting())


def test_objects_below_the_area_are_left_out_before_they_are_counted(tmp_path):
    write_annotations(tmp_path)
    (series,) = choose(tmp_path, min_objects=2, captions=(tmp_path / "captions.json",)).series
    assert [item.id for item in series.items] == list(IDS)
    first = series.items[0]
    assert first.layout.phrases == ("person", "fire hydrant")
    assert first.layout.boxes == ((0.0, 0.0, 0.25, 0.5), (0.5, 0.5, 0.75, 0.75))
    assert first.categories == (1, 18)
    assert first.caption == "A person flies kite 11."
    with pytest.raises(ValueError, match=r"None of the 6 pictures .* has 3 to 8 objects"):
        choose(tmp_path, min_objects=3)
    (series,) = choose(tmp_path, min_objects=3, min_area=0.001).series
    assert len(series.items[0].layout) == 3


def test_without_captions_the_phrases_stand_in(tmp_path):
    write_annotations(tmp_path)
    (series,) = choose(tmp_path).series
    assert series.items[0].caption == "person, fire hydrant"


def test_the_limit_draws_by_the_seed(tmp_path):
    write_annotations(tmp_path)
    draws = [
        tuple(item.id for item in choose(tmp_path, limit=3, seed=seed).series[0].items)
        for seed in range(6)
    ]
    assert len(set(draws)) > 1
    assert all(len(draw) == 3 and list(draw) == sorted(draw) for draw in draws)
    again = choose(tmp_path, limit=3, seed=4).series[0].items
    assert tuple(item.id for item in again) == draws[4]


def test_mirrored_boxes_are_those_that_are_asked_for(tmp_path):
    write_annotations(tmp_path)
    straight, mirrored = choose(tmp_path, Painting(modes=("on", "mirrored"))).series
    assert mirrored.items[0].layout.boxes[0] == (0.75, 0.5, 1.0, 1.0)
    assert mirrored.items[0].categories == straight.items[0].categories


def test_a_crop_moves_boxes_and_drops_what_it_loses(tmp_path):
    write_annotations(tmp_path)
    # Of 80 x 40 pixels the square goes from 20 to 60: nothing is left of the person at 0 to 20.
    assert crop_window((80, 40)) == (0.25, 0.0, 0.75, 1.0)
    assert crop_window((40, 80)) == (0.0, 0.25, 1.0, 0.75)
    (series,) = choose(tmp_path, frame="crop").series
    assert series.items[0].layout.boxes == ((0.5, 0.5, 1.0, 0.75),)


def test_holes_are_of_the_three_sizes(tmp_path):
    write_annotations(tmp_path)
    selection = choose(tmp_path, Painting(kind="inpainting_text_box"))
    assert [series.name for series in selection.series] == ["holes_5_to_10"]
    assert {item.layout.phrases for item in selection.series[0].items} == {("fire hydrant",)}


def test_crowds_and_broken_boxes_are_not_asked_for(tmp_path):
    path = write_annotations(tmp_path)
    document = json.loads(path.read_text())
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["bbox"] = [90, 50, 10, 10]
    document["annotations"][3]["bbox"] = ["a", 0, 1, 1]
    write_json(path, document)
    (series,) = choose(tmp_path).series
    assert [item.id for item in series.items] == [12, 13, 14, 15, 16]
    assert series.items[0].layout.phrases == ("fire hydrant",)


def test_what_cannot_be_read_is_refused(tmp_path):
    write_annotations(tmp_path)
    with pytest.raises(ValueError, match=r"no file .*missing\.json"):
        choose_layouts(Choice(tmp_path / "missing.json"), Painting())
    with pytest.raises(ValueError, match="holds captions, not boxes"):
        choose_layouts(Choice(tmp_path / "captions.json"), Painting())
    with pytest.raises(ValueError, match="holds no captions"):
        choose(tmp_path, captions=(tmp_path / "instances.json",))
    strings = [{**image, "id": f"a{image['id']}"} for image in images(*IDS)]
    document = json.loads((tmp_path / "instances.json").read_text())
    for annotation in document["annotations"]:
        annotation["image_id"] = f"a{annotation['image_id']}"
    write_json(tmp_path / "instances.json", {**document, "images": strings})
    with pytest.raises(ValueError, match="ids of COCO and LVIS are whole numbers"):
        choose(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"min_objects": 9}, {"max_objects": 31}, {"min_area": 1.0}, {"limit": 0}, {"frame": "round"}],
)
def test_filters_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="must be"):
        Choice(tmp_path, **wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kind": "canny"}, "generation_text_box or inpainting_text_box"),
        ({"steps": 0}, "steps is 0"),
        ({"tau": 0.0}, "above 0"),
        ({"modes": ("on", "sideways")}, "The modes are"),
        ({"kind": "inpainting_text_box", "modes": ("on", "off")}, "Inpainting has no modes"),
    ],
)
def test_ways_to_paint_that_do_not_exist_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Painting(**wrong)
