"""Folders that one writes and the other reads."""

import pytest
import torch
from diffusers import (
    StableDiffusionGLIGENPipeline,
    StableDiffusionGLIGENTextImagePipeline,
)

from gligen.pipeline import GligenPipeline
from tests.against_diffusers.pipelines import call, difference, photo, theirs_like
from tests.conftest import small_pipeline


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_folders_are_read_by_both(kind, tmp_path):
    from diffusers import DiffusionPipeline

    ours = small_pipeline(kind)
    if "image" in kind:
        ours.register_modules(processor=theirs_like(ours).processor)
    ours.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    theirs = DiffusionPipeline.from_pretrained(tmp_path)
    classes = {
        "generation_text_box": StableDiffusionGLIGENPipeline,
        "generation_text_image_box": StableDiffusionGLIGENTextImagePipeline,
    }
    assert type(theirs) is classes[kind]
    changes = {"gligen_scheduled_sampling_beta": 1.0}
    if "image" in kind:
        changes["gligen_images"] = [photo(1), photo(2)]
    for pipeline in (again, theirs):
        pipeline.set_progress_bar_config(disable=True)
    assert again.kind == kind
    # The processor comes back as transformers' usual one, which rounds a pixel's last bit apart.
    expected = call(ours, **changes)
    assert difference(call(again, **changes), expected) <= (1e-5 if "image" in kind else 0)
    assert difference(call(theirs, **changes), expected) <= 1e-4
    # Back again: what diffusers saves is read here.
    theirs.save_pretrained(tmp_path / "theirs")
    back = GligenPipeline.from_pretrained(tmp_path / "theirs")
    back.set_progress_bar_config(disable=True)
    assert torch.equal(call(back, **changes), call(again, **changes))


@pytest.mark.parametrize("kind", ["keypoint", "canny", "semantic"])
def test_kinds_that_diffusers_cannot_hold_are_not_saved_as_its_folders(kind, tmp_path):
    with pytest.raises(ValueError, match=f"no form for the kind {kind}.*save_adapter"):
        small_pipeline(kind).save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
