"""Too little memory: the same pictures in parts, and at last a sentence with the way out."""

import weakref
from dataclasses import replace

import pytest
import torch

from gligen import outofmemory
from gligen.batching import Failed
from gligen.exact.options import NO_SAVINGS
from gligen.layout import Layout
from gligen.outofmemory import OutOfMemoryError, in_parts, is_out_of_memory
from gligen.request import Request, Result
from gligen.sampling import Step
from tests.conftest import small_pipeline
from tests.exact.test_savings import relative_rms
from tests.test_grounding import layout_for, request_for

DOG = Layout.from_lists(["a dog"], [(0.1, 0.1, 0.6, 0.6)])
REQUEST = Request("a dog", DOG, num_images=5, seed=1, num_inference_steps=4, gate_schedule=0.5)
ROUNDING = 1e-5  # as in test_batching
FULL = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")


class Memory:
    """Holds so many rows of the UNet at once, and remembers how many were asked for."""

    def __init__(self, monkeypatch, unet, rows: float, error: Exception = FULL):
        self.rows, self.seen = rows, []
        forward = unet.conv_out.forward  # sees both halves of guidance

        def hold(x):
            self.seen.append(len(x))
            if len(x) > self.rows:
                raise error
            return forward(x)

        monkeypatch.setattr(unet.conv_out, "forward", hold)


@pytest.fixture
def emptied(monkeypatch):
    calls = []
    empty = outofmemory.empty_caches
    monkeypatch.setattr(outofmemory, "empty_caches", lambda: calls.append(1) or empty())
    return calls


def last_latents(pipeline, request: Request) -> torch.Tensor:
    *_, step, result = pipeline.stream(request)
    assert isinstance(result, Result)
    return step.latents


@pytest.mark.parametrize(
    ("rows", "failed", "parts"),
    [
        (10, [], [10]),  # both halves of 5 pictures
        (6, [10], [6, 4]),
        (2, [10, 6, 4], [2] * 5),
        (1, [10, 6, 4, 2], [1] * 10),  # at last each half of guidance by itself
    ],
)
@pytest.mark.parametrize("options", [None, NO_SAVINGS], ids=["savings", "plain"])
def test_the_same_pictures_in_parts(pipeline, monkeypatch, emptied, rows, failed, parts, options):
    if options is not None:
        pipeline.exact_options = options
    request = replace(REQUEST, num_inference_steps=2, sampler="euler_a")
    expected = last_latents(pipeline, request)
    memory = Memory(monkeypatch, pipeline.unet, rows)
    assert relative_rms(last_latents(pipeline, request), expected) <= ROUNDING
    # The second evaluation knows what the first has found out.
    assert memory.seen == [*failed, *parts, *parts]
    assert len(emptied) == len(failed)


@pytest.mark.parametrize("kind", ["generation_text_image_box", "canny", "inpainting_text_box"])
def test_every_input_is_cut_alike(kind, monkeypatch):
    pipeline = small_pipeline(kind)
    request = request_for(kind, layout_for(kind), num_images=3)
    expected = last_latents(pipeline, request)
    Memory(monkeypatch, pipeline.unet, 1)
    assert relative_rms(last_latents(pipeline, request), expected) <= ROUNDING


def test_pictures_that_differ_are_not_mixed_up(pipeline, monkeypatch):
    call = {
        "prompt": ["a dog", "a cat", "a sun"],
        "layout": [DOG, Layout(), Layout.from_lists(["a cat"], [(0.5, 0.5, 1, 1)])],
        "negative_prompt": ["", "a tree", ""],
        "num_inference_steps": 2,
        "output_type": "latent",
    }
    expected = pipeline(**call, generator=torch.Generator().manual_seed(1)).images
    for rows in (4, 2, 1):
        Memory(monkeypatch, pipeline.unet, rows)
        found = pipeline(**call, generator=torch.Generator().manual_seed(1)).images
        assert relative_rms(found, expected) <= ROUNDING


def test_memory_that_runs_out_midway(pipeline, monkeypatch):
    expected = last_latents(pipeline, REQUEST)
    memory = Memory(monkeypatch, pipeline.unet, 100)
    stream = pipeline.stream(REQUEST)
    steps = [next(stream), next(stream)]
    memory.rows = 3
    steps += [event for event in stream if isinstance(event, Step)]
    assert [step.index for step in steps] == [1, 2, 3, 4]
    assert relative_rms(steps[-1].latents, expected) <= ROUNDING


