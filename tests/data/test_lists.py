import pytest

from tests.data.files import counts, open_here, write_coco, write_lines, write_picture


@pytest.fixture
def folder(tmp_path):
    """Return a folder with COCO's of two splits and lines, whose pictures are elsewhere."""
    write_coco(write_coco(tmp_path / "coco"), "train2017")
    write_picture(tmp_path / "pictures" / "a.png")
    person = [[0.5, 0.5]] + [None] * 16
    write_lines(tmp_path / "mine.jsonl", {"image": "a.png", "persons": [person]})
    return tmp_path


def read(folder, text):
    (folder / "all.yaml").write_text(text)
    return open_here(folder / "all.yaml", folder)


BOTH = """
- path: mine.jsonl
  images: pictures
- path: coco
  split: train2017
"""


def test_datasets_follow_each_other(folder):
    dataset = read(folder, BOTH)
    assert dataset.form == "lines, coco"
    assert [sample.id for sample in dataset] == ["mine.jsonl:1", "139", "285"]
    assert dataset[1].picture.path.parent.name == "train2017"
    assert dataset[-1].captions == ("Many people.",)
    assert dataset.report.num_samples == 3
    assert counts(dataset)["caption_missing"] == 1
    assert counts(dataset)["crowd"] == 1


def test_samples_of_a_kind_come_from_all(folder):
    dataset = read(folder, BOTH)
    assert [sample.id for sample in dataset.for_kind("generation_text_box")] == ["139"]
    assert [sample.id for sample in dataset.for_kind("keypoint")] == ["mine.jsonl:1"]
    with pytest.raises(ValueError, match="None of the 3 samples has a map"):
        dataset.for_kind("depth")


def test_one_dataset_needs_no_list(folder):
    files = "[coco/annotations/instances_val2017.json, coco/annotations/captions_val2017.json]"
    dataset = read(folder, f"path: {files}\nimages: coco/val2017\nignored_label: 255\n")
    assert [len(sample.captions) for sample in dataset] == [2, 1]
    assert dataset[0].layout.phrases == ("dog", "person")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- path: [", "cannot be read as YAML"),
        ("[]", "lists no dataset"),
        ("", "must say at least the path"),
        ("- coco", "Dataset 1 .* is 'coco'; it must say at least the path"),
        ("- path: coco\n- split: a", "Dataset 2 .* at least the path"),
        ("- path: coco\n  spilt: train2017", "has spilt; it can have path, images, maps, split"),
        ("- path: coco\n  split: 2017", "has 2017, which must be text"),
        ("- path: [coco, 1]", "has 1, which must be text"),
        ("- path: [coco, '']", "has '', which must be text"),
        ("- path: coco\n  ignored_label: 'x'", "'x'; it must be a whole number"),
        ("- path: coco\n  split: test", "no split 'test'"),
        ("- path: gone", "no file or folder '.*gone'"),
    ],
)
def test_lists_that_cannot_be_read(folder, text, words):
    with pytest.raises(ValueError, match=words):
        read(folder, text)


def test_options_belong_into_the_list(folder):
    (folder / "all.yaml").write_text(BOTH)
    with pytest.raises(ValueError, match="write the options in it"):
        open_here(folder / "all.yaml", folder, split="train2017")
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        open_here(folder / "gone.yaml", folder)
