"""What the canvas for people takes from strangers, and the figure that new people have."""

import gradio as gr
import pytest

from demo.components.pose import PoseCanvas, PoseData, read_people, standing_figure
from demo.handlers import read_pose_file
from gligen.person import JOINTS, Person

POINTS = [[0.5 + x, y] for x, y in standing_figure()]


def test_the_figure_stands_upright_and_is_the_same_on_both_sides():
    place = dict(zip(JOINTS, standing_figure(), strict=True))
    assert place["nose"][1] < place["left shoulder"][1] < place["left hip"][1]
    assert place["left hip"][1] < place["left knee"][1] < place["left ankle"][1]
    for name, (x, y) in place.items():
        if name.startswith("left"):
            # The left side of who looks at us is on our right.
            assert x > 0
            assert place[name.replace("left", "right")] == (-x, y)


def test_people_come_back_as_they_were_sent():
    canvas = PoseCanvas(name="a")
    hidden = [None, *POINTS[1:]]
    people = canvas.preprocess(PoseData(persons=[POINTS, hidden]))
    assert people[0] == Person(tuple(map(tuple, POINTS)))
    assert people[1].keypoints[0] is None
    assert canvas.preprocess(canvas.postprocess(people)) == people
    assert canvas.preprocess(None) == ()
    assert read_people(None) == ()


def test_a_fault_reaches_the_page_as_its_sentence():
    for persons, words in (([[[0.5, float("nan")]] * 17], "lie in"), ({"a": 1}, "must be a list")):
        with pytest.raises(gr.Error, match=words):
            PoseCanvas(name="a").preprocess(PoseData(persons=persons))


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "pose.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not text"):
        read_pose_file(tmp_path / "pose.json")


def test_templates_take_no_values():
    canvas = PoseCanvas(name="a")
    for template in (canvas.html_template, canvas.css_template):
        assert not any(mark in template for mark in ("${", "{{", "`"))
