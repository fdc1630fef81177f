"""What goes in: prompts, guidance, schedulers, and what does not fit."""

import diffusers
import pytest
import torch
from diffusers.schedulers import KarrasDiffusionSchedulers

from gligen.guidance import rescale
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from tests.conftest import small_pipeline

# One of each modality and task, where every kind would tell nothing more.
from tests.pipeline_contract.calls import SOME, call, difference, picture


@pytest.mark.parametrize("kind", SOME)
def test_guidance_switches_off(built, kind):
    pipeline = built(kind)
    unguided = call(pipeline, guidance_scale=1.0)
    assert torch.equal(unguided, call(pipeline, guidance_scale=0.0))
    assert torch.equal(unguided, call(pipeline, guidance_scale=1.0, negative_prompt="a sun"))
    assert difference(call(pipeline), unguided) > 1e-3


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("is_guided", [True, False])
def test_encoded_prompts_do_what_prompts_do(built, kind, is_guided):
    pipeline = built(kind)
    alone = GligenPipeline(None, pipeline.text_encoder, pipeline.tokenizer, None, None)
    words = {"prompt": ["a dog", "a sun"], "negative_prompt": ["a cat", ""]}
    context, negative = alone.encode_prompt(
        words["prompt"],
        do_classifier_free_guidance=is_guided,
        negative_prompt=words["negative_prompt"],
    )
    assert (negative is None) == (not is_guided)
    scale = {"guidance_scale": 7.5 if is_guided else 1.0, "num_images_per_prompt": 2}
    found = call(
        pipeline, prompt=None, prompt_embeds=context, negative_prompt_embeds=negative, **scale
    )
    assert difference(found, call(pipeline, **words, **scale)) <= 1e-5
    repeated, _ = alone.encode_prompt(words["prompt"], num_images_per_prompt=2)
    assert torch.equal(repeated, context.repeat_interleave(2, dim=0))


def test_a_pipeline_without_its_parts_says_so(built):
    alone = GligenPipeline(None, None, None, None, None)
    with pytest.raises(ValueError, match="without vae.*encode_prompt"):
        alone("a dog")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"negative_prompt": "a", "negative_prompt_embeds": torch.zeros(1, 24, 32)}, "not both"),
        (
            {
                "prompt": None,
                "prompt_embeds": torch.zeros(1, 24, 32),
                "negative_prompt_embeds": torch.zeros(2, 24, 32),
            },
            r"\(1, 24, 32\).*\(2, 24, 32\)",
        ),
        ({"callback_steps": 0}, "callback_steps is 0"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"output_type": "jpeg"}, "no output_type 'jpeg'.*latent"),
        ({"generator": [torch.Generator()] * 3}, "3 generators and 1 pictures"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "names 'noise'.*latents"),
        ({"timesteps": [9, 5], "sigmas": [2.0, 1.0]}, "not both"),
        ({"timesteps": [9, 5], "sampler": "plms"}, "'plms' spaces its steps itself"),
        ({"sigmas": [2.0, 1.0]}, "DDIMScheduler takes no sigmas"),
        ({"gligen_phrases": ["a"], "gligen_boxes": [[0, 0, 1, 1]]}, "either a layout"),
        ({"layout": None, "gligen_boxes": [[0, 0, 1, 1]], "gligen_images": []}, "0 pictures and 1"),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 0, 1, 1]],
                "gligen_phrases": ["a"],
                "input_phrases_mask": [1, 0],
            },
            "2 entries for 1 boxes",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 0, 1, 1]],
                "gligen_phrases": ["a"],
                "input_phrases_mask": 2,
            },
            r"entry 2; it must lie in \[0, 1\]",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]],
                "gligen_phrases": ["a"],
                "gligen_images": [picture(1)],
            },
            "stands for the style and the phrase 'a'",
        ),
        (
            {"layout": None, "gligen_boxes": [[0, 1, 0, 1]], "gligen_images": [None]},
            "stands for the style, but no picture",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]],
                "gligen_images": [picture(1)],
                "input_images_mask": 0.5,
            },
            "a mask of 0.5",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]] * 2,
                "gligen_images": [picture(1)] * 2,
            },
            "so has an earlier one",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(built, changes, words):
    with pytest.raises(ValueError, match=words):
        call(built("generation_text_box"), **changes)


@pytest.mark.parametrize("name", [entry.name for entry in KarrasDiffusionSchedulers])
def test_every_scheduler_of_diffusers_runs(name):
    pipeline = small_pipeline()
    kind = getattr(diffusers, name)
    options = {"timestep_spacing": "leading"} if "DPMSolverSDE" in name else {}
    try:
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **options)
    except ImportError as error:
        pytest.skip(str(error).strip().split("\n")[0])
    latents = call(pipeline, num_inference_steps=5)
    assert latents.isfinite().all()
    assert difference(call(pipeline, num_inference_steps=5, layout=Layout()), latents) > 1e-4


def test_own_timesteps_and_noise_levels(built):
    pipeline = small_pipeline()
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(4)
    usual = call(pipeline, num_inference_steps=4)
    found = call(pipeline, timesteps=[int(t) for t in scheduler.timesteps])
    assert difference(found, usual) <= 1e-4
    found = call(pipeline, sigmas=scheduler.sigmas.tolist())
    assert difference(found, usual) <= 1e-4
    assert pipeline.num_timesteps == 4
    assert difference(call(pipeline, sigmas=[14.0, 5.0, 1.0, 0.2, 0.0]), usual) > 1e-3


def test_rescaled_guidance_keeps_the_contrast_of_the_conditional_output(built):
    draw = torch.Generator().manual_seed(0)
    guided, conditional = (k * torch.randn(2, 4, 8, 8, generator=draw) for k in (5.0, 1.0))
    whole = rescale(guided, conditional, 1.0)
    torch.testing.assert_close(whole.std((1, 2, 3)), conditional.std((1, 2, 3)))
    torch.testing.assert_close(rescale(guided, conditional, 0.25), 0.75 * guided + 0.25 * whole)
    pipeline = built("generation_text_box")
    outputs = [call(pipeline, guidance_rescale=share) for share in (0.0, 0.5, 1.0)]
    assert torch.equal(outputs[0], call(pipeline))
    assert difference(outputs[1], outputs[0]) > 1e-3
    assert difference(outputs[1], outputs[2]) > 1e-3
