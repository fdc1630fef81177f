import pytest
from PIL import Image

from gligen.layout import Layout
from gligen.request import Request, append_phrases

DOG = Layout.from_lists(["a dog"], [(0.1, 0.1, 0.5, 0.5)])
PICTURE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "neither a prompt nor a region"),
        ({"prompt": "x", "num_images": 0}, "number of pictures is 0.*1 to 16"),
        ({"prompt": "x", "num_images": 17}, "17"),
        ({"prompt": "x", "num_inference_steps": 0}, "steps is 0"),
        ({"prompt": "x", "num_inference_steps": 1001}, "1001"),
        ({"prompt": "x", "guidance_scale": 0.5}, "0.5.*from 1"),
        ({"prompt": "x", "guidance_scale": float("nan")}, "nan"),
        ({"prompt": "x", "gate_schedule": 1.5}, r"1.5.*\[0, 1\]"),
        ({"prompt": "x", "gate_schedule": (0.5, 0.2, 0.2)}, "sums to 0.9"),
        ({"prompt": "x", "sampler": "ddmi"}, "'ddmi'.*ddim"),
        ({"prompt": "x", "seed": -1}, "seed is -1"),
        ({"prompt": "x", "width": 4}, "width is 4"),
        ({"prompt": "x", "mask_feather": -2}, "feather is -2"),
        ({"prompt": "x", "hole_zoom": 0.5}, "zoom into the hole is 0.5.*from 1"),
        ({"prompt": "x", "hole_zoom": 17}, "zoom into the hole is 17.* to 16"),
        ({"prompt": "x", "hole_zoom": True}, "zoom into the hole is True"),
        ({"prompt": "x", "hole_zoom": float("nan")}, "zoom into the hole is nan"),
        ({"prompt": "x", "guidance_rescale": 1.5}, "rescale is 1.5"),
        ({"prompt": "x", "style_box": "left"}, "'left'.*official, space"),
        ({"prompt": "x", "inpaint_mask": PICTURE}, "mask but no picture"),
        ({"prompt": "x", "inpaint_image": PICTURE}, "no hole"),
    ],
)
def test_a_bad_option_is_refused_with_its_value(options, words):
    with pytest.raises(ValueError, match=words):
        Request(**options)


def test_prompt_must_be_text():
    with pytest.raises(TypeError):
        Request(prompt=3)  # type: ignore[arg-type]


def test_an_empty_prompt_is_built_from_the_phrases():
    layout = Layout.from_lists(["a dog", "a sun", "a dog"], [(0, 0, 0.5, 0.5)] * 3)
    assert Request(layout=layout).full_prompt == "a dog; a sun"


@pytest.mark.parametrize(
    ("prompt", "phrase", "result"),
    [
        ("A dog runs", "a dog", "A dog runs"),
        ("a caterpillar", "a cat", "a caterpillar; a cat"),
        ("a (red) dog", "(red)", "a (red) dog"),
    ],
)
def test_phrases_are_appended_unless_the_prompt_has_them_as_words(prompt, phrase, result):
    assert append_phrases(prompt, [phrase]) == result


def test_appending_is_an_option():
    assert Request("a field", DOG).full_prompt == "a field"
    assert Request("a field", DOG, append_grounding=True).full_prompt == "a field; a dog"
