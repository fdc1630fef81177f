"""The deep levels of the UNet, kept between the steps of a run."""

from dataclasses import replace

import pytest
import torch

from gligen.deepcache import DeepFeatures
from gligen.exact.counting import count_flops, count_operations, count_rows
from gligen.exact.options import ALL_SAVINGS, NO_SAVINGS
from gligen.exact.unet import PreparedUNet
from gligen.request import Request
from tests.conftest import small_pipeline
from tests.exact.test_counts import Pair, full_size, narrow  # noqa: F401 (fixtures)
from tests.exact.test_savings import relative_rms
from tests.test_grounding import latents, layout_for, request_for

KIND = "generation_text_box"


def asked(preset: str, **options) -> Request:
    return request_for(KIND, layout_for(KIND), preset=preset, **options)


def deep_evaluations(pipeline, request: Request) -> list[int]:
    """Return how often each step evaluates the deep levels, both halves at once."""
    stream, counts = pipeline.stream(request), []
    layers = (pipeline.unet.conv_out, pipeline.unet.mid_block.resnets[0].conv2)
    for _ in range(request.num_steps):
        rows, deep = count_rows(lambda: next(stream), layers)
        assert rows >= 2, "every step evaluates what is not deep"
        counts.append(deep // 2)
    return counts


# ---------------------------------------------------------------- when they are evaluated


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"gate_schedule": 0.0}, [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]),
        ({"gate_schedule": 1.0}, [1, 0, 0, 1, 0, 0, 1, 0, 0, 1]),
        # Anew where the grounding ends, and from there once in three steps again
        ({"gate_schedule": 0.5}, [1, 0, 0, 1, 0, 1, 0, 0, 1, 0]),
        # and in every step in which it is another
        ({"gate_schedule": (0.2, 0.3, 0.5)}, [1, 0, 1, 1, 1, 0, 0, 1, 0, 0]),
        # Methods that ask twice in a step get both answers anew, or neither
        ({"gate_schedule": 0.0, "sampler": "plms"}, [2, 0, 0, 1, 0, 0, 1, 0, 0, 1]),
        ({"gate_schedule": 0.0, "sampler": "pndm"}, [2, 0, 0, 1, 0, 0, 1, 0, 0, 1]),
        ({"gate_schedule": 0.0, "sampler": "heun"}, [2, 0, 0, 2, 0, 0, 2, 0, 0, 1]),
    ],
)
def test_they_are_evaluated_once_in_n_steps_and_where_the_grounding_changes(
    pipeline, options, expected
):
    request = asked("deepcache=3", num_inference_steps=10, **options)
    assert deep_evaluations(pipeline, request) == expected


def test_they_are_evaluated_anew_where_text_or_guidance_change(pipeline):
    def counted(change) -> list[int]:
        counts = []

        def at_the_end(_, step, timestep, tensors):
            counts.append(rows[0])
            rows[0] = 0
            return change(step, tensors) or {}

        rows = [0]
        deepest = pipeline.unet.mid_block.resnets[0].conv2
        handle = torch.nn.modules.module.register_module_forward_hook(
            lambda module, _, out: rows.__setitem__(0, rows[0] + len(out) * (module is deepest))
        )
        try:
            pipeline(
                "x",
                preset="deepcache=4",
                num_inference_steps=6,
                gligen_scheduled_sampling_beta=0.0,
                generator=torch.Generator().manual_seed(1),
                callback_on_step_end=at_the_end,
                callback_on_step_end_tensor_inputs=["prompt_embeds"],
            )
        finally:
            handle.remove()
        return counts

    def ends_guidance(step, _):
        pipeline.guidance_scale = 1.0 if step >= 1 else 7.5

    def scales(step, _):
        pipeline.guidance_scale = 5.0 + step

    def another_text(step, tensors):
        return {"prompt_embeds": tensors["prompt_embeds"] * 0.9} if step == 2 else None

    assert counted(lambda *_: None) == [2, 0, 0, 0, 2, 0]
    assert counted(scales) == [2, 0, 0, 0, 2, 0], "the halves are what they were"
    assert counted(ends_guidance) == [2, 0, 1, 0, 0, 0]
    assert counted(another_text) == [2, 0, 0, 2, 0, 0]


# ---------------------------------------------------------------- what comes of it


def replayed(pipeline, request: Request, due: list[bool]) -> torch.Tensor:
    """Return the latents of the whole UNet whose last resnet is told what the deep levels said."""
    last = pipeline.unet.up_blocks[-1].resnets[-1]
    width = last.norm1.num_channels - pipeline.unet.conv_in.out_channels
    kept: list[torch.Tensor] = []
    evaluations = iter(due)

    def replay(_, args):
        h, *rest = args
        if next(evaluations):
            kept[:] = [h[:, :width]]
        return torch.cat([kept[0], h[:, width:]], dim=1), *rest

    handle = last.register_forward_pre_hook(replay)
    try:
        return latents(pipeline, replace(request, preset="exact"))
    finally:
        handle.remove()


