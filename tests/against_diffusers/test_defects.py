"""Defects of both pipelines of diffusers: each fails there and is right here."""

import numpy as np
import pytest
import torch
from diffusers import (
    PNDMScheduler,
)
from diffusers.models.embeddings import get_fourier_embeds_from_boundingbox
from PIL import Image

from gligen.inpainting import hole_from_boxes
from gligen.layout import Layout
from gligen.tokenizers import fourier_embedding
from gligen.unet import predict
from tests.against_diffusers.pipelines import (
    BOXES,
    PHRASES,
    both,
    call,
    difference,
    photo,
    use_scheduler,
)
from tests.conftest import small_pipeline, small_unet


@pytest.mark.parametrize("kind", ["inpainting_text_box", "inpainting_text_image_box"])
def test_defect_1_inpainting_ignores_the_generator(kind):
    ours, theirs = both(kind)
    changes = {"gligen_inpaint_image": photo(5)}
    assert not torch.equal(call(theirs, **changes), call(theirs, **changes))
    assert torch.equal(call(ours, **changes), call(ours, **changes))


@pytest.mark.parametrize("kind", ["inpainting_text_box", "inpainting_text_image_box"])
def test_defect_2_the_hole_starts_without_the_schedulers_noise_level(kind):
    """With Euler, latents begin 14.6 times as strong as unit noise, and are scaled back."""

    def deviation_of_the_first_input(pipeline) -> float:
        use_scheduler("euler", pipeline)
        inputs = []
        hook = pipeline.unet.conv_in.register_forward_hook(
            lambda module, args, output: inputs.append(args[0])
        )
        call(pipeline, gligen_inpaint_image=photo(5), gligen_boxes=[[0, 0, 1, 1]] * 2)
        hook.remove()
        return float(inputs[0][:, :4].std())

    ours, theirs = both(kind)
    assert deviation_of_the_first_input(theirs) < 0.1
    assert 0.8 < deviation_of_the_first_input(ours) < 1.2


def test_defect_3_width_and_height_of_the_hole_are_swapped(text):
    box, (width, height) = [0.5, 0.0, 1.0, 0.5], (20, 10)
    meant = np.zeros((height, width), bool)
    meant[:5, 10:] = True
    theirs = text[1].draw_inpaint_mask_from_boxes([box], (height, width)).numpy() == 0
    assert not np.array_equal(theirs, meant)
    found = np.asarray(hole_from_boxes([tuple(box)], (width, height))) > 0
    assert np.array_equal(found, meant)


@pytest.mark.parametrize("kind", ["inpainting_text_box", "inpainting_text_image_box"])
def test_defect_4_pictures_of_another_shape_and_masks_cannot_be_inpainted(kind):
    ours, theirs = both(kind)
    picture = photo(5, 96, 64)
    with pytest.raises(RuntimeError, match="size"):
        call(theirs, gligen_inpaint_image=picture, width=96, height=64)
    mask = Image.new("L", picture.size)
    mask.paste(255, (40, 20, 60, 50))
    with pytest.raises(TypeError, match="gligen_inpaint_mask"):
        call(theirs, gligen_inpaint_image=picture, gligen_inpaint_mask=mask)
    image = call(ours, gligen_inpaint_image=picture, gligen_inpaint_mask=mask, output_type="pil")[0]
    outside = np.asarray(mask) == 0
    assert image.size == picture.size
    assert np.array_equal(np.asarray(image)[outside], np.asarray(picture)[outside])
    assert not np.array_equal(np.asarray(image)[~outside], np.asarray(picture)[~outside])


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
@pytest.mark.parametrize("empty", [None, []])
def test_defect_5_no_boxes_are_an_error_instead_of_plain_generation(kind, empty):
    ours, theirs = both(kind)
    changes = {"gligen_phrases": empty, "gligen_boxes": empty}
    if empty is None or kind == "generation_text_box":
        with pytest.raises((IndexError, TypeError, ValueError)):
            call(theirs, **changes)
    plain = small_pipeline()
    plain.unet = small_unet()
    assert torch.equal(call(ours, **changes), call(plain, **changes))


def test_defect_5_nothing_to_ground_on_is_not_plain_in_the_text_image_pipeline(text_image):
    """Empty lists pass there, and the gates stay open on null tokens."""
    ours, theirs = text_image
    changes = {"gligen_phrases": [], "gligen_boxes": []}
    assert difference(call(theirs, **changes), call(ours, **changes)) > 1e-3


def test_defect_6_a_long_phrase_crashes_inside_the_text_encoder(text):
    ours, theirs = text
    changes = {"gligen_phrases": ["a dog", "x" * 100]}
    with pytest.raises((IndexError, RuntimeError, ValueError)) as error:
        call(theirs, **changes)
    assert "phrase" not in str(error.value)
    with pytest.raises(ValueError, match="The phrase 'xxx.*100 tokens.*at most 22"):
        call(ours, **changes)


