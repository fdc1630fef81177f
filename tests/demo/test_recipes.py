"""Recipes come back as they were, from every form, and hostile ones get a sentence."""

import base64
import json
import zlib

import pytest
from PIL import Image

from demo.handlers import Options
from demo.links import MAX_LINK_CHARACTERS, PLAIN, pack, unpack
from demo.recipes import Recipe, read_recipe, recipe_document
from gligen.layout import Layout, Region
from gligen.layoutfiles import LayoutFile
from gligen.person import Person
from gligen.request import Request, Result

BOX = (0.1, 0.2, 0.5, 0.6)
LAYOUT = LayoutFile(
    (Region("sun", BOX), Region("", (0, 0, 1, 1))), hidden=(2,), width=64, height=64
)
PEOPLE = LayoutFile(persons=(Person(tuple((0.5, 0.05 * n + 0.01) for n in range(17))),))
OPTIONS = Options(
    prompt="a “night”; ${x}{{y}} <b>\u202e狗",
    negative_prompt="day",
    shares=(0.7, 0.2, 0.1),
    guidance_scale=5.5,
    num_inference_steps=7,
    sampler="euler",
    preset="deepcache=7",
    num_images=3,
    seed=11,
    append_grounding=True,
    mask_feather=4,
    repaint="mask",
    style_box="space",
    crop_references=True,
)
RECIPES = [
    Recipe("generate", LAYOUT, OPTIONS, pending=("moon; \\;",)),
    Recipe("inpaint", LAYOUT, Options(tau=0.25)),
    Recipe("keypoints", PEOPLE, Options()),
    Recipe("maps", LayoutFile(), Options(tau=1.0), map_kind="depth"),
    Recipe("generate", LAYOUT),
    Recipe("generate"),
]


@pytest.mark.parametrize(
    ("said", "preset", "sampler", "steps"),
    [
        ({}, "exact", "plms", 50),
        ({"sampler": "ddim", "num_inference_steps": 7}, "exact", "ddim", 7),
        ({"preset": "faster"}, "faster", "dpm++", 20),
        ({"preset": "faster", "sampler": "ddim", "num_inference_steps": 7}, "faster", "ddim", 7),
        ({"preset": "deepcache=4"}, "deepcache=4", "plms", 50),
    ],
)
def test_what_names_no_preset_is_exact_and_what_is_said_wins(said, preset, sampler, steps):
    options = read_recipe({"gligen": 1, "regions": [], "prompt": "a night", **said}).options
    assert options is not None
    assert (options.preset, options.sampler, options.num_inference_steps) == (
        preset,
        sampler,
        steps,
    )


