"""Callbacks, interruption and the progress bar."""

import pytest
import torch
from diffusers.callbacks import SDCFGCutoffCallback

# One of each modality and task, where every kind would tell nothing more.
from tests.pipeline_contract.calls import SOME, call, difference


@pytest.mark.parametrize("kind", SOME)
def test_a_callback_is_handed_what_it_asks_for(built, kind):
    pipeline = built(kind)
    seen = []

    def look(pipe, index, timestep, tensors):
        assert 0 < timestep.item() < 1000
        seen.append((index, {name: tuple(tensor.shape) for name, tensor in tensors.items()}))
        return tensors

    names = pipeline._callback_tensor_inputs
    found = call(
        pipeline,
        callback_on_step_end=look,
        callback_on_step_end_tensor_inputs=names,
        num_images_per_prompt=2,
    )
    shapes = {
        "latents": (2, 4, 8, 8),
        "prompt_embeds": (4, 24, 32),
        "negative_prompt_embeds": (2, 24, 32),
    }
    assert seen == [(0, shapes), (1, shapes)]
    assert torch.equal(found, call(pipeline, num_images_per_prompt=2))


@pytest.mark.parametrize("kind", SOME)
def test_what_a_callback_returns_is_used(built, kind):
    pipeline = built(kind)

    def clear_at_the_end(pipe, index, timestep, tensors):
        assert pipe.num_timesteps == 2
        if index == 1:
            tensors["latents"] = torch.zeros_like(tensors["latents"])
        return tensors

    assert not call(pipeline, callback_on_step_end=clear_at_the_end).any()


def test_a_callback_changes_guidance_and_prompts_of_later_steps(built):
    pipeline = built("generation_text_box")
    usual = {"num_inference_steps": 3, "guidance_scale": 4.0}
    whole, other = call(pipeline, **usual), call(pipeline, **usual, prompt="a sun")

    def with_callback(change, **options):
        def after_the_first(pipe, index, timestep, tensors):
            if index == 0:
                tensors = change(pipe, tensors) or tensors
            return tensors

        return call(
            pipeline,
            callback_on_step_end=after_the_first,
            callback_on_step_end_tensor_inputs=pipeline._callback_tensor_inputs,
            **usual,
            **options,
        )

    def stronger(pipe, tensors):
        assert pipe.do_classifier_free_guidance
        pipe._guidance_scale += 3

    def unguided(pipe, tensors):
        pipe.guidance_scale = 0.0
        tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[-1]

    sun, _ = pipeline.encode_prompt("a sun")

    def another_prompt(pipe, tensors):
        return {"prompt_embeds": torch.cat([tensors["negative_prompt_embeds"], sun])}

    def another_negative(pipe, tensors):
        return {"negative_prompt_embeds": sun}

    assert torch.equal(with_callback(lambda *_: None), whole)
    found = [with_callback(f) for f in (stronger, unguided, another_prompt, another_negative)]
    for index, latents in enumerate([*found, other]):
        for earlier in [whole, *found[:index]]:
            assert difference(latents, earlier) > 1e-4
    assert torch.equal(
        found[1], call(pipeline, **usual, callback_on_step_end=SDCFGCutoffCallback(0.0, None))
    )
    with pytest.raises(ValueError, match="prompt_embeds for 3 pictures; the call makes 1"):
        with_callback(lambda *_: {"prompt_embeds": torch.zeros(3, 24, 32)})
    with pytest.raises(ValueError, match="raised to 4 in a run that began without"):
        call(
            pipeline,
            guidance_scale=1.0,
            callback_on_step_end=lambda pipe, *_: setattr(pipe, "guidance_scale", 4.0),
        )


@pytest.mark.parametrize("kind", SOME)
def test_interruption_returns_after_the_step(built, kind):
    pipeline = built(kind)
    seen = []

    def stop(pipe, index, timestep, tensors):
        seen.append(tensors["latents"])
        pipe._interrupt = index == 1
        return tensors

    found = call(pipeline, callback_on_step_end=stop, num_inference_steps=5)
    assert len(seen) == 2
    assert torch.equal(found, seen[-1])
    assert len(call(pipeline)) == 1  # the next call is not interrupted


def test_the_bar_counts_the_steps(built, capsys):
    pipeline = built("generation_text_box")
    pipeline.set_progress_bar_config(disable=False)
    call(pipeline, num_inference_steps=3)
    pipeline.set_progress_bar_config(disable=True)
    assert "3/3" in capsys.readouterr().err
