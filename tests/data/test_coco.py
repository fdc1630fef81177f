import json

import numpy as np
import pytest
from PIL import Image

from gligen.pictures.ade import NUM_LABELS
from tests.data.files import (
    CATEGORIES,
    HEIGHT,
    WIDTH,
    box,
    counts,
    images,
    joints,
    open_here,
    person,
    write_coco,
    write_json,
    write_panoptic,
    write_picture,
)


def boxes_file(tmp_path, *annotations, listed=(139,), categories=CATEGORIES):
    """Write an instances file with its pictures beside it."""
    for image in images(*listed):
        write_picture(tmp_path / image["file_name"])
    value = {"images": images(*listed), "annotations": annotations, "categories": categories}
    return write_json(tmp_path / "mine.json", value)


def test_boxes_and_captions_are_joined(tmp_path):
    dataset = open_here(write_coco(tmp_path), tmp_path)
    assert dataset.form == "coco"
    first, second = dataset
    assert first.id == "139"
    assert first.picture.path == tmp_path / "val2017" / "000000000139.jpg"
    assert first.captions == ("A dog beside a person.", "A walk.")
    assert first.layout.phrases == ("dog", "person")
    assert first.layout.boxes == ((0.1, 0.1, 0.6, 0.85), (0.75, 0.25, 1.0, 0.5))
    assert first.size == (WIDTH, HEIGHT)
    assert first.open_picture().getpixel((3, 3))[0] > 200
    assert second.layout.regions == ()
    assert counts(dataset) == {"crowd": 1, "box_clipped": 1, "grounding_missing": 1}
    problem = dataset.report.examples["box_clipped"][0]
    assert problem.where == "instances_val2017.json: annotations[1]"
    assert "0.5 pixels outside" in problem.message


def test_what_files_say_of_an_image_is_joined(tmp_path):
    root = write_coco(tmp_path)
    for name, keys in (("captions", ("id", "file_name")), ("instances", ("id", "width", "height"))):
        file = root / "annotations" / f"{name}_val2017.json"
        value = json.loads(file.read_text())
        kept = [{key: entry[key] for key in keys} for entry in value["images"]]
        value["images"] = [entry | {"file_name": f"{entry['id']:012}.jpg"} for entry in kept]
        if name == "instances":
            for entry in value["images"]:
                entry |= {"width": 160, "caption": "of the image"}
        file.write_text(json.dumps(value), encoding="utf-8-sig")  # as some editors save it
    sample = open_here(root, tmp_path)[0]
    assert sample.size == (160, 40)
    assert sample.captions == ("of the image", "A dog beside a person.", "A walk.")


def test_one_file_alone(tmp_path):
    file = write_coco(tmp_path) / "annotations" / "captions_val2017.json"
    dataset = open_here(file, tmp_path)
    assert [sample.captions[-1] for sample in dataset] == ["A walk.", "Many people."]
    assert counts(dataset) == {"grounding_missing": 2}


def test_annotations_that_belong_to_nothing(tmp_path):
    strange = box(5, 139, 99, [0, 0, 9, 9])
    unlisted = box(6, 7, 1, [0, 0, 9, 9])
    unhashable = box(6, 139, 1, [0, 0, 9, 9]) | {"image_id": [1], "category_id": {}}
    file = boxes_file(tmp_path, strange, unlisted, unhashable, strange | {"category_id": {}})
    dataset = open_here(file, tmp_path)
    found = counts(dataset)
    assert (found["category_unknown"], found["picture_unlisted"]) == (2, 2)
    assert dataset.report.examples["category_unknown"][0].where == "mine.json: annotations[0]"
    assert "99" in dataset.report.examples["category_unknown"][0].message


def test_images_need_an_id_of_their_own_and_a_name(tmp_path):
    file = boxes_file(tmp_path, box(1, 139, 1, [0, 0, 9, 9]))
    value = json.loads(file.read_text())
    nameless = {"id": 3, "width": 4, "height": 4}
    value["images"] += [value["images"][0], nameless, {"file_name": "a.jpg"}]
    dataset = open_here(write_json(file, value), tmp_path)
    assert len(dataset) == 1
    assert counts(dataset)["entry_unreadable"] == 3


def test_sizes_that_are_not_given_are_read_from_the_picture(tmp_path):
    file = boxes_file(tmp_path, box(1, 139, 1, [0, 0, 40, 40]), box(2, 5, 1, [0, 0, 9, 9]))
    value = json.loads(file.read_text())
    value["images"][0]["width"] = 10**400
    value["images"] += [{"id": 5, "file_name": "text.jpg"}]
    (tmp_path / "text.jpg").write_text("no picture")
    dataset = open_here(write_json(file, value), tmp_path)
    assert [sample.layout.boxes for sample in dataset] == [((0.0, 0.0, 0.5, 1.0),)]
    assert counts(dataset)["picture_unreadable"] == 1


