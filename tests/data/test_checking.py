import json

import numpy as np
import pytest
from PIL import Image

from gligen.cli import main
from gligen.data.checking import check
from gligen.data.report import LOST, NOTED, NUM_EXAMPLES, REPAIRED, RULES, Report
from tests.data.files import (
    HEIGHT,
    WIDTH,
    open_here,
    write_coco,
    write_lines,
    write_panoptic,
    write_picture,
)


def test_counts_go_on_where_examples_end():
    report = Report()
    for number in range(NUM_EXAMPLES + 3):
        report.add("box_outside", f"a:{number}", "m")
    report.add("box_clipped", "b", "m")
    report.add("crowd", "c", "m")
    assert report.counts["box_outside"] == NUM_EXAMPLES + 3
    assert [p.where for p in report.examples["box_outside"]] == [f"a:{i}" for i in range(10)]
    assert (report.count(LOST), report.count(REPAIRED), report.count(NOTED)) == (13, 1, 1)
    assert "    ... and 3 more" in report.lines()
    assert report.lines()[0] == "0 samples; 13 problems, 1 repairs, 1 notes."
    with pytest.raises(KeyError):
        report.add("box_outsid", "a", "m")


def test_reports_are_added_up():
    first, second = Report(num_examples=3), Report()
    first.num_samples, second.num_samples = 2, 5
    for number in range(2):
        first.add("crowd", f"a:{number}", "m")
        second.add("crowd", f"b:{number}", "m")
    second.add("box_clipped", "c", "m")
    first.include(second)
    assert first.num_samples == 7
    assert first.counts == {"crowd": 4, "box_clipped": 1}
    assert [problem.where for problem in first.examples["crowd"]] == ["a:0", "a:1", "b:0"]
    assert second.counts == {"crowd": 2, "box_clipped": 1}
    assert Report.from_json(first.to_json()).to_json() == first.to_json()


def test_every_rule_says_what_it_means():
    assert {rule.level for rule in RULES.values()} == {LOST, REPAIRED, NOTED}
    assert len({rule.meaning for rule in RULES.values()}) == len(RULES)


def test_pictures_are_opened(tmp_path):
    root = write_coco(tmp_path)
    picture = root / "val2017" / "000000000139.jpg"
    dataset = open_here(root, tmp_path)
    assert check(dataset).counts == dataset.report.counts
    picture.write_bytes(picture.read_bytes()[:-200])
    report = check(dataset)
    assert report.num_samples == 1
    problem = report.examples["picture_unreadable"][0]
    assert problem.where.endswith("images[0]")
    assert "damaged" in problem.message
    assert dataset.report.num_samples == 2


def test_pictures_of_another_size_than_their_boxes(tmp_path):
    root = write_coco(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(root / "val2017" / "000000000139.jpg", exif=exif)
    report = check(open_here(root, tmp_path))
    message = report.examples["picture_size"][0].message
    assert "40 x 80 pixels when upright" in message
    assert "measured on 80 x 40" in message
    assert report.num_samples == 1


def test_maps_are_opened(tmp_path):
    write_picture(tmp_path / "a.png")
    sizes = {"same": (WIDTH, HEIGHT), "half": (WIDTH // 2, HEIGHT // 2)}
    for name, size in sizes.items():
        Image.new("L", size, 200).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture")
    entries = [
        {"image": "a.png", "caption": "c", "map": f"{name}.png"}
        for name in ("same", "half", "text")
    ]
    path = write_lines(tmp_path / "data.jsonl", *entries)
    report = check(open_here(path, tmp_path))
    assert report.counts == {"map_size": 1, "map_unreadable": 1}
    assert report.examples["map_size"][0].where == "data.jsonl:2"
    assert "40 x 20 pixels, the picture 80 x 40" in report.examples["map_size"][0].message
    # Known to be labels, so that 200 cannot be one.
    report = check(open_here(path, tmp_path, ignored_label=255))
    assert report.counts["map_unreadable"] == 3
    assert check(open_here(path, tmp_path, ignored_label=200)).counts["map_unreadable"] == 1


def test_panoptic_pngs_must_be_in_colour(tmp_path):
    dataset = open_here(write_panoptic(tmp_path), tmp_path)
    assert check(dataset).counts == {"caption_missing": 1}
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(dataset[0].map.path)
    assert "mode L" in check(dataset).examples["map_unreadable"][0].message


def test_progress_is_told(tmp_path):
    told = []
    check(open_here(write_coco(tmp_path), tmp_path), lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


def run(capsys, *arguments):
    code = main(["data", "check", *map(str, arguments)])
    return code, capsys.readouterr()


def test_the_command_prints_the_report(tmp_path, capsys):
    root, cache = write_coco(tmp_path), tmp_path / "cache"
    code, printed = run(capsys, root, "--cache", cache)
    assert code == 0
    lines = printed.out.splitlines()
    assert lines[0] == "coco: 2 samples; 0 problems, 1 repairs, 2 notes."
    assert lines[1].startswith("repaired: 1 x box_clipped (a box reached outside")
    assert lines[2].startswith("    instances_val2017.json: annotations[1]: The box (60, 10, 80.5")

    (root / "val2017" / "000000000285.jpg").write_bytes(b"")
    code, printed = run(capsys, root, "--cache", cache, "--json")
    assert code == 1
    value = json.loads(printed.out)
    assert (value["form"], value["num_samples"]) == ("coco", 1)
    assert value["totals"] == {"lost": 1, "repaired": 1, "noted": 2}
    rule = value["rules"]["picture_unreadable"]
    assert (rule["level"], rule["count"]) == ("lost", 1)
    assert rule["examples"][0]["where"].endswith("_val2017.json: images[1]")

    assert run(capsys, root, "--cache", cache, "--quick")[0] == 0


def test_the_command_refuses_with_one_sentence(tmp_path, capsys):
    code, printed = run(capsys, tmp_path / "gone")
    assert code == 2
    assert printed.err.startswith("gligen: error: There is no file or folder")
    assert printed.err.count("\n") == 1
