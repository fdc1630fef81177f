"""What the embedded model can paint, and the warning where a box asks for something else."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from demo.components.canvas import Drawing
from demo.desk import Desk
from demo.flags import parse_flags
from demo.handlers import Asked, Options
from demo.knowing import EMBEDDED_NAMES, describe_unknown, is_known, list_names
from demo.service import GENERATION
from demo.startup import card_of, choose_model
from demo.tabs.running import Workshop, build_buttons, run_request
from gligen.layout import Layout, Region
from tests.demo.fake_service import FakeService

BOX = (0.1, 0.1, 0.5, 0.5)
WANTED = Region("castle", BOX)
README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize(
    "phrase", ["dog", "a dog", "Two Pandas", "a soccer ball", "cactuses", "a big red apple", "dog."]
)
def test_a_phrase_with_a_known_name_is_known(phrase):
    assert is_known(phrase, EMBEDDED_NAMES)


@pytest.mark.parametrize("phrase", ["castle", "pineapple", "doghouse", "a ball", "catalogue"])
def test_a_part_of_another_word_is_no_name(phrase):
    assert not is_known(phrase, EMBEDDED_NAMES)


def test_the_warning_names_the_boxes_the_rule_and_the_way_out():
    picture = Image.new("RGB", (8, 8))
    regions = [Region("a dog", BOX), Region("castle", BOX), Region("", BOX)]
    layout = Layout((*regions, Region("shown", BOX, picture)))
    said = describe_unknown(layout, (1, 3, 4, 5), EMBEDDED_NAMES)
    assert 'Never learned: box 3 ("castle").' in said
    assert "below the canvas" in said
    assert "--model official" in said
    assert describe_unknown(Layout((regions[0],)), (1,), EMBEDDED_NAMES) == ""


def test_other_models_take_any_words():
    for source, names in (("embedded", EMBEDDED_NAMES), ("official", ())):
        flags = parse_flags(["--model", source])
        card = card_of(choose_model(flags, has_cuda=False), flags, "cpu", {}, ())
        assert card.known_names == names
    assert describe_unknown(Layout((Region("castle", BOX),)), (1,), ()) == ""


@pytest.mark.parametrize(("names", "is_said"), [(EMBEDDED_NAMES, True), ((), False)])
def test_the_warning_stands_beside_the_picture_that_is_made_all_the_same(names, is_said):
    service = FakeService()
    service.card = replace(service.card, known_names=names)
    asked = Asked(GENERATION, Options(num_inference_steps=2), Drawing(Layout((WANTED,))))
    with gr.Blocks():
        buttons, seed = build_buttons("Generate", "", "generate"), gr.Number()
    workshop = Workshop(service, Desk(), Options())
    *_, last = run_request(workshop, "me/generate", buttons, seed, lambda: asked)
    assert len(last[buttons.results].pictures) == 1
    assert ("castle" in last[buttons.notice].message) == is_said


def test_the_readme_lists_the_same_names():
    text = " ".join(README.read_text(encoding="utf-8").split())
    told = text.partition("The embedded model knows: ")[2].partition("Backgrounds:")[0]
    assert all(name in told for name in EMBEDDED_NAMES)
    assert "dog, panda" in list_names(EMBEDDED_NAMES)