def test_names_of_stuff_and_of_lvis_read_as_words(tmp_path):
    names = [("wall-other-merged", 0), ("sky-stuff", 0), ("fire_hydrant", 1), ("t-shirt-other", 1)]
    categories = [{"id": i, "name": n, "isthing": t} for i, (n, t) in enumerate(names)]
    annotations = [box(i, 139, i, [0, 0, 9, 9]) for i in range(4)]
    file = boxes_file(tmp_path, *annotations, categories=categories)
    value = json.loads(file.read_text())
    del value["images"][0]["file_name"]  # LVIS gives the address alone
    write_picture(tmp_path / "val2017" / "000000000139.jpg")
    dataset = open_here(write_json(file, value), tmp_path)
    assert dataset[0].layout.phrases == ("wall", "sky", "fire hydrant", "t-shirt-other")
    assert dataset[0].picture.path == tmp_path / "val2017" / "000000000139.jpg"


def test_parts_of_the_caption_name_regions_as_in_mdetr(tmp_path):
    caption = "a black dog that runs"
    annotations = [
        box(1, 139, 1, [0, 0, 8, 8]) | {"tokens_positive": [[2, 11]]},
        box(2, 139, 1, [0, 0, 8, 8]) | {"tokens_positive": [[0, 1], [8, 11]]},
        box(3, 139, 1, [0, 0, 8, 8]) | {"tokens_positive": [[8, 99]]},
    ]
    file = boxes_file(tmp_path, *annotations)
    value = json.loads(file.read_text())
    value["images"][0]["caption"] = caption
    sample = open_here(write_json(file, value), tmp_path)[0]
    assert sample.captions == (caption,)
    assert sample.layout.phrases == ("black dog", "a dog", "person")


def test_keypoints_become_persons_with_visible_joints_alone(tmp_path):
    tall = joints(nose=(20, 10, 2), left_wrist=(40, 30, 1), right_ankle=(80.5, 40, 2))
    annotations = [
        person(139, tall, [10, 5, 40, 30]),
        person(139, joints(), [0, 0, 9, 9]),
        person(139, [*tall, 0], [0, 0, 9, 9]),
        person(139, tall, [0, 0, 80, 40]) | {"iscrowd": 1},
        person(139, joints(nose=(90, 10, 2), left_eye=(8, 4, 2)), [0, 0, 9, 9]),
    ]
    root = write_coco(tmp_path)
    file = root / "annotations" / "person_keypoints_val2017.json"
    write_json(
        file,
        {"images": images(139, 285), "annotations": annotations, "categories": CATEGORIES[:1]},
    )
    dataset = open_here(tmp_path, tmp_path)
    people = dataset[0].layout.persons
    assert people[0].keypoints == ((0.25, 0.25), *[None] * 15, (1.0, 1.0))
    assert people[1].keypoints == (None, (0.1, 0.1), *[None] * 15)
    assert dataset[0].layout.phrases == ("dog", "person")  # of the file of boxes alone
    found = counts(dataset)
    assert found["keypoints_clipped"] == found["keypoints_outside"] == 1
    assert found["keypoints_invalid"] == found["person_without_joints"] == 1
    assert found["crowd"] == 2
    assert len(dataset.for_kind("keypoint")) == 1
    alone = open_here(file, tmp_path)
    assert (len(alone[0].layout.persons), len(alone[0].layout.regions)) == (2, 0)


def test_the_largest_persons_are_told_by_their_boxes(tmp_path):
    seen = joints(nose=(8, 4, 2), left_eye=(16, 8, 2))
    small = joints(nose=(40, 20, 2))
    annotations = [person(139, seen, [0, 0, 9, 9])] * 5 + [person(139, small, [0, 0, 80, 40])] * 6
    file = boxes_file(tmp_path, *annotations)
    people = open_here(file, tmp_path)[0].layout.persons
    assert [figure.keypoints[0] for figure in people] == [(0.1, 0.1)] * 2 + [(0.5, 0.5)] * 6


def test_panoptic_maps_become_labels_and_segments_regions(tmp_path):
    dataset = open_here(write_panoptic(tmp_path), tmp_path)
    sample = dataset[0]
    assert sample.layout.phrases == ("dog", "wall")
    assert sample.layout.boxes == ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 0.5))
    labels = np.asarray(sample.open_layout().map)
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, :40], expected[:20, 40:] = 2, 3  # places of the categories 18 and 199
    np.testing.assert_array_equal(labels, expected)
    assert sample.layout.map is None
    assert len(dataset.for_kind("semantic")) == 1


