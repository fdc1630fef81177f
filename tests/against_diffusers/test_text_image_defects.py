"""Defects of diffusers' text-image pipeline: each fails there and is right here."""

import inspect

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionGLIGENPipeline,
    StableDiffusionGLIGENTextImagePipeline,
)

from tests.against_diffusers.pipelines import (
    BOXES,
    STYLE,
    call,
    difference,
    photo,
)


def test_defect_11_scheduled_sampling_is_ignored(text_image):
    ours, theirs = text_image
    images = {"gligen_images": [photo(1), photo(2)]}
    early, always = ({**images, "gligen_scheduled_sampling_beta": tau} for tau in (0.25, 1.0))
    assert torch.equal(call(theirs, **early), call(theirs, **always))
    assert difference(call(ours, **early), call(ours, **always)) > 1e-3


@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_defect_12_every_step_evaluates_the_unet_twice(text_image, guidance_scale):
    ours, theirs = text_image
    calls = []
    for name, pipeline in (("ours", ours), ("theirs", theirs)):
        pipeline.unet.conv_in.register_forward_hook(lambda *_, name=name: calls.append(name))
        call(pipeline, gligen_images=[photo(1), photo(2)], guidance_scale=guidance_scale)
    assert calls.count("theirs") == 8
    assert calls.count("ours") == 4


def test_defect_13_lists_of_different_lengths_are_cut_silently(text_image):
    ours, theirs = text_image
    one_picture = {"gligen_phrases": None, "gligen_images": [photo(1)]}
    cut = call(theirs, **one_picture)
    assert torch.equal(cut, call(theirs, **one_picture, gligen_boxes=BOXES[:1]))
    with pytest.raises(ValueError, match="1 pictures and 2 boxes"):
        call(ours, **one_picture)
    with pytest.raises(ValueError, match="1 phrase and 2 boxes"):
        call(ours, gligen_phrases=["a dog"])


def test_defect_13_too_many_boxes(text, text_image):
    """The text pipeline drops the 31st with a warning, the text-image one crashes."""
    boxes, phrases = [[0.0, 0.0, 0.5, 0.5]] * 31, ["a dog"] * 31
    with pytest.warns(FutureWarning, match="More that 30"):
        call(text[1], gligen_boxes=boxes, gligen_phrases=phrases)
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="not subscriptable"):
        call(text_image[1], gligen_boxes=boxes, gligen_phrases=None, gligen_images=[photo(1)] * 31)
    with pytest.raises(ValueError, match="31 regions"):
        call(text[0], gligen_boxes=boxes, gligen_phrases=phrases)
    with pytest.raises(ValueError, match="31 regions"):
        call(text_image[0], gligen_boxes=boxes, gligen_phrases=None, gligen_images=[photo(1)] * 31)


def test_defect_14_the_style_box_is_harmless_only_by_luck(text_image_inpainting):
    """They draw the box (0, 1, 0, 1) into the hole, where it happens to be empty."""
    ours, theirs = text_image_inpainting
    assert theirs.draw_inpaint_mask_from_boxes([STYLE], (8, 8)).all()
    lists = {
        "gligen_boxes": [BOXES[0], STYLE],
        "gligen_phrases": ["a dog", "placeholder"],
        "gligen_images": [None, photo(2)],
        "input_phrases_mask": [1, 0],
        "gligen_inpaint_image": photo(5),
        "output_type": "pil",
    }
    image = np.asarray(call(ours, **lists)[0])
    hole = np.zeros((64, 64), bool)
    hole[8:40, 8:40] = True
    assert np.array_equal(image[~hole], np.asarray(photo(5))[~hole])
    other = np.asarray(call(ours, **{**lists, "gligen_images": [None, photo(3)]})[0])
    assert not np.array_equal(image[hole], other[hole])


def test_defect_15_the_ends_of_a_wide_reference_picture_are_cut_off(text_image):
    ours, theirs = text_image
    wide = photo(1, 128, 64)
    painted = wide.copy()
    for left in (0, 104):
        painted.paste((255, 0, 0), (left, 0, left + 24, 64))
    usual = {"gligen_boxes": [[0.0, 0.0, 1.0, 1.0]], "gligen_phrases": None}

    def with_picture(pipeline, picture, **changes):
        return call(pipeline, **usual, gligen_images=[picture], **changes)

    assert torch.equal(with_picture(theirs, wide), with_picture(theirs, painted))
    assert difference(with_picture(ours, wide), with_picture(ours, painted)) > 3e-4
    cropped = with_picture(ours, wide, crop_references=True)
    assert difference(cropped, with_picture(theirs, wide)) <= 1e-4


def test_defect_16_no_pipeline_of_theirs_reads_the_released_files():
    """Their script for that is not installed; the readers here are tested with the formats."""
    for pipeline in (StableDiffusionGLIGENPipeline, StableDiffusionGLIGENTextImagePipeline):
        assert not hasattr(pipeline, "from_single_file")
        required = inspect.signature(pipeline.__init__).parameters
        assert ("image_project" in required) == ("TextImage" in pipeline.__name__)
