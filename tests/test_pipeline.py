import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from gligen.inpainting import hole_from_boxes
from gligen.layout import Layout
from gligen.request import Request, Result
from gligen.samplernames import SAMPLERS
from gligen.sampling import Step
from gligen.unet import predict
from tests.conftest import small_pipeline, small_unet

LAYOUT = Layout.from_lists(["a dog", "a cat"], [(0.1, 0.1, 0.6, 0.6), (0.5, 0.4, 1, 1)])
EMPTY = Layout()


def request(**changes) -> Request:
    options = {"prompt": "a dog", "layout": LAYOUT, "num_inference_steps": 4, "seed": 7}
    return Request(**{**options, **changes})


def photo(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.int16)


def latents(pipeline, **changes):
    options = {
        "prompt": "a dog",
        "layout": LAYOUT,
        "num_inference_steps": 4,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latent",
    }
    return pipeline(**{**options, **changes}).images


def test_stream_yields_steps_and_then_the_result(pipeline):
    *steps, result = pipeline.stream(request(gate_schedule=0.5))
    assert all(isinstance(step, Step) for step in steps)
    assert [step.index for step in steps] == [1, 2, 3, 4]
    assert [step.gate_scale for step in steps] == [1, 1, 0, 0]
    assert isinstance(result, Result)
    assert result.images[0].size == (64, 64)
    assert result.seeds == [7]
    assert pipeline.decode_preview(steps[0].predicted)[0].size == (64, 64)


def test_a_seed_is_reported_and_makes_the_same_picture_again(pipeline):
    first = pipeline.generate(request(seed=None))
    again = pipeline.generate(request(seed=first.seeds[0]))
    assert np.array_equal(pixels(first.images[0]), pixels(again.images[0]))
    other = pipeline.generate(request(seed=first.seeds[0] + 1))
    assert not np.array_equal(pixels(first.images[0]), pixels(other.images[0]))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_alone_equals_in_a_batch_of_four(pipeline, sampler):
    def last(**options):
        *_, step, _ = pipeline.stream(request(sampler=sampler, **options))
        return step.latents

    batch = last(num_images=4)
    for row in range(4):
        alone = last(seed=7 + row)
        assert (batch[row] - alone[0]).abs().max() <= 1e-5 * batch.abs().max()


def test_mixed_layouts_in_a_batch_equal_single_ones(pipeline):
    layouts = [LAYOUT, EMPTY, Layout(LAYOUT.regions[:1])]

    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    batch = latents(
        pipeline,
        prompt=["a dog", "a sun", "a cat"],
        layout=layouts,
        generator=generators(1, 2, 3),
    )
    for row, prompt in enumerate(["a dog", "a sun", "a cat"]):
        alone = latents(pipeline, prompt=prompt, layout=layouts[row], generator=generators(row + 1))
        assert (batch[row] - alone[0]).abs().max() <= 1e-5 * batch.abs().max()


def test_regions_phrases_and_tau_change_the_picture(pipeline):
    reference = latents(pipeline)
    swapped = Layout.from_lists(LAYOUT.phrases[::-1], LAYOUT.boxes)
    moved = Layout.from_lists(LAYOUT.phrases, [(0, 0.5, 0.3, 1), (0.5, 0.4, 1, 1)])
    for changed in (
        latents(pipeline, layout=swapped),
        latents(pipeline, layout=moved),
        latents(pipeline, gligen_scheduled_sampling_beta=1.0),
        latents(pipeline, gate_schedule=[0.3, 0.5, 0.2]),
    ):
        assert (changed - reference).abs().max() > 1e-3


def test_the_same_phrase_twice_is_two_regions(pipeline):
    boxes = [(0.1, 0.1, 0.4, 0.4), (0.6, 0.6, 0.9, 0.9)]
    twice = latents(pipeline, layout=Layout.from_lists(["a dog", "a dog"], boxes))
    once = latents(pipeline, layout=Layout.from_lists(["a dog"], boxes[1:]))
    assert (twice - once).abs().max() > 1e-3


