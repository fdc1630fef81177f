"""Requests painted together: each as if it were alone, whatever happens to the others."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from gligen.batching import Failed, can_share
from gligen.exact.options import NO_SAVINGS
from gligen.kinds import KINDS
from gligen.layout import Layout
from gligen.request import Request, Result
from gligen.samplernames import SAMPLERS
from gligen.sampling import Step
from tests.conftest import small_pipeline
from tests.exact.test_savings import relative_rms
from tests.test_grounding import layout_for, request_for

DOG = Layout.from_lists(["a dog"], [(0.1, 0.1, 0.6, 0.6)])
CAT = Layout.from_lists(["a cat", "a sun"], [(0.5, 0.4, 1, 1), (0, 0, 0.3, 0.3)])
SAME = {"num_inference_steps": 4, "sampler": "plms", "gate_schedule": 0.5}
DIFFERENT = [
    Request("a dog", DOG, seed=1, **SAME),
    Request("a cat at night", CAT, "a tree", seed=2, guidance_scale=3.3, num_images=3, **SAME),
    Request("a sun", seed=3, guidance_rescale=0.7, **SAME),  # without boxes
]
# Where oneDNN lets the rounding of a convolution in float32 depend on the number of rows.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def pipeline():
    return small_pipeline()


def alone(pipeline, request: Request) -> tuple[list[Step], Result]:
    *steps, result = pipeline.stream(request)
    return steps, result


def together(pipeline, requests, leaves: dict[int, int] | None = None):
    """Return the steps and the end of each; `leaves` says after which step somebody goes."""
    steps: dict[int, list[Step]] = {n: [] for n in range(len(requests))}
    ends: dict[int, Result | Failed] = {}
    stream = pipeline.stream_together(requests)
    for number, event in stream:
        if not isinstance(event, Step):
            ends[number] = event
            continue
        steps[number].append(event)
        if event.index == (leaves or {}).get(number):
            stream.leave(number)
    return steps, ends


def assert_same(found: list[Step], expected: list[Step], rounding: float = ROUNDING):
    assert [step.index for step in found] == [step.index for step in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.timestep, one.gate_scale) == (other.timestep, other.gate_scale)
        for name in ("latents", "predicted"):
            a, b = getattr(one, name), getattr(other, name)
            assert a.shape == b.shape
            assert relative_rms(a, b) <= rounding


@pytest.mark.parametrize("options", [None, NO_SAVINGS], ids=["savings", "plain"])
@pytest.mark.parametrize("sampler", [*SAMPLERS, None])
def test_each_gets_what_it_gets_alone(pipeline, sampler, options, monkeypatch):
    if options is not None:
        monkeypatch.setattr(pipeline, "exact_options", options)
    requests = [replace(request, sampler=sampler) for request in DIFFERENT]
    steps, ends = together(pipeline, requests)
    for number, request in enumerate(requests):
        expected, result = alone(pipeline, request)
        assert_same(steps[number], expected)
        assert (ends[number].seeds, ends[number].prompt) == (result.seeds, result.prompt)
        assert ends[number].request == result.request
        assert len(ends[number].images) == request.num_images


def test_in_bfloat16_they_are_the_same_bit_for_bit():
    pipeline = small_pipeline().to(torch.bfloat16)
    steps, ends = together(pipeline, DIFFERENT)
    for number, request in enumerate(DIFFERENT):
        expected, result = alone(pipeline, request)
        assert torch.equal(steps[number][-1].latents, expected[-1].latents)
        assert [i.tobytes() for i in ends[number].images] == [i.tobytes() for i in result.images]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("inpainting")])
def test_every_kind_that_generates(kind):
    pipeline = small_pipeline(kind)
    first = request_for(kind, layout_for(kind))
    requests = [first, replace(first, seed=8, prompt="a dog"), replace(first, seed=9)]
    steps, _ = together(pipeline, requests)
    for number, request in enumerate(requests):
        assert_same(steps[number], alone(pipeline, request)[0])


def test_nothing_of_one_reaches_another(pipeline):
    """Whoever the neighbour is, and wherever it lies: the bits stay the same."""
    mine = DIFFERENT[0]
    strangers = [replace(mine, prompt="a cat", layout=CAT, seed=99), replace(mine, seed=5)]
    found = [together(pipeline, [mine, other])[0][0] for other in strangers]
    behind = together(pipeline, [strangers[0], mine])[0][1]
    for one, other in zip(found[0], found[1], strict=True):
        assert torch.equal(one.latents, other.latents)
    assert_same(behind, found[0])
    assert not torch.equal(found[0][-1].latents, together(pipeline, strangers)[0][0][-1].latents)


@pytest.mark.parametrize("step", [1, 3])
def test_who_leaves_does_not_disturb_a_bit(pipeline, step):
    steps, ends = together(pipeline, DIFFERENT)
    fewer, fewer_ends = together(pipeline, DIFFERENT, leaves={1: step})
    assert [s.index for s in fewer[1]] == list(range(1, step + 1))
    assert 1 not in fewer_ends
    for number in (0, 2):
        for one, other in zip(fewer[number], steps[number], strict=True):
            assert torch.equal(one.latents, other.latents)
            assert torch.equal(one.predicted, other.predicted)
        images = [i.tobytes() for i in fewer_ends[number].images]
        assert images == [i.tobytes() for i in ends[number].images]


def test_when_all_have_left_nothing_more_is_computed(pipeline, monkeypatch):
    stream = pipeline.stream_together(DIFFERENT)
    for number, event in stream:
        stream.leave(number)
        assert event.index == 1
        if number == 2:
            break
    monkeypatch.setattr(pipeline.unet.conv_in, "forward", lambda _: pytest.fail("evaluated"))
    assert list(stream) == []


def test_who_leaves_before_the_start_is_not_prepared(pipeline):
    stream = pipeline.stream_together(DIFFERENT)
    stream.leave(0)
    assert {number for number, _ in stream} == {1, 2}


def test_a_request_that_cannot_be_answered_does_not_touch_the_others(pipeline):
    bad = replace(DIFFERENT[0], layout=Layout.from_lists(["cat " * 40], [(0, 0, 1, 1)]))
    refused = replace(DIFFERENT[0], width=63)
    steps, ends = together(pipeline, [DIFFERENT[0], bad, DIFFERENT[1], refused])
    assert isinstance(ends[1], Failed)
    assert "cat cat" in str(ends[1].error)
    assert isinstance(ends[3], Failed)
    assert "63" in str(ends[3].error)
    assert steps[1] == steps[3] == []
    expected, _ = together(pipeline, [DIFFERENT[0], DIFFERENT[1]])
    for number, other in ((0, 0), (2, 1)):
        assert torch.equal(steps[number][-1].latents, expected[other][-1].latents)
        assert isinstance(ends[number], Result)


def test_a_picture_that_cannot_be_finished_does_not_touch_the_others(pipeline, monkeypatch):
    finish = pipeline._finish

    def fail_for_three(components, latents, hole):
        if len(latents) == 3:
            raise RuntimeError("no")
        return finish(components, latents, hole)

    monkeypatch.setattr(pipeline, "_finish", fail_for_three)
    _, ends = together(pipeline, DIFFERENT)
    assert [type(ends[number]) for number in range(3)] == [Result, Failed, Result]


def test_a_fault_of_the_shared_evaluation_is_told_to_each(pipeline, monkeypatch):
    def burn(x):
        raise RuntimeError("the device is on fire")

    monkeypatch.setattr(pipeline.unet.conv_in, "forward", burn)
    _, ends = together(pipeline, DIFFERENT)
    assert {str(ends[number].error) for number in range(3)} == {"the device is on fire"}


def test_who_can_share(pipeline):
    components, request = pipeline._components, DIFFERENT[0]
    free = {"prompt": "x", "layout": CAT, "seed": None, "num_images": 4, "guidance_scale": 2.0}
    assert can_share(components, request, replace(request, **free, guidance_rescale=0.3))
    assert can_share(components, request, replace(request, width=64, height=64))  # as trained
    usual = replace(request, gate_schedule=None)
    assert can_share(components, usual, replace(request, gate_schedule=0.3))
    for change in (
        {"num_inference_steps": 5},
        {"sampler": "ddim"},
        {"gate_schedule": 0.4},
        {"guidance_scale": 1.0},
        {"width": 128},
    ):
        other = replace(request, **change)
        assert not can_share(components, request, other), change
        with pytest.raises(ValueError, match="cannot be painted together"):
            pipeline.stream_together([request, other])


def test_a_hole_is_painted_alone(inpainting_pipeline):
    image = Image.new("RGB", (64, 64))
    request = Request("a dog", DOG, inpaint_image=image, num_inference_steps=1)
    assert not can_share(inpainting_pipeline._components, request, request)


def test_unguided_requests_share_too(pipeline):
    requests = [replace(request, guidance_scale=1.0, guidance_rescale=0) for request in DIFFERENT]
    steps, _ = together(pipeline, requests)
    for number, request in enumerate(requests):
        assert_same(steps[number], alone(pipeline, request)[0])


def test_the_unet_is_asked_once_for_all(pipeline, monkeypatch):
    seen = []
    last = pipeline.unet.conv_out
    forward = last.forward
    monkeypatch.setattr(last, "forward", lambda x: seen.append(len(x)) or forward(x))
    together(pipeline, DIFFERENT)
    # Both halves of five pictures, in each evaluation; the first step of PLMS has two.
    assert seen == [10] * 5


@pytest.mark.parametrize("preset", ["fast", "faster", "deepcache=3"])
def test_presets_that_treat_steps_differently_are_painted_alone(pipeline, preset):
    components = pipeline._components
    request = replace(DIFFERENT[0], num_inference_steps=None, sampler="as preset", preset=preset)
    assert can_share(components, request, request) == (preset == "fast")
    # Tau counts noise levels where a preset spaces the steps.
    written_out = replace(request, preset="exact", sampler="dpm++", num_inference_steps=20)
    assert not can_share(components, request, written_out)