def test_a_callback_hears_of_each_step_once_and_may_still_change_it(pipeline, monkeypatch):
    def run() -> tuple[list[int], torch.Tensor]:
        heard = []

        def on_step_end(_, index, timestep, tensors):
            heard.append(index)
            pipeline.guidance_scale = 2.0 + index
            return {"prompt_embeds": tensors["prompt_embeds"] * 0.9}

        latents = pipeline(
            "a dog",
            layout=DOG,
            num_images_per_prompt=3,
            num_inference_steps=3,
            generator=torch.Generator().manual_seed(1),
            callback_on_step_end=on_step_end,
            callback_on_step_end_tensor_inputs=["prompt_embeds"],
            output_type="latent",
        ).images
        return heard, latents

    heard, expected = run()
    assert heard == [0, 1, 2]
    Memory(monkeypatch, pipeline.unet, 2)
    again, found = run()
    assert again == heard
    assert relative_rms(found, expected) <= ROUNDING


def test_requests_of_several_people_in_parts(pipeline, monkeypatch):
    requests = [replace(REQUEST, num_images=2), replace(REQUEST, prompt="a cat", seed=5)]
    expected = [last_latents(pipeline, request) for request in requests]
    Memory(monkeypatch, pipeline.unet, 6)
    found = {n: e.latents for n, e in pipeline.stream_together(requests) if isinstance(e, Step)}
    for number, latents in enumerate(expected):
        assert relative_rms(found[number], latents) <= ROUNDING


def test_where_nothing_fits_a_sentence_says_what_to_do(pipeline, monkeypatch):
    memory = Memory(monkeypatch, pipeline.unet, 0)
    for run in (
        lambda: list(pipeline.stream(REQUEST)),
        lambda: pipeline("a dog", num_inference_steps=2),
    ):
        with pytest.raises(OutOfMemoryError, match=r"ask for a smaller one.*--device-budget"):
            run()
    events = list(pipeline.stream_together([REQUEST, REQUEST]))
    assert all(isinstance(event, Failed) for _, event in events)
    assert {type(event.error) for _, event in events} == {OutOfMemoryError}
    # Nothing is left behind: with memory there are pictures again.
    memory.rows = 10
    assert pipeline.generate(REQUEST).images


def test_other_faults_are_not_tried_again(pipeline, monkeypatch):
    memory = Memory(monkeypatch, pipeline.unet, 0, RuntimeError("the device is on fire"))
    with pytest.raises(RuntimeError, match="on fire"):
        pipeline.generate(REQUEST)
    assert len(memory.seen) == 1


def test_no_memory_for_the_texts_is_told_too(pipeline, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(pipeline.text_encoder, "forward", fail)
    with pytest.raises(OutOfMemoryError, match="64 x 64"):
        pipeline.generate(REQUEST)


def test_decoding_is_done_in_parts(pipeline, monkeypatch, emptied):
    expected = pipeline.generate(REQUEST)
    seen = []
    forward = pipeline.vae.decoder.conv_in.forward

    def hold(x):
        seen.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(x)

    monkeypatch.setattr(pipeline.vae.decoder.conv_in, "forward", hold)
    found = pipeline.generate(REQUEST)
    assert seen == [5, 3, 2, 2, 1]
    assert len(emptied) == 2
    for one, other in zip(found.images, expected.images, strict=True):
        pairs = zip(one.tobytes(), other.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) <= 1


def test_a_retry_holds_nothing_of_the_failed_try():
    """The error refers to all tensors of the evaluation; they must be gone before the next try."""
    held: list[weakref.ref] = []

    def compute(x: torch.Tensor) -> torch.Tensor:
        assert not any(ref() is not None for ref in held)
        if len(x) > 1:
            big = x * 2
            held.append(weakref.ref(big))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return x

    assert len(in_parts(compute, torch.zeros(4, 1))) == 4
    assert len(held) == 2


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (FULL, True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_too_little_memory(error, is_memory):
    assert is_out_of_memory(error) is is_memory
