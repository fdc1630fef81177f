import json

import pytest
from PIL import Image

from tests.data.files import HEIGHT, WIDTH, counts, open_here, write_lines, write_picture


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "a.png")
    return tmp_path


def read(folder, *entries, **options):
    return open_here(write_lines(folder / "data.jsonl", *entries), folder, **options)


def test_reads_every_field(folder):
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "m.png")
    points = [[0.5, 0.25]] + [None] * 16
    entry = {
        "image": "a.png",
        "captions": ["one", " two\n words "],
        "regions": [{"phrase": "a dog", "box": [0.125, 0.25, 0.5, 1]}],
        "persons": [points],
        "map": "m.png",
        "id": 17,
    }
    sample = read(folder, entry)[0]
    assert sample.id == "17"
    assert sample.picture.path == folder / "a.png"
    assert sample.captions == ("one", "two words")
    assert sample.layout.phrases == ("a dog",)
    assert sample.layout.boxes == ((0.125, 0.25, 0.5, 1.0),)
    assert sample.layout.persons[0].keypoints == ((0.5, 0.25), *[None] * 16)
    assert sample.map.path == folder / "m.png"
    assert sample.open_layout().map.size == (WIDTH, HEIGHT)
    assert sample.size is None
    assert sample.where == "data.jsonl:1"


def test_pixels_only_where_the_line_says_so(folder):
    pixels = {
        "image": "a.png",
        "caption": "c",
        "box_format": "pixels",
        "regions": [{"phrase": "a dog", "box": [20, 10, 40, 40]}],
        "persons": [[[8, 20]] + [None] * 16],
    }
    fractions = {key: pixels[key] for key in ("image", "caption", "regions")}
    dataset = read(folder, pixels, fractions)
    assert dataset[0].layout.boxes == ((0.25, 0.25, 0.5, 1.0),)
    assert dataset[0].layout.persons[0].keypoints[0] == (0.1, 0.5)
    assert dataset[0].size == (WIDTH, HEIGHT)
    assert dataset[1].layout.boxes == ()
    assert counts(dataset) == {"box_outside": 1, "grounding_missing": 1}


def test_pictures_turned_by_exif_have_boxes_in_the_upright_frame(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "turned.jpg", exif=exif)
    regions = [{"phrase": "low", "box": [0, 60, 40, 80]}]
    entry = {"image": "turned.jpg", "caption": "c", "box_format": "pixels", "regions": regions}
    sample = read(folder, entry)[0]
    assert sample.layout.boxes == ((0.0, 0.75, 1.0, 1.0),)
    assert sample.open_picture().size == (HEIGHT, WIDTH)


def test_other_folders(folder):
    write_picture(folder / "pictures" / "b.png")
    write_picture(folder / "maps" / "m.png")
    entry = {"image": "b.png", "caption": "c", "map": "m.png"}
    dataset = read(folder, entry, images=folder / "pictures", maps=folder / "maps")
    assert dataset[0].picture.path == folder / "pictures" / "b.png"
    assert dataset[0].map.path == folder / "maps" / "m.png"


@pytest.mark.parametrize(
    ("box", "rule", "words"),
    [
        ([0, 0, 1.0124, 1], "box_clipped", "0.992 pixels outside"),
        ([-0.0125, 0, 1, 1], "box_clipped", "1 pixels outside"),
        ([0, 0, 1, 1.03], "box_outside", "1.2 pixels outside"),
        ([0.5, 0, 0.5, 1], "box_degenerate", "no width"),
        ([0.6, 0, 0.5, 1], "box_degenerate", "no width"),
        ([0, 1, 2], "box_invalid", "four finite numbers"),
        ([0, 0, 1, float("nan")], "box_invalid", "four finite numbers"),
        ([0, 0, 1, 10**400], "box_invalid", "four finite numbers"),
        ([0, 0, 1, "1"], "box_invalid", "four finite numbers"),
        ([0, 0, 1, True], "box_invalid", "four finite numbers"),
        (None, "box_invalid", "four finite numbers"),
    ],
)
def test_boxes_that_break_a_rule_are_counted_with_their_line(folder, box, rule, words):
    good = {"phrase": "good", "box": [0, 0, 1, 1]}
    bad = {"phrase": "bad", "box": box}
    dataset = read(folder, "", {"image": "a.png", "caption": "c", "regions": [bad, good]})
    assert counts(dataset) == {rule: 1}
    problem = dataset.report.examples[rule][0]
    assert problem.where == "data.jsonl:2"
    assert words in problem.message
    kept = ("bad", "good") if rule == "box_clipped" else ("good",)
    assert dataset[0].layout.phrases == kept
    assert dataset[0].layout.boxes[0][2] <= 1


def test_rounding_is_not_worth_a_word(folder):
    regions = [{"phrase": "p", "box": [-1e-9, 0, 1.0000000002, 1]}]
    dataset = read(folder, {"image": "a.png", "caption": "c", "regions": regions})
    assert counts(dataset) == {}
    assert dataset[0].layout.boxes == ((0.0, 0.0, 1.0, 1.0),)


