"""The safety checker: read from a folder, put on pipelines, on finished pictures and previews."""

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil

from demo import loading
from demo.describing import describe_withheld
from demo.flags import parse_flags
from gligen import safety
from gligen.request import Request, Result
from gligen.safety import check_pictures_of, is_released, load_safety_checker
from gligen.weights import hub
from tests.conftest import small_pipeline

REQUEST = Request("a dog", num_images=2, num_inference_steps=2, seed=1)


def write_checker(folder, objects: bool):
    """Write a small checker that objects to every picture, or to none."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    vision = {**sizes, "num_attention_heads": 2, "image_size": 224, "patch_size": 56}
    config = CLIPConfig(vision_config=vision, text_config=sizes, projection_dim=16)
    checker = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        checker.concept_embeds.normal_()
        checker.special_care_embeds.normal_()
        # The distance that a concept has to be within, in cosine: -2 is always, 2 never.
        checker.concept_embeds_weights.fill_(-2 if objects else 2)
        checker.special_care_embeds_weights.fill_(2)
    checker.save_pretrained(folder / "safety_checker")
    CLIPImageProcessorPil().save_pretrained(folder / "feature_extractor")
    return folder


@pytest.mark.parametrize("objects", [True, False])
def test_pictures_and_previews_are_looked_at(tmp_path, objects):
    pipeline = small_pipeline()
    checker = load_safety_checker("cpu", torch.float32, write_checker(tmp_path, objects))
    check_pictures_of([pipeline], checker)
    *steps, result = pipeline.stream(REQUEST)
    previews = pipeline.decode_preview(steps[0].predicted)
    for image in (*result.images, *previews):
        assert np.asarray(image).any() != objects
    assert result.withheld == (objects, objects)
    (sentence,) = describe_withheld(result) if objects else [""]
    assert ("2 of the 2" in sentence) == objects


def test_without_a_checker_nothing_is_withheld():
    result = small_pipeline().generate(REQUEST)
    assert result.withheld == ()
    assert describe_withheld(result) == []


def test_one_picture_that_is_withheld_is_said():
    result = Result([Image.new("RGB", (8, 8))], [1], "", REQUEST, "", 0.0, withheld=(True,))
    assert "painted it black" in describe_withheld(result)[0]


def test_released_models_are_known_by_name_and_hub_id():
    assert is_released("official")
    assert is_released("masterful/gligen-1-4-generation-text-box")
    assert not is_released("embedded")
    assert not is_released("owner/model")


def test_a_checker_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        load_safety_checker("cpu", torch.float32, tmp_path)


def test_without_network_it_is_said_where_the_checker_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    with pytest.raises(ValueError, match=r"lacks safety_checker/config.json"):
        hub.fetch_safety_checker("owner/model")


def test_official_models_are_checked_unless_it_is_refused(monkeypatch, tmp_path):
    folder = write_checker(tmp_path, objects=True)
    monkeypatch.setattr(safety, "fetch_safety_checker", lambda hub_id: folder)
    pipeline = small_pipeline()
    pipelines = {"generation_text_box": pipeline}
    off = loading.add_safety("official", pipelines, parse_flags(["--no-safety-checker"]))
    assert "is off" in off[0]
    assert loading.add_safety("embedded", pipelines, parse_flags([])) == []
    assert pipeline.safety_checker is None
    on = loading.add_safety("official", pipelines, parse_flags([]))
    assert "is on" in on[0]
    assert pipeline.safety_checker is not None


def test_official_models_are_not_shown_unchecked_by_accident(monkeypatch):
    def fetch(hub_id):
        raise ValueError("There is no network.")

    monkeypatch.setattr(safety, "fetch_safety_checker", fetch)
    with pytest.raises(ValueError, match=r"no network\. Start with --no-safety-checker"):
        loading.add_safety("official", {"generation_text_box": small_pipeline()}, parse_flags([]))
