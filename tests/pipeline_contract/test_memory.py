"""Dtypes, devices, and weights that are elsewhere until they are needed."""

import inspect

import numpy as np
import pytest
import torch
from accelerate import cpu_offload

from gligen.kinds import KINDS
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from tests.conftest import small_pipeline

# One of each modality and task, where every kind would tell nothing more.
from tests.pipeline_contract.calls import (
    SOME,
    call,
    difference,
)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_runs_and_stays_close(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline, guidance_scale=2.0)
    pipeline.to(dtype=torch.bfloat16)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            assert {p.dtype for p in part.parameters()} == {torch.bfloat16}, name
    found = call(pipeline, guidance_scale=2.0)
    assert found.dtype == torch.bfloat16
    assert difference(found, expected) <= 0.1
    assert call(pipeline, output_type="np").dtype == np.float32


@pytest.mark.parametrize("kind", SOME)
def test_moving_and_components(kind):
    pipeline = small_pipeline(kind)
    assert pipeline.to("cpu").device == torch.device("cpu")
    expected = set(inspect.signature(GligenPipeline.__init__).parameters) - {"self"}
    assert set(pipeline.components) <= expected
    again = GligenPipeline(**pipeline.components)
    again.set_progress_bar_config(disable=True)
    assert torch.equal(call(again), call(pipeline))


@pytest.mark.parametrize("kind", KINDS)
def test_offloaded_models_make_the_same_picture_twice(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline)
    pipeline.enable_model_cpu_offload(device="cpu")
    assert all(hasattr(pipeline, name) for name in ("_all_hooks", "_offload_device"))
    for _ in range(2):
        assert torch.equal(call(pipeline), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_sequentially_offloaded_weights_make_the_same_picture_twice(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline)
    # What `enable_sequential_cpu_offload` does, which itself wants an accelerator.
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            cpu_offload(part, torch.device("cpu"), offload_buffers=bool(part._parameters))
    assert pipeline.unet.conv_in.weight.device.type == "meta"
    first = call(pipeline)
    assert difference(first, expected) <= 1e-5
    assert torch.equal(call(pipeline), first)


@pytest.mark.parametrize("how", ["stopped", "failed", "finished"])
def test_offloaded_models_go_back_after_any_run(how):
    pipeline = small_pipeline()
    pipeline.enable_model_cpu_offload(device="cpu")
    freed = []
    pipeline.maybe_free_model_hooks = lambda: freed.append(how)

    def fail(*_):
        raise RuntimeError("stop here")

    if how == "failed":
        with pytest.raises(RuntimeError, match="stop here"):
            call(pipeline, callback_on_step_end=fail)
    else:
        steps = pipeline.stream(Request("a dog", num_inference_steps=2))
        next(steps)
        steps.close() if how == "stopped" else list(steps)
    assert freed == [how]


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("level", ["leaf_level", "block_level"])
def test_weights_offloaded_in_groups_make_the_same_picture(kind, level):
    pipeline = small_pipeline(kind)
    expected = call(pipeline)
    blocks = {"num_blocks_per_group": 1} if level == "block_level" else {}
    pipeline.enable_group_offload(torch.device("cpu"), offload_type=level, **blocks)
    first = call(pipeline)
    assert difference(first, expected) <= 1e-5
    assert torch.equal(call(pipeline), first)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_stored_in_fewer_bits_than_they_are_computed_with(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline, guidance_scale=2.0)
    pipeline.unet.enable_layerwise_casting(
        storage_dtype=torch.bfloat16, compute_dtype=torch.float32
    )
    found = call(pipeline, guidance_scale=2.0)
    assert found.dtype == torch.float32
    assert 0 < difference(found, expected) <= 0.1


@pytest.mark.parametrize("kind", SOME)
def test_sliced_attention_changes_nothing_to_speak_of(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline)
    for size in (1, 2, "auto", "max"):
        pipeline.enable_attention_slicing(slice_size=size)
        assert difference(call(pipeline), expected) <= 1e-4
    pipeline.disable_attention_slicing()
    assert difference(call(pipeline), expected) <= 1e-5


@pytest.mark.parametrize("kind", SOME)
def test_the_decoder_works_in_slices(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline, output_type="np", num_images_per_prompt=2)
    calls = []
    pipeline.vae.decoder.register_forward_hook(lambda *_: calls.append(1))
    pipeline.vae.enable_slicing()
    sliced = call(pipeline, output_type="np", num_images_per_prompt=2)
    assert len(calls) == 2
    assert np.abs(sliced - expected).max() <= 1e-2
    pipeline.vae.disable_slicing()
    whole = call(pipeline, output_type="np", num_images_per_prompt=2)
    assert np.abs(whole - expected).max() <= 1 / 255


@pytest.mark.parametrize("kind", ["generation_text_box", "canny"])
def test_the_decoder_works_in_tiles(kind):
    pipeline = small_pipeline(kind)
    wide = {"output_type": "np", "width": 96, "height": 64}
    expected = call(pipeline, **wide)
    calls = []
    pipeline.vae.decoder.register_forward_hook(lambda *_: calls.append(1))
    pipeline.vae.enable_tiling()
    tiled = call(pipeline, **wide)
    assert len(calls) > 1
    assert tiled.shape == expected.shape == (1, 64, 96, 3)
    assert np.abs(tiled - expected).mean() <= 0.1
    pipeline.vae.disable_tiling()
    assert np.abs(call(pipeline, **wide) - expected).max() <= 1 / 255


@pytest.mark.parametrize("kind", ["generation_text_box", "keypoint"])
def test_free_u_and_fused_projections(kind):
    pipeline = small_pipeline(kind)
    expected = call(pipeline)
    pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    assert {block.s2 for block in pipeline.unet.up_blocks} == {0.2}
    call(pipeline)
    pipeline.disable_freeu()
    assert torch.equal(call(pipeline), expected)
    pipeline.fuse_qkv_projections()
    assert pipeline.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.fused_projections
    assert difference(call(pipeline), expected) <= 1e-4
    pipeline.unfuse_qkv_projections()
    assert difference(call(pipeline), expected) <= 1e-5
