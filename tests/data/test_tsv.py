import base64
import io
import json
import pickle

import pytest
from PIL import Image

from gligen.pictures.images import open_picture
from tests.data.files import HEIGHT, WIDTH, counts, open_here, tsv_row

CAPTION = "a black dog on grass"
GROUNDING = {"id": 1, "bbox": [8, 4, 40, 30], "tokens_positive": [[2, 11]]}
DETECTION = {"id": 2, "bbox": [60, 10, 20.5, 10], "category_id": 3, "category_name": "Person"}


def write(tmp_path, *rows):
    path = tmp_path / "train-00.tsv"
    path.write_text("".join(rows))
    return path


def test_rows_of_both_sorts_are_read(tmp_path):
    grounding = tsv_row(7, "red", caption=CAPTION, annos=[GROUNDING])
    detection = tsv_row(9, "blue", is_det=True, annos=[DETECTION])
    dataset = open_here(write(tmp_path, grounding, detection), tmp_path)
    assert dataset.form == "tsv"
    first, second = dataset
    assert (first.id, second.id) == ("7", "9")
    assert first.captions == (CAPTION,)
    assert first.layout.phrases == ("black dog",)
    assert first.layout.boxes == ((0.1, 0.1, 0.6, 0.85),)
    assert second.captions == ()
    assert second.layout.phrases == ("Person",)
    assert second.layout.boxes == ((0.75, 0.25, 1.0, 0.5),)
    assert first.size == (WIDTH, HEIGHT)
    assert second.where == "train-00.tsv:2"
    assert counts(dataset) == {"box_clipped": 1, "caption_missing": 1}
    problem = dataset.report.examples["box_clipped"][0]
    assert problem.where == "train-00.tsv:2, annos[0]"


def test_pictures_come_from_their_row(tmp_path):
    rows = [tsv_row(i, colour, annos=[DETECTION]) for i, colour in enumerate(("red", "blue"))]
    for number, sample in enumerate(open_here(write(tmp_path, *rows), tmp_path)):
        red, _, blue = sample.open_picture().getpixel((5, 5))
        assert (red > 200, blue > 200) == (number == 0, number == 1)
        stored = open_picture(io.BytesIO(sample.picture.read_bytes()))
        assert stored.tobytes() == sample.open_picture().tobytes()


def test_shards_in_a_folder_are_one_dataset(tmp_path):
    folder = tmp_path / "tsv"
    folder.mkdir()
    for number in range(3):
        row = tsv_row(number, annos=[DETECTION])
        (folder / f"train-{number:02}.tsv").write_text(row)
        (folder / f"train-{number:02}.lineidx").write_text("0\n")
    assert [sample.id for sample in open_here(folder, tmp_path)] == ["0", "1", "2"]


def test_names_stand_in_where_the_caption_has_no_such_part(tmp_path):
    annos = [
        {"bbox": [0, 0, 8, 8], "tokens_positive": [[50, 60]], "category_name": "dog"},
        {"bbox": [0, 0, 8, 8], "phrase": "a cat"},
        {"bbox": [0, 0, 8, 8]},
    ]
    detection = DETECTION | {"tokens_positive": [[0, 1]]}
    path = write(tmp_path, tsv_row(1, caption=CAPTION, is_det=True, annos=[detection]))
    assert open_here(path, tmp_path)[0].layout.phrases == ("Person",)
    dataset = open_here(write(tmp_path, tsv_row(1, caption=CAPTION, annos=annos)), tmp_path)
    assert dataset[0].layout.phrases == ("dog", "a cat")
    assert counts(dataset) == {"phrase_empty": 1}


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("A pickle was loaded.",))


def strange_rows():
    item = json.loads(tsv_row(1, annos=[]).split("\t")[1])
    pickled = base64.b64encode(pickle.dumps(Bomb())).decode()
    return [
        (f"1\t{pickled}\n", "pickled"),
        ("1\t[]\n", '"annos"'),
        ("1\t{}\n", '"annos"'),
        ("1\tnothing\n", "not JSON"),
        ("nothing\n", "no tab"),
        (f"1\t{json.dumps(item | {'annos': [1]})}\n", '"annos"'),
        (f"1\t{json.dumps(item | {'image': '*'})}\n", "Error"),
        (f"1\t{json.dumps(item | {'image': 7})}\n", "TypeError"),
    ]


@pytest.mark.parametrize(("row", "words"), strange_rows())
def test_rows_that_cannot_be_read_are_left_out(tmp_path, row, words):
    good = tsv_row(5, annos=[DETECTION])
    dataset = open_here(write(tmp_path, good, row), tmp_path)
    assert [sample.id for sample in dataset] == ["5"]
    problem = dataset.report.examples["entry_unreadable"][0]
    assert problem.where == "train-00.tsv:2"
    assert words in problem.message


def test_a_row_whose_picture_is_none(tmp_path):
    item = json.loads(tsv_row(1, annos=[]).split("\t")[1])
    item["image"] = base64.b64encode(b"text").decode()
    rows = tsv_row(5, annos=[DETECTION]), f"1\t{json.dumps(item)}\n"
    assert counts(open_here(write(tmp_path, *rows), tmp_path))["picture_unreadable"] == 1


def test_a_file_that_changed_says_so(tmp_path):
    path = write(tmp_path, tsv_row(1, annos=[DETECTION]), tsv_row(2, annos=[DETECTION]))
    sample = open_here(path, tmp_path)[1]
    path.write_text("short\n")
    with pytest.raises(ValueError, match="holds no picture"):
        sample.open_picture()
    path.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        sample.open_picture()


def test_pictures_in_rows_are_opened_upright(tmp_path):
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (WIDTH, HEIGHT)).save(buffer, "JPEG", exif=exif)
    item = {"image": base64.b64encode(buffer.getvalue()).decode(), "annos": [DETECTION]}
    dataset = open_here(write(tmp_path, f"a\t{json.dumps(item)}\n"), tmp_path)
    assert dataset[0].id == "a"
    assert dataset[0].size == dataset[0].open_picture().size == (HEIGHT, WIDTH)