def test_an_empty_layout_and_tau_0_are_plain_stable_diffusion(pipeline):
    plain = small_pipeline()
    plain.unet = small_unet()
    expected = latents(plain, layout=EMPTY)
    assert torch.equal(latents(pipeline, layout=EMPTY), expected)
    assert torch.equal(latents(pipeline, gligen_scheduled_sampling_beta=0.0), expected)
    assert not torch.equal(latents(pipeline), expected)


def test_after_any_call_the_unet_is_the_plain_one(pipeline):
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 32)
    with torch.no_grad():
        expected = predict(small_unet(), x, 500, context)

    def is_plain() -> bool:
        with torch.no_grad():
            return torch.equal(predict(pipeline.unet, x, 500, context), expected)

    pipeline.generate(request(gate_schedule=1.0))
    assert is_plain()
    stopped = pipeline.stream(request(gate_schedule=1.0))
    next(stopped)
    stopped.close()
    assert is_plain()

    def fail(*_):
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        pipeline("a dog", layout=LAYOUT, callback_on_step_end=fail, num_inference_steps=3)
    assert is_plain()


def test_gated_layers_are_not_computed_once_grounding_is_off(pipeline):
    calls = []
    fuser = pipeline.unet.down_blocks[0].attentions[0].transformer_blocks[0].fuser
    fuser.register_forward_hook(lambda *_: calls.append(1))
    pipeline.generate(request(gate_schedule=0.5, sampler="ddim"))
    assert len(calls) == 2


def test_callbacks_and_interruption(pipeline):
    seen = []

    def stop_after_two(pipe, index, timestep, state):
        seen.append(index)
        pipe.interrupt = index == 1
        return {"latents": torch.zeros_like(state["latents"])}

    result = latents(pipeline, callback_on_step_end=stop_after_two)
    assert seen == [0, 1]
    assert torch.equal(result, torch.zeros_like(result))
    old_style = []
    latents(pipeline, callback=lambda *args: old_style.append(args[0]), callback_steps=2)
    assert old_style == [0, 2]


def test_a_unet_without_grounding_refuses_regions(pipeline):
    pipeline.unet = small_unet()
    with pytest.raises(ValueError, match="no grounding layers.*adapter"):
        latents(pipeline)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 60}, "60 pixels.*multiple of 8.*64"),
        ({"prompt": "x" * 40}, "has 40 tokens.*at most 22"),
        ({"negative_prompt": "x" * 40}, "negative prompt.*40 tokens"),
        ({"layout": Layout.from_lists(["x" * 100], [(0, 0, 1, 1)])}, "phrase.*100 tokens"),
        ({"inpaint_image": photo(8, 8)}, "cannot repaint"),
    ],
)
def test_what_the_model_cannot_do_is_refused(pipeline, options, words):
    with pytest.raises(ValueError, match=words):
        pipeline.generate(request(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layout": None, "gligen_phrases": ["a"], "gligen_boxes": []}, "1 phrase and 0 boxes"),
        ({"gligen_phrases": ["a"]}, "not both"),
        ({"prompt": None}, "not neither"),
        ({"prompt": ["a", "b"], "negative_prompt": ["c", "d", "e"]}, "3 negative prompts and 2"),
        ({"layout": [LAYOUT] * 3, "prompt": ["a", "b"]}, "3 layouts and 2 prompts"),
        ({"latents": torch.zeros(1, 4, 2, 2)}, r"\(1, 4, 2, 2\).*\(1, 4, 8, 8\)"),
        ({"height": 12}, "height is 12"),
    ],
)
def test_bad_call_arguments_are_refused(pipeline, options, words):
    with pytest.raises(ValueError, match=words):
        latents(pipeline, **options)


def test_prompt_embeds_replace_the_prompt(pipeline):
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    ids = tokenizer(["a dog"], padding="max_length", return_tensors="pt").input_ids
    embeds = encoder(ids).last_hidden_state
    by_embeds = latents(pipeline, prompt=None, prompt_embeds=embeds)
    torch.testing.assert_close(by_embeds, latents(pipeline))


