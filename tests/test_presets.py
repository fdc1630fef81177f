"""Presets: read from text, followed by a run, and never in the way of an explicit setting."""

from dataclasses import replace

import pytest
import torch

from gligen.exact.counting import count_flops, count_rows
from gligen.exact.options import ALL_SAVINGS, NO_SAVINGS
from gligen.guidance import GuidedModel
from gligen.kinds import KINDS
from gligen.pictures.metadata import read_settings, save_png
from gligen.presets import PRESETS, Preset
from gligen.request import Request
from gligen.sampling import denoise, make_sampler
from gligen.schedule import gate_schedule, gates_at
from tests.conftest import small_pipeline
from tests.exact.test_savings import relative_rms
from tests.test_grounding import latents, layout_for, request_for

KIND = "generation_text_box"


def plainly(**options) -> Request:
    """Return a request that leaves sampler and steps to the preset."""
    return Request("a field", layout_for(KIND), seed=3, gate_schedule=0.5, **options)


def rows_of_steps(pipeline, request: Request) -> list[int]:
    """Return how many rows of the UNet are evaluated in each step."""
    stream, rows = pipeline.stream(request), []
    for _ in range(request.num_steps):
        rows += count_rows(lambda: next(stream), (pipeline.unet.conv_out,))
    return rows


# ---------------------------------------------------------------- reading


def test_presets_are_read_from_their_names():
    fast, faster = Preset.from_text("fast"), Preset.from_text("faster")
    assert (fast.sampler, fast.steps, fast.guided_share, fast.deep_interval) == ("dpm++", 20, 1, 1)
    assert faster == replace(fast, name="faster", guided_share=0.6)
    assert Preset.from_text("exact") == Preset("exact")
    for interval in range(2, 11):
        assert Preset.from_text(f"deepcache={interval}").deep_interval == interval
    assert [Preset.from_text(name).name for name in PRESETS] == list(PRESETS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fastest", "no preset 'fastest'; there are: exact, fast, faster, or deepcache=N"),
        ("", "no preset ''"),
        ("Fast", "no preset 'Fast'"),
        ("deepcache", "no preset 'deepcache'.*N from 2 to 10"),
        ("deepcache=x", "no preset 'deepcache=x'"),
        ("deepcache=2.5", "no preset"),
        ("deepcache=-2", "no preset"),
        ("deepcache=٣", "no preset"),
        ("deepcache=1", "once in 1 steps; it must be once in 2 to 10, 3 is usual"),
        ("deepcache=11", "once in 11 steps"),
    ],
)
def test_a_wrong_preset_gets_a_sentence(text, words):
    with pytest.raises(ValueError, match=words):
        Preset.from_text(text)
    with pytest.raises(ValueError, match=words):
        Request("a field", preset=text)


# ---------------------------------------------------------------- what wins


@pytest.mark.parametrize(
    ("options", "sampler", "steps"),
    [
        ({}, "plms", 50),
        ({"preset": "fast"}, "dpm++", 20),
        ({"preset": "faster", "num_inference_steps": 50}, "dpm++", 50),
        ({"preset": "fast", "sampler": "plms"}, "plms", 20),
        ({"preset": "fast", "sampler": None}, None, 20),
        ({"preset": "deepcache=3"}, "plms", 50),
        ({"preset": "deepcache=3", "sampler": "ddim", "num_inference_steps": 9}, "ddim", 9),
    ],
)
def test_what_is_said_wins_over_the_preset(options, sampler, steps):
    request = Request("a field", **options)
    assert (request.sampler_name, request.num_steps) == (sampler, steps)


def test_a_call_has_the_preset_s_sampler_and_steps(pipeline):
    def call(**options) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1)
        return pipeline("x", generator=generator, output_type="latent", **options).images

    fast = call(preset="fast")
    assert torch.equal(fast, call(sampler="dpm++", num_inference_steps=20))
    assert not torch.equal(fast, call())
    assert torch.equal(
        call(preset="fast", num_inference_steps=4, sampler="ddim"),
        call(num_inference_steps=4, sampler="ddim"),
    )
    with pytest.raises(ValueError, match="no preset 'slow'"):
        call(preset="slow")


# ---------------------------------------------------------------- faster


def by_hand(pipeline, request: Request, num_guided: int) -> torch.Tensor:
    """Denoise with a loop that asks for both halves at first, and then for one."""
    seen: list[GuidedModel] = []
    evaluated = GuidedModel.halves

    def keep(model, *args):
        seen.append(model)
        return evaluated(model, *args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(GuidedModel, "halves", keep)
        next(pipeline.stream(request))
    model = replace(seen[0], prepared=None)
    sampler = make_sampler("dpm++", pipeline.scheduler, request.num_steps, "cpu")
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    gates = gate_schedule(request.num_steps, request.gate_schedule)

    def evaluate(x, timestep, gate, step):
        told = model if step < num_guided else replace(model, negative_context=None)
        return told(x, timestep, gate)

    *_, last = denoise(evaluate, sampler, noise, gates)
    return last.latents


@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["saving", "plain"])
def test_faster_is_a_loop_whose_last_steps_have_no_guidance(pipeline, savings):
    pipeline.exact_options = savings
    request = plainly(preset="faster")
    found = latents(pipeline, request)
    assert relative_rms(found, by_hand(pipeline, request, 12)) <= 1e-5
    assert relative_rms(found, by_hand(pipeline, request, 13)) > 1e-3
    assert relative_rms(found, by_hand(pipeline, request, 20)) > 1e-3


