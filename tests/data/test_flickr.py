import pytest

from tests.data.files import HEIGHT, WIDTH, counts, open_here, write_flickr


def test_each_sentence_is_a_sample_with_its_own_phrases(tmp_path):
    dataset = open_here(write_flickr(tmp_path / "entities"), tmp_path)
    assert dataset.form == "flickr"
    first, second = dataset
    assert (first.id, second.id) == ("1000092795#0", "1000092795#1")
    assert first.captions == ("Two young guys see their hands in the yard .",)
    # Entity 1 has two boxes, the second of which belongs to entity 2 as well. Pixels count from 1.
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.25, 1.0, 0.5)
    assert list(zip(first.layout.phrases, first.layout.boxes, strict=True)) == [
        ("Two young guys", left),
        ("Two young guys", right),
        ("their hands", right),
    ]
    assert second.captions == ("Two men and who .",)
    assert second.layout.phrases == ("Two men", "Two men")
    assert second.where == "Sentences/1000092795.txt:2"
    assert first.size == (WIDTH, HEIGHT)
    assert first.open_picture().size == (WIDTH, HEIGHT)
    assert counts(dataset) == {"phrase_without_box": 2}
    places = [problem.where for problem in dataset.report.examples["phrase_without_box"]]
    assert places == ["Sentences/1000092795.txt:1", "Sentences/1000092795.txt:2"]


def test_changed_boxes_are_read_anew(tmp_path):
    root = write_flickr(tmp_path / "entities")
    assert open_here(root, tmp_path)[1].layout.boxes[0] == (0.0, 0.0, 0.5, 1.0)
    file = root / "Annotations" / "1000092795.xml"
    file.write_text(file.read_text().replace("<xmax>40<", "<xmax>060<"))
    assert open_here(root, tmp_path)[1].layout.boxes[0] == (0.0, 0.0, 0.75, 1.0)


def test_a_split_lists_names(tmp_path):
    root = write_flickr(write_flickr(tmp_path / "entities"), "2")
    (root / "train.txt").write_text("2\n")
    dataset = open_here(root, tmp_path, split="train")
    assert [sample.id for sample in dataset] == ["2#0", "2#1"]
    assert len(open_here(root, tmp_path)) == 4
    with pytest.raises(ValueError, match="'val'; leave the split out"):
        open_here(root, tmp_path, split="val")


def test_pictures_beside_the_folder_or_where_they_are_said_to_be(tmp_path):
    root = write_flickr(tmp_path / "entities")
    (root / "flickr30k-images").rename(tmp_path / "flickr30k-images")
    assert open_here(root, tmp_path)[0].picture.path.parent == tmp_path / "flickr30k-images"
    (tmp_path / "flickr30k-images").rename(tmp_path / "away")
    with pytest.raises(ValueError, match="in none of"):
        open_here(root, tmp_path)
    assert len(open_here(root, tmp_path, images=tmp_path / "away")) == 2


@pytest.mark.parametrize(
    ("part", "old", "new", "words"),
    [
        ("Annotations", "</annotation>", "", "no element found"),
        ("Annotations", "<width>80</width>", "", "None as width"),
        ("Annotations", "<width>80<", "<width>0<", "0 x 40; both must be above 0"),
        ("Annotations", "<xmin>1<", "<xmin>one<", "'one' as xmin"),
        ("Annotations", "<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>', "type"),
        ("Sentences", "guys]", "guys", "not closed"),
    ],
)
def test_what_cannot_be_read_is_left_out(tmp_path, part, old, new, words):
    root = write_flickr(write_flickr(tmp_path / "entities"), "2")
    file = next((root / part).glob("2.*"))
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    dataset = open_here(root, tmp_path)
    assert len(dataset) == (3 if part == "Sentences" else 2)
    problem = dataset.report.examples["entry_unreadable"][0]
    assert problem.where.startswith(f"{part}/2.")
    assert words in problem.message


def test_boxes_outside_and_missing_files(tmp_path):
    root = write_flickr(write_flickr(write_flickr(tmp_path / "entities"), "2"), "3")
    file = root / "Annotations" / "2.xml"
    file.write_text(file.read_text().replace("<xmax>40<", "<xmax>82<").replace(">41<", ">-1<"))
    (root / "flickr30k-images" / "3.jpg").unlink()
    (root / "Annotations" / "1000092795.xml").unlink()
    dataset = open_here(root, tmp_path)
    assert [sample.id for sample in dataset] == ["2#0", "2#1"]
    found = counts(dataset)
    assert (found["picture_missing"], found["entry_unreadable"]) == (1, 1)
    assert found["box_outside"] == 5