@pytest.mark.parametrize("savings", [ALL_SAVINGS, NO_SAVINGS], ids=["saving", "plain"])
@pytest.mark.parametrize("kind", [KIND, "inpainting_text_box", "keypoint", "canny"])
def test_the_last_resnet_reads_what_the_deep_levels_said(kind, savings):
    pipeline = small_pipeline(kind)
    pipeline.exact_options = savings
    options = {"num_inference_steps": 7, "gate_schedule": 0.3}
    request = request_for(kind, layout_for(kind), preset="deepcache=3", **options)
    found = latents(pipeline, request)
    due = [True, False, True, False, False, True, False]
    assert relative_rms(found, replayed(pipeline, request, due)) <= 1e-5
    at_tau_too_late = [True, False, False, True, False, False, True]
    assert relative_rms(found, replayed(pipeline, request, at_tau_too_late)) > 1e-4
    assert relative_rms(found, replayed(pipeline, request, [True] * 7)) > 1e-4


def test_evaluated_in_each_step_they_change_nothing(pipeline, monkeypatch):
    monkeypatch.setattr("gligen.running.DeepFeatures", lambda interval: DeepFeatures(1))
    options = {"num_inference_steps": 6, "sampler": "plms"}
    found = latents(pipeline, asked("deepcache=4", **options))
    assert torch.equal(found, latents(pipeline, asked("exact", **options)))


def test_a_run_leaves_nothing_to_the_next(pipeline):
    request = asked("deepcache=5", num_inference_steps=3)
    first = latents(pipeline, request)
    latents(pipeline, replace(request, seed=8))
    assert torch.equal(latents(pipeline, request), first)


def test_a_longer_interval_goes_further_from_the_exact_latents(pipeline):
    options = {"num_inference_steps": 20, "gate_schedule": 0.3}
    exact = latents(pipeline, asked("exact", **options))
    away = [
        relative_rms(latents(pipeline, asked(f"deepcache={n}", **options)), exact)
        for n in (2, 5, 10)
    ]
    assert 1e-5 < away[0] < away[1] < away[2]


# ---------------------------------------------------------------- what it saves


def in_part(pair: Pair):
    """Return an evaluation of what is not deep, prepared outside of it."""
    unet = PreparedUNet(pair.unet, ALL_SAVINGS)
    conditioning = unet.conditioning(pair.context, pair.tokens)
    unet.prepare_times([981.0])
    features = unet.deep_features(pair.latents, 981.0, conditioning, 1.0)
    unet(pair.latents, 981.0, conditioning, 1.0, features)
    return lambda: unet(pair.latents, 981.0, conditioning, 1.0, features)


def test_a_step_in_between_is_a_fraction_of_the_operations(narrow):  # noqa: F811
    pair = Pair(narrow, 16)
    whole = count_operations(pair.prepared(1.0)).total()
    part = count_operations(in_part(pair)).total()
    assert part <= 0.1 * whole


def test_a_step_in_between_is_a_fraction_of_the_work(full_size):  # noqa: F811
    pair = Pair(full_size, 64)
    assert count_flops(in_part(pair)) <= 0.12 * count_flops(pair.prepared(1.0))


# ---------------------------------------------------------------- what it cannot


def test_a_unet_that_must_run_itself_is_refused_with_the_reason(pipeline):
    layer = pipeline.unet.mid_block.resnets[0]
    handle = layer.register_forward_hook(lambda module, args, out: out)
    words = r"preset deepcache=2 evaluates the UNet in part.*mid_block\.resnets\.0 has a hook"
    with pytest.raises(ValueError, match=f"{words}.*exact, fast or faster"):
        pipeline.generate(asked("deepcache=2"))
    for preset in ("exact", "fast", "faster"):
        pipeline.generate(asked(preset))
    handle.remove()
    pipeline.generate(asked("deepcache=2"))


def test_other_attention_processors_arguments_are_refused(pipeline):
    with pytest.raises(ValueError, match="cross_attention_kwargs has 'mask'"):
        pipeline("x", preset="deepcache=2", cross_attention_kwargs={"scale": 1.0, "mask": 1})


def test_a_network_beside_the_unet_is_refused(pipeline):
    with pytest.raises(ValueError, match="a ControlNet, a T2I-Adapter or an IP-Adapter"):
        pipeline("x", preset="deepcache=2", control_image=torch.zeros(1, 3, 64, 64))