@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["saving", "plain"])
def test_without_guidance_only_one_half_is_evaluated(pipeline, savings):
    pipeline.exact_options = savings
    assert rows_of_steps(pipeline, plainly(preset="faster")) == [2] * 12 + [1] * 8
    two = plainly(preset="faster", num_images=2, num_inference_steps=5)
    assert rows_of_steps(pipeline, two) == [4] * 3 + [2] * 2
    assert rows_of_steps(pipeline, plainly(preset="faster", num_inference_steps=1)) == [2]
    assert rows_of_steps(pipeline, plainly(preset="faster", guidance_scale=1.0)) == [1] * 20
    assert rows_of_steps(pipeline, plainly(preset="fast")) == [2] * 20


def test_the_second_half_without_guidance_is_half_the_work(pipeline):
    def flops(preset: str) -> float:
        request = plainly(preset=preset, sampler="ddim", num_inference_steps=20)
        return count_flops(lambda: latents(pipeline, request))

    less = 1 - flops("faster") / flops("fast")
    assert 0.1 < less < 0.2, "8 of 20 steps, one of two halves, besides texts and decoding"


def test_a_changed_scale_lasts_to_where_guidance_ends(pipeline):
    def rise(_, step, timestep, tensors):
        pipeline.guidance_scale = 3.0
        return {}

    def call(**options) -> torch.Tensor:
        return pipeline(
            "x",
            generator=torch.Generator().manual_seed(1),
            output_type="latent",
            preset="faster",
            callback_on_step_end=rise,
            **options,
        ).images

    pipeline.exact_options = NO_SAVINGS
    expected = call(guidance_scale=9.0)
    assert not torch.equal(expected, call(guidance_scale=2.0))
    pipeline.exact_options = ALL_SAVINGS
    assert relative_rms(call(guidance_scale=9.0), expected) <= 1e-5


# ---------------------------------------------------------------- tau


@pytest.mark.parametrize("tau", [0.0, 0.1, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("steps", [5, 10, 20, 50])
def test_tau_is_the_same_for_even_steps(steps, tau):
    even = [1000 - 1000 // steps * (i + 1) + 1 for i in range(steps)]
    assert gates_at(even, 1000, tau) == gate_schedule(steps, tau)


def test_tau_is_a_share_of_the_noise_levels():
    uneven = [990, 900, 810, 705, 700, 650, 300, 10]
    assert gates_at(uneven, 1000, 0.3) == [1, 1, 1, 1, 0, 0, 0, 0]
    assert gate_schedule(8, 0.3) == [1, 1, 0, 0, 0, 0, 0, 0]
    assert gates_at([999, 500, 0], 1000, (0.0, 1.0, 0.0)) == pytest.approx([1, 0.5, 0], abs=0.003)


def test_a_preset_with_unevenly_spaced_steps_ends_grounding_at_the_same_noise(pipeline):
    config = {**pipeline.scheduler.config, "use_karras_sigmas": True}
    from diffusers import DPMSolverMultistepScheduler

    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(config)
    *steps, _ = pipeline.stream(replace(plainly(preset="fast"), gate_schedule=0.3))
    assert all((step.gate_scale == 1) == (step.timestep > 700) for step in steps)
    assert 0 < sum(step.gate_scale for step in steps) != 6


# ---------------------------------------------------------------- everywhere


@pytest.mark.parametrize("preset", ["fast", "faster", "deepcache=2", "deepcache=5"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_follows_every_preset(kind, preset):
    pipeline = small_pipeline(kind)
    options = {"num_inference_steps": 6, "sampler": "ddim"}
    exact = latents(pipeline, request_for(kind, layout_for(kind), **options))
    found = latents(pipeline, request_for(kind, layout_for(kind), preset=preset, **options))
    assert torch.isfinite(found).all()
    # What is not exact differs, here where sampler and steps are the same.
    assert (relative_rms(found, exact) > 1e-4) == (preset != "fast")


def test_settings_in_a_picture_say_the_preset(pipeline, tmp_path):
    result = pipeline.generate(plainly(preset="deepcache=2", num_inference_steps=2))
    save_png(result.images[0], tmp_path / "a.png", result.settings(0))
    settings = read_settings(tmp_path / "a.png")
    assert settings["preset"] == "deepcache=2"
    assert (settings["sampler"], settings["num_inference_steps"]) == ("plms", 2)
    again = Request(
        settings["prompt"],
        layout_for(KIND),
        preset=settings["preset"],
        sampler=settings["sampler"],
        num_inference_steps=settings["num_inference_steps"],
        gate_schedule=settings["gate_schedule"],
        seed=settings["seed"],
    )
    assert pipeline.generate(again).images[0].tobytes() == result.images[0].tobytes()
