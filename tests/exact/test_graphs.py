"""Recorded evaluations. What records is CUDA's; here a recording runs the evaluation again, on the
very places in memory that it was recorded with, which is what a replay does."""

from dataclasses import replace

import pytest
import torch

from gligen.exact.graphs import KEPT_RECORDINGS, Graphs
from gligen.exact.options import ALL_SAVINGS
from gligen.kinds import KINDS
from tests.conftest import small_pipeline
from tests.exact.test_savings import call, relative_rms
from tests.test_grounding import latents, layout_for, request_for


class Replaying:
    """Records by keeping what is to be run; the result always stands in the same place."""

    def __init__(self):
        self.recorded = 0
        self.replayed = 0

    def record(self, run):
        self.recorded += 1
        output = torch.full_like(run(), float("nan"))

        def replay() -> None:
            self.replayed += 1
            output.copy_(run())

        return replay, output


@pytest.fixture
def recorder():
    return Replaying()


def recording_pipeline(recorder, kind: str = "generation_text_box"):
    pipeline = small_pipeline(kind)
    graphs = Graphs(lambda: recorder)

    class Recording(type(pipeline)):
        @property
        def _components(self):
            return replace(super()._components, graphs=graphs)

    pipeline.__class__ = Recording
    return pipeline


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_needs_two_recordings_and_its_result_is_bitwise_the_same(kind):
    recorder = Replaying()
    pipeline = recording_pipeline(recorder, kind)
    request = request_for(kind, layout_for(kind), num_inference_steps=4)
    expected = latents(small_pipeline(kind), request)
    assert torch.equal(latents(pipeline, request), expected)
    assert (recorder.recorded, recorder.replayed) == (2, 4)


def test_recordings_serve_later_runs_with_other_inputs():
    recorder, plain = Replaying(), small_pipeline()
    pipeline = recording_pipeline(recorder)
    for prompt, decay in (("a dog", 0), ("a sun", 0.5), ("a dog", 0)):
        changes = {
            "prompt": prompt,
            "gate_schedule": (0.5, decay, 0.5 - decay),
            "generator": torch.Generator().manual_seed(len(prompt)),
            "num_inference_steps": 4,
        }
        found = call(pipeline, ALL_SAVINGS, **changes)
        changes["generator"] = torch.Generator().manual_seed(len(prompt))
        assert torch.equal(found, call(plain, ALL_SAVINGS, **changes))
    assert recorder.recorded == 2


def test_what_an_earlier_evaluation_gave_stays():
    """PLMS keeps some outputs; without guidance they are those of the UNet itself."""
    changes = {"guidance_scale": 1.0, "sampler": "plms", "num_inference_steps": 6}
    found = call(recording_pipeline(Replaying()), ALL_SAVINGS, **changes)
    assert torch.equal(found, call(small_pipeline(), ALL_SAVINGS, **changes))


def test_two_runs_at_once_do_not_mix():
    pipeline, plain = recording_pipeline(Replaying()), small_pipeline()
    requests = [
        request_for("generation_text_box", layout_for("generation_text_box"), seed=seed)
        for seed in (1, 2)
    ]
    requests[1] = replace(requests[1], prompt="a dog")
    runs = [pipeline.stream(request) for request in requests]
    *_, last, _ = zip(*runs, strict=True)
    for step, request in zip(last, requests, strict=True):
        assert torch.equal(step.latents, latents(plain, request))


def test_changed_weights_are_seen(recorder):
    pipeline = recording_pipeline(recorder)
    before = call(pipeline, ALL_SAVINGS)
    for parameter in pipeline.unet.parameters():
        parameter.data.mul_(1.01)
    plain = small_pipeline()
    plain.unet.load_state_dict(pipeline.unet.state_dict())
    expected = call(plain, ALL_SAVINGS)
    assert relative_rms(before, expected) > 1e-4
    assert torch.equal(call(pipeline, ALL_SAVINGS), expected)
    assert recorder.recorded == 2
    pipeline.unet.load_state_dict(
        {name: value.clone() for name, value in pipeline.unet.state_dict().items()}, assign=True
    )
    assert torch.equal(call(pipeline, ALL_SAVINGS), expected)
    assert recorder.recorded == 4


def test_only_so_many_recordings_are_kept(recorder):
    pipeline = recording_pipeline(recorder)
    sizes = [64, 80, 96, 112, 128]
    for size in [*sizes, sizes[0], sizes[-1]]:
        call(pipeline, ALL_SAVINGS, width=size, height=64)
    assert KEPT_RECORDINGS == 8
    # The first size had to go for the fifth, the last one is still there.
    assert recorder.recorded == 2 * (len(sizes) + 1)


@pytest.mark.parametrize("change", ["the option", "another device", "offloading"])
def test_nothing_is_recorded_where_it_would_not_serve(recorder, change):
    pipeline = recording_pipeline(recorder)
    options = replace(ALL_SAVINGS, graphs=False) if change == "the option" else ALL_SAVINGS
    if change == "another device":
        pipeline = small_pipeline()  # on the CPU
        assert pipeline._components.graphs is None
    if change == "offloading":
        pipeline.unet._hf_hook = Bringing()
    call(pipeline, options)
    assert recorder.recorded == 0
    assert change != "offloading" or pipeline.unet._hf_hook.brought


class Bringing:
    """What accelerate hangs on a model that is brought to the device for each call."""

    brought = 0

    def pre_forward(self, module, *args, **kwargs):
        self.brought += 1
        return args, kwargs


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_recordings_give_what_evaluations_give():
    pipeline = small_pipeline().to("cuda")
    expected = call(pipeline, replace(ALL_SAVINGS, graphs=False))
    for _ in range(2):
        assert relative_rms(call(pipeline, ALL_SAVINGS), expected) <= 1e-6
