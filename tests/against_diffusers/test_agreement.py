"""Where diffusers is right, the latents of both agree."""

import pytest
import torch

from tests.against_diffusers.pipelines import (
    BOXES,
    SCHEDULERS,
    STYLE,
    both,
    call,
    difference,
    photo,
    use_scheduler,
)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"guidance_scale": 1.0}, {"num_images_per_prompt": 2}],
    ids=lambda changes: "-".join(changes) or "usual",
)
def test_text_box_latents_agree(text, name, changes):
    ours, theirs = text
    use_scheduler(name, ours, theirs)
    # Heun lists two evaluations a step; diffusers counts tau in evaluations, so compare at tau 1.
    changes = {
        "num_inference_steps": 6,
        "gligen_scheduled_sampling_beta": 1.0 if name == "heun" else 0.5,
        **changes,
    }
    assert difference(call(ours, **changes), call(theirs, **changes)) <= 1e-4


REGION_LISTS = {
    "phrases and pictures": {"gligen_images": [photo(1), photo(2)]},
    "phrases alone": {"gligen_images": None},
    "pictures alone": {"gligen_phrases": None, "gligen_images": [photo(1), photo(2)]},
    "one of each": {"gligen_phrases": ["a dog", None], "gligen_images": [None, photo(2)]},
    "no pictures by mask": {"gligen_images": [photo(1), photo(2)], "input_images_mask": 0},
    "one picture by mask": {"gligen_images": [photo(1), photo(2)], "input_images_mask": [0, 1]},
    "a short mask": {"gligen_images": [photo(1), photo(2)], "input_phrases_mask": [0]},
    "a share": {"gligen_images": [photo(1), photo(2)], "input_images_mask": [0.25, 0.5]},
    "neither phrase nor picture": {
        "gligen_images": [photo(1), photo(2)],
        "input_images_mask": [1, 0],
        "input_phrases_mask": [1, 0],
    },
    "another norm": {"gligen_images": [photo(1), photo(2)], "gligen_normalize_constant": 9.0},
    "style, as documented": {
        "gligen_phrases": ["a dog", "placeholder"],
        "gligen_images": [photo(1), photo(2)],
        "input_phrases_mask": [1, 0],
        "input_images_mask": [0, 1],
        "gligen_boxes": [BOXES[0], STYLE],
    },
}


@pytest.mark.parametrize("lists", REGION_LISTS.values(), ids=REGION_LISTS)
def test_text_image_latents_agree(text_image, lists):
    """Diffusers grounds every step whatever is asked for, so compare at tau 1."""
    ours, theirs = text_image
    changes = {**lists, "gligen_scheduled_sampling_beta": 1.0}
    expected = call(theirs, **changes)
    assert difference(call(ours, **changes), expected) <= 1e-4
    without = call(ours, gligen_phrases=None, gligen_boxes=None)
    assert difference(without, expected) > 1e-2


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("changes", [{"guidance_scale": 1.0}, {"num_images_per_prompt": 2}])
def test_text_image_latents_agree_for_schedulers(text_image, name, changes):
    ours, theirs = text_image
    use_scheduler(name, ours, theirs)
    images = [photo(1), photo(2)]
    changes = {**changes, "gligen_images": images, "gligen_scheduled_sampling_beta": 1.0}
    assert difference(call(ours, **changes), call(theirs, **changes)) <= 1e-4


def test_the_default_tau_gives_what_theirs_gives(text, text_image):
    """They ignore tau for pictures, which amounts to 1; for text boxes their default is 0.3."""
    assert difference(call(text[0]), call(text[1])) <= 1e-4
    changes = {"gligen_images": [photo(1), photo(2)]}
    assert difference(call(text_image[0], **changes), call(text_image[1], **changes)) <= 1e-4


@pytest.mark.parametrize("kind", ["inpainting_text_box", "inpainting_text_image_box"])
def test_inpainting_latents_agree_once_their_noise_is_seeded(kind, monkeypatch):
    ours, theirs = both(kind)
    # Their posterior is sampled: with hardly any variance the sample is the mean.
    half = ours.vae.quant_conv.out_channels // 2
    ours.vae.quant_conv.weight.data[half:] = 0
    ours.vae.quant_conv.bias.data[half:] = -30
    changes = {"gligen_inpaint_image": photo(5), "gligen_scheduled_sampling_beta": 1.0}
    if "image" in kind:
        changes["gligen_images"] = [photo(1), photo(2)]
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    found = call(ours, **changes, latents=start)
    source = torch.Generator().manual_seed(3)
    monkeypatch.setattr(
        torch, "randn_like", lambda x: torch.randn(x.shape, generator=source, dtype=x.dtype)
    )
    assert difference(found, call(theirs, **changes, latents=start)) <= 1e-4