def test_with_a_file_of_boxes_segments_are_no_regions(tmp_path):
    root = write_panoptic(write_coco(tmp_path))
    sample = open_here(root, tmp_path)[0]
    assert sample.layout.phrases == ("dog", "person")
    assert sample.map is not None
    file = root / "annotations" / "instances_val2017.json"
    value = json.loads(file.read_text())
    del value["annotations"][:2]
    write_json(file, value)
    assert open_here(root, tmp_path)[0].layout.regions == ()


def test_panoptic_pngs_elsewhere_and_missing(tmp_path):
    root = write_panoptic(tmp_path)
    (root / "annotations" / "panoptic_val2017").rename(root / "pngs")
    assert counts(open_here(root, tmp_path)) == {"caption_missing": 1, "map_missing": 1}
    assert open_here(root, tmp_path, maps=root / "pngs")[0].map.segments == ((1000000, 2), (5, 3))


def test_label_maps_are_named_like_the_pictures(tmp_path):
    labels = np.full((HEIGHT, WIDTH), 7, np.uint8)
    labels[0, 0] = 255
    root = write_coco(tmp_path)
    (root / "labels").mkdir()
    Image.fromarray(labels).save(root / "labels" / "000000000139.png")
    plain = open_here(root, tmp_path, maps=root / "labels")
    assert np.asarray(plain[0].open_layout().map)[0, 0] == 255
    assert counts(plain)["map_missing"] == 1
    ignoring = open_here(root, tmp_path, maps=root / "labels", ignored_label=255)
    found = np.asarray(ignoring[0].open_layout().map)
    assert found[0, 0] == 0
    assert found[0, 1] == 7


def test_segments_of_unknown_category_are_unlabelled(tmp_path):
    root = write_panoptic(tmp_path)
    file = root / "annotations" / "panoptic_val2017.json"
    value = json.loads(file.read_text())
    segments = value["annotations"][0]["segments_info"]
    segments[1]["category_id"] = 77
    segments += [segments[0] | {"id": 256**3}, segments[0] | {"category_id": []}]
    dataset = open_here(write_json(file, value), tmp_path)
    assert counts(dataset) == {"caption_missing": 1, "segment_unknown": 3, "category_unknown": 2}
    assert "segment 5 has the category 77" in dataset.report.examples["segment_unknown"][0].message
    labels = np.asarray(dataset[0].open_layout().map)
    assert sorted(np.unique(labels).tolist()) == [0, 2]


def test_more_categories_than_labels(tmp_path):
    root = write_panoptic(tmp_path)
    file = root / "annotations" / "panoptic_val2017.json"
    value = json.loads(file.read_text())
    value["categories"] = [{"id": i, "name": "c"} for i in range(NUM_LABELS)]
    write_json(file, value)
    with pytest.raises(ValueError, match="152 categories; .* labels for 151"):
        open_here(root, tmp_path)


def test_missing_pictures_are_left_out_and_listed(tmp_path):
    root = write_coco(tmp_path)
    (root / "val2017" / "000000000285.jpg").unlink()
    dataset = open_here(root, tmp_path)
    assert [sample.id for sample in dataset] == ["139"]
    problem = dataset.report.examples["picture_missing"][0]
    assert problem.where.endswith("_val2017.json: images[1]")
    assert "000000000285.jpg" in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"images": [', "is not JSON"),
        ('{\n"images": []}', 'has no "annotations"'),
        ('{\n"images": [], "annotations": [1]}', 'has no "annotations"'),
        ('{\n"images": [], "annotations": []}', "lists no pictures"),
    ],
)
def test_files_that_are_not_cocos(tmp_path, content, words):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        open_here(tmp_path / "mine.json", tmp_path)


def test_two_files_of_one_kind(tmp_path):
    first = boxes_file(tmp_path, box(1, 139, 1, [0, 0, 9, 9]))
    second = write_json(tmp_path / "other.json", json.loads(first.read_text()))
    with pytest.raises(ValueError, match="other.json is a second file of boxes"):
        open_here([first, second], tmp_path)


def test_pictures_that_are_nowhere(tmp_path):
    root = write_coco(tmp_path / "data")
    (root / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="in none of .*images=FOLDER"):
        open_here(root, tmp_path)
    assert len(open_here(root, tmp_path, images=tmp_path / "elsewhere")) == 2