# ---------------------------------------------------------------- inpainting


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_outside_the_hole_every_pixel_is_kept(inpainting_pipeline, sampler):
    picture = photo(100, 70)
    layout = Layout.from_lists(["a dog"], [(0.2, 0.3, 0.6, 0.8)])
    result = inpainting_pipeline.generate(
        request(inpaint_image=picture, layout=layout, sampler=sampler)
    )
    hole = np.zeros((70, 100), bool)
    hole[21:56, 20:60] = True
    changed = (pixels(result.images[0]) != pixels(picture)).any(axis=-1)
    assert result.images[0].size == (100, 70)
    assert not changed[~hole].any()
    assert changed[hole].mean() > 0.9


def test_painted_mask_feather_and_box_holes_without_phrase(inpainting_pipeline):
    picture, mask = photo(90, 64), Image.new("L", (90, 64))
    mask.paste(255, (30, 20, 50, 40))
    run = inpainting_pipeline.generate
    hard = run(request(inpaint_image=picture, inpaint_mask=mask, layout=EMPTY)).images[0]
    soft = run(
        request(inpaint_image=picture, inpaint_mask=mask, layout=EMPTY, mask_feather=6)
    ).images[0]
    hole = np.asarray(mask) > 0
    for image in (hard, soft):
        assert np.array_equal(pixels(image)[~hole], pixels(picture)[~hole])
    assert not np.array_equal(pixels(hard), pixels(soft))
    free = Layout.from_lists([""], [(0.2, 0.2, 0.7, 0.7)])
    assert run(request(inpaint_image=picture, layout=free)).images[0].size == (90, 64)


def test_zoom_paints_a_small_hole_in_its_surroundings_and_keeps_the_rest(inpainting_pipeline):
    picture, layout = photo(64, 64), Layout.from_lists(["a dog"], [(0.5, 0.5, 0.65, 0.65)])
    plain, zoomed = (
        inpainting_pipeline.generate(request(inpaint_image=picture, layout=layout, hole_zoom=zoom))
        for zoom in (1, 4)
    )
    hole = np.asarray(hole_from_boxes(layout.boxes, picture.size)) > 0
    assert np.array_equal(pixels(zoomed.images[0])[~hole], pixels(picture)[~hole])
    assert not np.array_equal(pixels(zoomed.images[0])[hole], pixels(plain.images[0])[hole])
    assert zoomed.settings(0)["hole_zoom"] == 4


def test_inpainting_repeats_with_its_seed_and_alone_equals_batch(inpainting_pipeline):
    picture = photo(64, 64)
    layout = Layout(LAYOUT.regions[:1])

    def last(**options):
        asked = request(inpaint_image=picture, layout=layout, **options)
        *_, step, _ = inpainting_pipeline.stream(asked)
        return step.latents

    batch = last(num_images=2)
    assert torch.equal(batch, last(num_images=2))
    for row in range(2):
        assert (batch[row] - last(seed=7 + row)[0]).abs().max() <= 1e-5 * batch.abs().max()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no picture to inpaint"),
        ({"inpaint_image": photo(64, 64), "width": 64}, "leave width and height out"),
        (
            {"inpaint_image": photo(64, 64), "inpaint_mask": Image.new("L", (9, 9), 255)},
            "9 x 9.*64 x 64",
        ),
        (
            {"inpaint_image": photo(64, 64), "inpaint_mask": Image.new("L", (64, 64))},
            "mask is empty",
        ),
    ],
)
def test_inpainting_errors(inpainting_pipeline, options, words):
    with pytest.raises(ValueError, match=words):
        inpainting_pipeline.generate(request(**options))


def test_pairs_of_options_do_not_crash(pipeline):
    for sampler, schedule in itertools.product(("plms", "heun"), (0.0, 1.0, (0.2, 0.5, 0.3))):
        result = pipeline.generate(
            request(sampler=sampler, gate_schedule=schedule, width=64, height=128)
        )
        assert result.images[0].size == (64, 128)
        assert result.settings(0)["sampler"] == sampler