def test_the_thirty_largest_regions_are_kept_in_order(folder):
    sizes = [0.5, 0.01, *[0.4] * 28, 0.02, 0.3]
    regions = [{"phrase": str(i), "box": [0, 0, side, 1]} for i, side in enumerate(sizes)]
    dataset = read(folder, {"image": "a.png", "caption": "c", "regions": regions})
    kept = [str(i) for i in range(32) if i not in (1, 30)]
    assert list(dataset[0].layout.phrases) == kept
    assert counts(dataset) == {"regions_too_many": 1}
    assert "32 regions" in dataset.report.examples["regions_too_many"][0].message


def test_the_eight_largest_persons_are_kept(folder):
    def figure(side):
        return [[0.1, 0.1], [0.1 + side, 0.1 + side], *[None] * 15]

    sides = [0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.2]
    entry = {"image": "a.png", "caption": "c", "persons": [figure(side) for side in sides]}
    dataset = read(folder, entry)
    assert len(dataset[0].layout.persons) == 8
    assert {person.keypoints[1] for person in dataset[0].layout.persons} == {(0.6, 0.6)}
    assert counts(dataset) == {"persons_too_many": 1}


def test_joints_that_break_a_rule(folder):
    def figure(*points):
        return [*points, *[None] * (17 - len(points))]

    persons = [
        figure([1.01, 0.5], [1.5, 0.5], [0.5, 0.5]),
        figure([1.5, 0.5]),
        figure([0, 0]),
        [[0.5, 0.5]],
        figure("nose"),
    ]
    dataset = read(folder, {"image": "a.png", "caption": "c", "persons": persons})
    assert [p.keypoints[:3] for p in dataset[0].layout.persons] == [((1.0, 0.5), None, (0.5, 0.5))]
    assert counts(dataset) == {
        "keypoints_clipped": 1,
        "keypoints_outside": 2,
        "person_without_joints": 2,
        "keypoints_invalid": 2,
    }


def test_what_is_missing_is_listed(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    dataset = read(
        folder,
        {"image": "a.png", "regions": [{"phrase": " ", "box": [0, 0, 1, 1]}]},
        {"image": "gone.png", "caption": "c"},
        {"image": "broken.png", "caption": "c"},
        {"image": "a.png", "caption": "c", "map": "gone.png", "persons": [], "regions": []},
    )
    assert len(dataset) == dataset.report.num_samples == 2
    assert counts(dataset) == {
        "phrase_empty": 1,
        "caption_missing": 1,
        "grounding_missing": 2,
        "picture_missing": 1,
        "picture_unreadable": 1,
        "map_missing": 1,
    }
    places = {name: problems[0].where for name, problems in dataset.report.examples.items()}
    assert places["picture_missing"] == "data.jsonl:2"
    assert places["picture_unreadable"] == "data.jsonl:3"
    assert places["map_missing"] == "data.jsonl:4"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", '"image"'),
        ('{"caption": "c"}', '"image"'),
        ('{"image": "a.png", "regions": {}}', '"regions" must be a list'),
        ('{"image": "a.png", "regions": [7]}', '"regions" must be a list of objects'),
        ('{"image": "a.png", "captions": "c"}', '"captions" must be a list'),
        ('{"image": "a.png", "captions": [1]}', '"captions" must be a list of texts'),
        ('{"image": "a.png", "persons": [{}]}', '"persons" must be a list of lists'),
        ('{"image": "a.png", "map": 3}', '"map" is 3'),
        ('{"image": "a.png", "box_format": "xywh"}', "fractions, pixels"),
    ],
)
def test_lines_that_cannot_be_read_are_left_out(folder, line, words):
    dataset = read(folder, {"image": "a.png", "caption": "c"}, line)
    assert len(dataset) == 1
    assert words in dataset.report.examples["entry_unreadable"][0].message


def test_misspelt_fields_are_reported(folder):
    region = {"phrase": "p", "box": [0, 0, 1, 1], "label": "q"}
    dataset = read(folder, {"image": "a.png", "captoin": "c", "regions": [region]})
    problems = dataset.report.examples["field_unknown"]
    assert [problem.message.split("'")[1] for problem in problems] == ["captoin", "label"]


def test_a_picture_replaced_by_one_of_another_size_is_not_opened(folder):
    regions = [{"phrase": "p", "box": [0, 0, 20, 20]}]
    entry = {"image": "a.png", "caption": "c", "box_format": "pixels", "regions": regions}
    dataset = read(folder, entry)
    assert dataset[0].open_picture().size == (WIDTH, HEIGHT)
    write_picture(folder / "a.png", size=(WIDTH, HEIGHT + 1))
    with pytest.raises(ValueError, match=r"data.jsonl:1: .* 80 x 41 pixels .* measured on 80 x 40"):
        dataset[0].open_picture()


def test_pictures_too_large_to_open_are_found_by_their_first_bytes(folder, monkeypatch):
    monkeypatch.setattr("gligen.data.pictures.MAX_PIXELS", WIDTH * HEIGHT)
    write_picture(folder / "b.png", size=(WIDTH, HEIGHT + 1))
    entries = [{"image": name, "caption": "c"} for name in ("a.png", "b.png")]
    dataset = read(folder, *entries)
    assert len(dataset) == 1
    assert "make it smaller" in dataset.report.examples["picture_unreadable"][0].message


def test_names_no_file_can_have(folder):
    dataset = read(folder, {"image": "a.png"}, json.dumps({"image": "a\0.png"}))
    assert counts(dataset)["picture_unreadable"] == 1
    assert len(read(folder, {"image": "a.png"}, json.dumps({"image": "a\0.png"}))) == 1