def test_defect_6_all_prompts_share_one_layout(text):
    ours, theirs = text
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2)).repeat(2, 1, 1, 1)
    prompts = {"prompt": ["a dog"] * 2, "latents": start}
    shared = call(theirs, **prompts)
    assert difference(shared[0], shared[1]) < 1e-5
    layouts = [Layout.from_lists(PHRASES, BOXES), Layout.from_lists(PHRASES[::-1], BOXES)]
    own = call(ours, **prompts, layout=layouts, gligen_phrases=None, gligen_boxes=None)
    assert difference(own[0], shared[0]) <= 1e-4
    assert difference(own[0], own[1]) > 1e-3


def test_defect_7_the_gates_stay_switched_off_after_a_call(text):
    ours, theirs = text
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 32)
    call(theirs)
    switches = [m.enabled for m in theirs.unet.modules() if hasattr(m, "enabled")]
    assert switches
    assert not any(switches)
    with torch.no_grad():
        before = predict(ours.unet, x, 500, context)
        call(ours)
        assert torch.equal(predict(ours.unet, x, 500, context), before)
        assert torch.equal(predict(small_unet(), x, 500, context), before)


def test_defect_7_the_gates_know_on_and_off_alone(text):
    ours, theirs = text
    changes = {"gate_schedule": (0.25, 0.5, 0.25)}
    with pytest.raises(TypeError, match="gate_schedule"):
        call(theirs, **changes)
    fading = call(ours, **changes)
    for tau in (0.25, 0.5, 0.75):
        assert difference(fading, call(ours, gligen_scheduled_sampling_beta=tau)) > 1e-4


def test_defect_7_with_pndm_tau_is_counted_in_evaluations(text):
    """PNDM evaluates its second step twice, so their tau ends one step early."""
    ours, theirs = text
    for pipeline in text:
        pipeline.scheduler = PNDMScheduler.from_config(
            pipeline.scheduler.config, skip_prk_steps=True
        )
    always = {"gligen_scheduled_sampling_beta": 1.0}
    assert difference(call(ours, **always), call(theirs, **always)) <= 1e-4
    half = {"gligen_scheduled_sampling_beta": 0.5}

    def num_grounded_evaluations(pipeline, is_open) -> int:
        seen = []
        block = pipeline.unet.down_blocks[0].attentions[0].transformer_blocks[0]
        hook = block.fuser.register_forward_hook(lambda module, *_: seen.append(is_open(module)))
        call(pipeline, **half)
        hook.remove()
        return sum(seen)

    # 4 steps are 5 evaluations: the first two steps are 3 of them.
    assert num_grounded_evaluations(theirs, lambda module: module.enabled) == 2
    assert num_grounded_evaluations(ours, lambda module: True) == 3


def test_defect_8_current_arguments_and_callbacks_are_missing(text):
    ours, theirs = text
    seen = []

    def stop(pipeline, index, timestep, tensors):
        seen.append(index)
        pipeline.interrupt = index == 1
        return tensors

    euler = {"timesteps": [900, 500, 100], "guidance_rescale": 0.7}
    for changes in ({"callback_on_step_end": stop}, *({name: euler[name]} for name in euler)):
        with pytest.raises(TypeError, match=next(iter(changes))):
            call(theirs, **changes)
    for name in ("load_lora_weights", "load_textual_inversion", "load_ip_adapter"):
        assert not hasattr(theirs, name)
    whole = call(ours)
    assert difference(call(ours, callback_on_step_end=stop), whole) > 1e-3
    assert seen == [0, 1]
    assert difference(call(ours, guidance_rescale=0.7), whole) > 1e-3
    use_scheduler("euler", ours)
    assert difference(call(ours, timesteps=[900, 500, 100]), call(ours)) > 1e-3


def test_defect_8_clip_skip_fails_with_current_transformers(text):
    ours, theirs = text
    with pytest.raises(AttributeError, match="text_model"):
        call(theirs, clip_skip=1)
    ids = ours.tokenizer(["a dog", ""], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        states = ours.text_encoder(ids, output_hidden_states=True).hidden_states
        positive, negative = ours.text_encoder.final_layer_norm(states[-2]).split(1)
    embeds = {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    expected = call(theirs, **embeds, prompt=None)
    assert difference(call(ours, clip_skip=1), expected) <= 1e-4
    assert difference(call(ours), expected) > 1e-3


def test_defect_9_tokens_are_computed_again_in_every_evaluation(text, monkeypatch):
    ours, theirs = text
    calls = []
    theirs.unet.position_net.linears.register_forward_hook(lambda *_: calls.append("theirs"))
    ours.unet.position_net.linears.register_forward_hook(lambda *_: calls.append("ours"))
    call(theirs)
    call(ours)
    assert calls.count("theirs") == 4
    assert calls.count("ours") == 2  # of the layout, and of the null input


def test_defect_9_half_precision_loses_positions():
    boxes = torch.rand(1, 16, 4, generator=torch.Generator().manual_seed(0)).half()
    exact = fourier_embedding(boxes.double().float())
    theirs = get_fourier_embeds_from_boundingbox(8, boxes).float()
    assert (theirs - exact).abs().max() > 1e-2
    assert torch.equal(fourier_embedding(boxes).float(), exact)


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_defect_10_the_callers_keyword_arguments_are_changed(kind):
    ours, theirs = both(kind)
    given: dict = {}
    call(ours, cross_attention_kwargs=given)
    assert given == {}
    call(theirs, cross_attention_kwargs=given)
    assert list(given) == ["gligen"]