def test_the_preset_of_a_picture_comes_back():
    request = Request("a night", preset="faster", num_inference_steps=9, gate_schedule=0.5, seed=3)
    result = Result([Image.new("RGB", (64, 64))], [3], "a night", request, "m", 1.0)
    options = read_recipe(result.settings(0)).options
    assert options == Options(
        "a night", tau=0.5, num_inference_steps=9, seed=3, sampler="dpm++", preset="faster"
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_comes_back_from_json_and_from_a_link(recipe):
    document = recipe_document(recipe)
    text = json.dumps(document, allow_nan=False)
    assert read_recipe(json.loads(text), "inpaint") == recipe
    assert read_recipe(unpack(pack(document))) == recipe


@pytest.mark.parametrize(
    ("kind", "tab"),
    [
        ("generation_text_image_box", "generate"),
        ("inpainting_text_box", "inpaint"),
        ("keypoint", "keypoints"),
        ("canny", "maps"),
        ("", "generate"),
    ],
)
def test_the_settings_of_a_picture_are_a_recipe(kind, tab):
    layout = PEOPLE.layout if tab == "keypoints" else Layout((Region("sun", BOX),))
    request = Request("a night", layout, num_inference_steps=7, gate_schedule=0.5, seed=3)
    result = Result([Image.new("RGB", (64, 48))], [4], "a night; sun", request, "fake", 1.0, kind)
    recipe = read_recipe(json.loads(json.dumps(result.settings(0))))
    assert (recipe.tab, recipe.layout.layout) == (tab, layout)
    assert recipe.map_kind == ("canny" if tab == "maps" else None)
    assert recipe.options == Options("a night; sun", tau=0.5, num_inference_steps=7, seed=4)


@pytest.mark.parametrize(
    ("document", "here", "tab"),
    [
        ([{"label": "sun", "box": BOX}], "generate", "generate"),
        ([{"label": "sun", "box": BOX}], "inpaint", "inpaint"),
        ([{"label": "sun", "box": BOX}], "maps", "generate"),
        ({"gligen": 1, "persons": [[[0.5, 0.5]] * 17]}, "generate", "keypoints"),
        ({"regions": [], "inpainting": True}, "generate", "inpaint"),
        ({"regions": [], "has_map": True}, "generate", "maps"),
    ],
)
def test_a_layout_alone_leaves_the_settings_and_finds_its_tab(document, here, tab):
    recipe = read_recipe(json.loads(json.dumps(document)), here)
    assert (recipe.tab, recipe.options) == (tab, None)


NAN = float("nan")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"gligen": 2}, "version 2"),
        ({"tab": "history"}, "none of: generate"),
        ({"tab": {"a": 1}}, "none of"),
        ({"tab": ["maps"]}, "none of"),
        ({"prompt": 7}, "must be text"),
        ({"prompt": ["a"]}, "must be text"),
        ({"prompt": "a\0"}, "NUL"),
        ({"prompt": "\udc00"}, "half of a pair"),
        ({"prompt": "x" * 10_000}, "10000 characters; the limit is 2000"),
        ({"negative_prompt": "x" * 10_000}, "negative prompt has 10000"),
        ({"negative_prompt": None}, "must be text"),
        ({"regions": [{"phrase": "x" * 10_000, "box": BOX}]}, "box 1 has 10000"),
        ({"regions": [{"phrase": "x", "box": [NAN, 0, 1, 1]}]}, "finite"),
        ({"gate_schedule": NAN}, "nan"),
        ({"gate_schedule": 2}, "Tau"),
        ({"gate_schedule": [0.5, 0.5, 0.5]}, "sums to 1.5"),
        ({"gate_schedule": [NAN, 0, 1]}, "outside"),
        ({"gate_schedule": ["a", 0, 1]}, "list of numbers"),
        ({"gate_schedule": "often"}, "must be"),
        ({"gate_schedule": {}}, "must be"),
        ({"guidance_scale": NAN}, "guidance"),
        ({"guidance_scale": 50}, "guidance scale is 50; the page offers 1 to 20"),
        ({"guidance_scale": 10**400}, "guidance"),
        ({"num_inference_steps": 7.5}, "whole number"),
        ({"num_inference_steps": 500}, "steps is 500; the page offers 1 to 250"),
        ({"num_inference_steps": True}, "whole number"),
        ({"num_images": 9}, "samples is 9"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**60}, "seed"),
        ({"sampler": "magic"}, "no sampler 'magic'"),
        ({"sampler": None}, "must be text"),
        ({"preset": "fastest"}, "no preset 'fastest'; there are: exact, fast"),
        ({"preset": "deepcache=99"}, "it must be once in 2 to 10"),
        ({"preset": None}, "must be text"),
        ({"repaint": "all"}, "'all'; it must be auto"),
        ({"mask_feather": 999}, "feather is 999"),
        ({"style_box": "here"}, "no style box 'here'"),
        ({"append_grounding": 1}, "true or false"),
        ({"pending": "moon"}, "must be a list"),
        ({"pending": [[]]}, "must be a list"),
    ],
)
def test_hostile_documents_get_a_sentence(more, words):
    document = {"gligen": 1, "tab": "generate", "regions": [], **more}
    with pytest.raises((ValueError, TypeError), match=words):
        read_recipe(document)


@pytest.mark.parametrize("value", [None, 7, "text", True, NAN, {}, {"a": {"b": {}}}, [[]], [None]])
def test_what_is_no_document_gets_a_sentence(value):
    with pytest.raises((ValueError, TypeError), match="layout"):
        read_recipe(value)


def deflated(content: bytes) -> str:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return "z" + base64.urlsafe_b64encode(deflater.compress(content) + deflater.flush()).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged"),
        ("z", "damaged"),
        ("x" + pack({})[1:], "damaged"),
        (pack({"gligen": 1})[:-3], "damaged"),
        (PLAIN + "%%%", "damaged"),
        ("z狗", "damaged"),
        ("z\0", "damaged"),
        (deflated(b"\xff\xfe"), "damaged"),
        (deflated(b"{'a'"), "damaged"),
        (deflated(b"[" * 100_000), "damaged"),
        (deflated(b" " * 1_000_000 + b"{}"), "damaged"),  # unfolds to more than is read
        ("z" * (MAX_LINK_CHARACTERS + 1), "too long: 8001"),
    ],
)
def test_broken_links_get_a_sentence(text, words):
    with pytest.raises(ValueError, match=words):
        unpack(text)


def test_a_link_may_be_packed_without_deflating():
    assert unpack("peyJnbGlnZW4iOjF9") == {"gligen": 1}
