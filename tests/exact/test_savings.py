"""Every saving alone and all together give what the plain path gives, up to rounding."""

from dataclasses import fields, replace

import pytest
import torch

from gligen.attention import Grounding
from gligen.exact.options import ALL_SAVINGS, NO_SAVINGS, PHASES, TRANSPOSED, ExactOptions
from gligen.exact.support import why_plain
from gligen.exact.unet import PreparedUNet
from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.unet import predict
from tests.conftest import grounded_unet, small_pipeline
from tests.test_grounding import latents, layout_for, request_for

APART = ("upsample", "compiled")  # see test_compiled.py
SWITCHES = tuple(field.name for field in fields(ExactOptions) if field.name not in APART)
CHOICES = {
    "all": ALL_SAVINGS,
    "all, transposed": replace(ALL_SAVINGS, upsample=TRANSPOSED),
    "upsample in phases": replace(NO_SAVINGS, upsample=PHASES),
    "upsample transposed": replace(NO_SAVINGS, upsample=TRANSPOSED),
    **{name: replace(NO_SAVINGS, **{name: True}) for name in SWITCHES},
    **{f"all but {name}": replace(ALL_SAVINGS, **{name: False}) for name in SWITCHES},
}


def relative_rms(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = found.double(), expected.double()
    return ((found - expected).pow(2).mean() / expected.pow(2).mean()).sqrt().item()


@pytest.fixture(scope="module")
def plain():
    """Return pipelines of all kinds with the latents that they give without savings."""
    built = {}

    def build(kind: str):
        if kind not in built:
            pipeline = small_pipeline(kind)
            assert why_plain(pipeline.unet) == ""
            pipeline.exact_options = NO_SAVINGS
            request = request_for(kind, layout_for(kind), num_inference_steps=4)
            built[kind] = pipeline, request, latents(pipeline, request)
        return built[kind]

    return build


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_the_same(plain, kind, choice):
    pipeline, request, expected = plain(kind)
    pipeline.exact_options = CHOICES[choice]
    assert relative_rms(latents(pipeline, request), expected) <= 1e-5


@pytest.mark.parametrize("kind", ["generation_text_box", "canny"])
def test_the_check_sees_a_difference_that_grounding_makes(plain, kind):
    pipeline, request, expected = plain(kind)
    pipeline.exact_options = ALL_SAVINGS
    other = replace(request, gate_schedule=0.25)
    assert relative_rms(latents(pipeline, other), expected) > 1e-3


@pytest.mark.parametrize("kind", ["generation_text_box", "hed"])
def test_pictures_are_the_same(plain, kind):
    pipeline, request, _ = plain(kind)
    pipeline.exact_options = NO_SAVINGS
    expected = pipeline.generate(request).images[0]
    pipeline.exact_options = ALL_SAVINGS
    found = pipeline.generate(request).images[0]
    differences = [abs(a - b) for a, b in zip(found.tobytes(), expected.tobytes(), strict=True)]
    assert max(differences) <= 1


def call(pipeline, options: ExactOptions, **changes) -> torch.Tensor:
    pipeline.exact_options = options
    arguments = {
        "prompt": "a field",
        "layout": layout_for(pipeline.kind),
        "num_inference_steps": 4,
        "gligen_scheduled_sampling_beta": 0.5,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latent",
    }
    return pipeline(**{**arguments, **changes}).images


def without_guidance_after_the_first(pipeline, step, timestep, tensors):
    pipeline.guidance_scale = 1.0
    return {}


def with_another_prompt(pipeline, step, timestep, tensors):
    return {"prompt_embeds": tensors["prompt_embeds"] * 0.5}


CALLS = {
    "without guidance": {"guidance_scale": 1.0},
    "gates decay": {"gate_schedule": (0.3, 0.4, 0.3), "num_inference_steps": 6},
    "some pictures without a layout": {
        "prompt": ["a dog", "a sun", "a cat"],
        "layout": [layout_for("generation_text_box"), Layout(), layout_for("generation_text_box")],
        "generator": [torch.Generator().manual_seed(i) for i in range(3)],
    },
    "an odd number of latents": {"width": 72, "height": 88},
    "wide": {"width": 128, "height": 64},
    "Euler": {"sampler": "euler"},
    "Heun": {"sampler": "heun"},
    "PLMS": {"sampler": "plms"},
    "no clip layer": {"clip_skip": 1},
    "negative prompt": {"negative_prompt": "a cat", "num_images_per_prompt": 2},
    "guidance ends": {"callback_on_step_end": without_guidance_after_the_first},
    "the prompt changes": {
        "callback_on_step_end": with_another_prompt,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    },
}


@pytest.mark.parametrize("name", CALLS)
def test_every_way_to_call_gives_the_same(name):
    pipeline, changes = small_pipeline(), CALLS[name]
    generators = changes.get("generator")

    def seeded() -> dict:
        if generators is None:
            return changes
        return {**changes, "generator": [torch.Generator().manual_seed(i) for i in range(3)]}

    expected = call(pipeline, NO_SAVINGS, **seeded())
    assert relative_rms(call(pipeline, ALL_SAVINGS, **seeded()), expected) <= 1e-5


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_channels_last_gives_the_same(prediction):
    pipeline = small_pipeline(prediction=prediction)
    expected = call(pipeline, NO_SAVINGS)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    for options in (NO_SAVINGS, ALL_SAVINGS):
        assert relative_rms(call(pipeline, options), expected) <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_the_error_against_float32_is_no_larger(kind):
    """The mean of some inputs: whether one is rounded up or down is chance."""
    unet, short = grounded_unet(kind), grounded_unet(kind).to(torch.bfloat16)
    prepared = PreparedUNet(short, ALL_SAVINGS)
    stock, saved = [], []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        channels = unet.config.in_channels
        x, context, tokens = (
            torch.randn(shape, generator=generator)
            for shape in ((1, channels, 8, 8), (2, 24, 32), (2, 30, 32))
        )
        pair = torch.cat([x, x])
        exact = predict(unet, pair, 501, context, Grounding(tokens, 1.0))
        pair, x, context, tokens = (t.to(torch.bfloat16) for t in (pair, x, context, tokens))
        found = predict(short, pair, 501, context, Grounding(tokens, 1.0))
        stock.append(relative_rms(found, exact))
        conditioning = prepared.conditioning(context, tokens)
        saved.append(relative_rms(prepared(x, 501, conditioning, 1.0), exact))
    assert min(stock) > 1e-3
    assert sum(saved) <= 1.1 * sum(stock)


def test_nothing_in_the_model_changes():
    pipeline = small_pipeline()
    before = {name: (p.data_ptr(), p.clone()) for name, p in pipeline.unet.named_parameters()}
    call(pipeline, ALL_SAVINGS)
    for name, parameter in pipeline.unet.named_parameters():
        address, values = before[name]
        assert parameter.data_ptr() == address
        assert torch.equal(parameter, values)


def test_a_change_of_the_weights_is_seen_by_the_next_run():
    """Also one made past autograd's version counter, as those do who merge LoRAs."""
    pipeline = small_pipeline()
    before = call(pipeline, ALL_SAVINGS)
    for module in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        for parameter in module.parameters():
            parameter.data.mul_(1.01)
    expected = call(pipeline, NO_SAVINGS)
    assert relative_rms(before, expected) > 1e-4
    assert relative_rms(call(pipeline, ALL_SAVINGS), expected) <= 1e-5
