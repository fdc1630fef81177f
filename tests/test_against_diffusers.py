"""The two pipelines of diffusers beside this one, on the same weights with open gates.

First where diffusers is right: the latents agree. Then where it is not: each defect has a test
that shows diffusers failing and this library doing what was meant.
"""

import inspect

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionGLIGENPipeline,
    StableDiffusionGLIGENTextImagePipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
)
from diffusers.models.embeddings import get_fourier_embeds_from_boundingbox
from PIL import Image
from transformers import CLIPImageProcessorPil

from gligen.inpainting import hole_from_boxes
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.tokenizers import fourier_embedding
from gligen.unet import predict
from tests.conftest import small_pipeline, small_unet

PHRASES, BOXES = ["a dog", "a cat"], [[0.125, 0.125, 0.625, 0.625], [0.5, 0.375, 1.0, 1.0]]
SCHEDULERS = {
    "ddim": None,
    "dpm++": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_a": EulerAncestralDiscreteScheduler,
    "heun": HeunDiscreteScheduler,
}


def theirs_like(ours: GligenPipeline):
    """Build diffusers' pipeline of the same kind on equal weights of its own."""
    has_images = "image" in ours.kind
    unet = UNet2DConditionModel.from_config(
        small_unet(ours.unet.config.in_channels).config,
        attention_type="gated-text-image" if has_images else "gated",
    ).eval()
    unet.load_state_dict(ours.unet.state_dict())
    parts = {**ours.components, "unet": unet}
    kind = StableDiffusionGLIGENPipeline
    if has_images:
        kind = StableDiffusionGLIGENTextImagePipeline
        side = ours.image_encoder.config.image_size
        parts["processor"] = CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )
    pipeline = kind(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.vae.sample_size = 64
    return pipeline


def both(kind: str):
    ours = small_pipeline(kind)
    return ours, theirs_like(ours)


@pytest.fixture
def text():
    """Both pipelines of the text-box kind: ours, theirs."""
    return both("generation_text_box")


@pytest.fixture
def text_inpainting():
    return both("inpainting_text_box")


@pytest.fixture
def text_image():
    return both("generation_text_image_box")


@pytest.fixture
def text_image_inpainting():
    return both("inpainting_text_image_box")


def photo(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def call(pipeline, **changes):
    options = {
        "prompt": "a dog",
        "gligen_phrases": PHRASES,
        "gligen_boxes": BOXES,
        "num_inference_steps": 4,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "latent",
    }
    return pipeline(**{**options, **changes}).images


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the greatest difference as a share of the greatest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())


def use_scheduler(name: str, *pipelines) -> None:
    if SCHEDULERS[name] is not None:
        for pipeline in pipelines:
            pipeline.scheduler = SCHEDULERS[name].from_config(pipeline.scheduler.config)


# ---------------------------------------------------------------- where diffusers is right


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    "changes",
    [{}, {"guidance_scale": 1.0}, {"num_images_per_prompt": 2}],
    ids=lambda changes: "-".join(changes) or "usual",
)
def test_text_box_latents_agree(text, name, changes):
    ours, theirs = text
    use_scheduler(name, ours, theirs)
    # Heun lists two evaluations a step; diffusers counts tau in evaluations, so compare at tau 1.
    changes = {
        "num_inference_steps": 6,
        "gligen_scheduled_sampling_beta": 1.0 if name == "heun" else 0.5,
        **changes,
    }
    assert difference(call(ours, **changes), call(theirs, **changes)) <= 1e-4


STYLE = [0.0, 1.0, 0.0, 1.0]
REGION_LISTS = {
    "phrases and pictures": {"gligen_images": [photo(1), photo(2)]},
    "phrases alone": {"gligen_images": None},
    "pictures alone": {"gligen_phrases": None, "gligen_images": [photo(1), photo(2)]},
    "one of each": {"gligen_phrases": ["a dog", None], "gligen_images": [None, photo(2)]},
    "no pictures by mask": {"gligen_images": [photo(1), photo(2)], "input_images_mask": 0},
    "one picture by mask": {"gligen_images": [photo(1), photo(2)], "input_images_mask": [0, 1]},
    "a short mask": {"gligen_images": [photo(1), photo(2)], "input_phrases_mask": [0]},
    "a share": {"gligen_images": [photo(1), photo(2)], "input_images_mask": [0.25, 0.5]},
    "neither phrase nor picture": {
        "gligen_images": [photo(1), photo(2)],
        "input_images_mask": [1, 0],
        "input_phrases_mask": [1, 0],
    },
    "another norm": {"gligen_images": [photo(1), photo(2)], "gligen_normalize_constant": 9.0},
    "style, as documented": {
        "gligen_phrases": ["a dog", "placeholder"],
        "gligen_images": [photo(1), photo(2)],
        "input_phrases_mask": [1, 0],
        "input_images_mask": [0, 1],
        "gligen_boxes": [BOXES[0], STYLE],
    },
}


@pytest.mark.parametrize("lists", REGION_LISTS.values(), ids=REGION_LISTS)
def test_text_image_latents_agree(text_image, lists):
    """Diffusers grounds every step whatever is asked for, so compare at tau 1."""
    ours, theirs = text_image
    changes = {**lists, "gligen_scheduled_sampling_beta": 1.0}
    expected = call(theirs, **changes)
    assert difference(call(ours, **changes), expected) <= 1e-4
    without = call(ours, gligen_phrases=None, gligen_boxes=None)
    assert difference(without, expected) > 1e-2


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("changes", [{"guidance_scale": 1.0}, {"num_images_per_prompt": 2}])
def test_text_image_latents_agree_for_schedulers(text_image, name, changes):
    ours, theirs = text_image
    use_scheduler(name, ours, theirs)
    images = [photo(1), photo(2)]
    changes = {**changes, "gligen_images": images, "gligen_scheduled_sampling_beta": 1.0}
    assert difference(call(ours, **changes), call(theirs, **changes)) <= 1e-4


def test_the_default_tau_gives_what_theirs_gives(text, text_image):
    """They ignore tau for pictures, which amounts to 1; for text boxes their default is 0.3."""
    assert difference(call(text[0]), call(text[1])) <= 1e-4
    changes = {"gligen_images": [photo(1), photo(2)]}
    assert difference(call(text_image[0], **changes), call(text_image[1], **changes)) <= 1e-4


@pytest.mark.parametrize("kind", ["inpainting_text_box", "inpainting_text_image_box"])
def test_inpainting_latents_agree_once_their_noise_is_seeded(kind, monkeypatch):
    ours, theirs = both(kind)
    # Their posterior is sampled: with hardly any variance the sample is the mean.
    half = ours.vae.quant_conv.out_channels // 2
    ours.vae.quant_conv.weight.data[half:] = 0
    ours.vae.quant_conv.bias.data[half:] = -30
    changes = {"gligen_inpaint_image": photo(5), "gligen_scheduled_sampling_beta": 1.0}
    if "image" in kind:
        changes["gligen_images"] = [photo(1), photo(2)]
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    found = call(ours, **changes, latents=start)
    source = torch.Generator().manual_seed(3)
    monkeypatch.setattr(
        torch, "randn_like", lambda x: torch.randn(x.shape, generator=source, dtype=x.dtype)
    )
    assert difference(found, call(theirs, **changes, latents=start)) <= 1e-4


# ---------------------------------------------------------------- defects of both pipelines


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


# ---------------------------------------------------------------- defects of the text-image one


def test_defect_11_scheduled_sampling_is_ignored(text_image):
    ours, theirs = text_image
    images = {"gligen_images": [photo(1), photo(2)]}
    early, always = ({**images, "gligen_scheduled_sampling_beta": tau} for tau in (0.25, 1.0))
    assert torch.equal(call(theirs, **early), call(theirs, **always))
    assert difference(call(ours, **early), call(ours, **always)) > 1e-3


@pytest.mark.parametrize("guidance_scale", [7.5, 1.0])
def test_defect_12_every_step_evaluates_the_unet_twice(text_image, guidance_scale):
    ours, theirs = text_image
    calls = []
    for name, pipeline in (("ours", ours), ("theirs", theirs)):
        pipeline.unet.conv_in.register_forward_hook(lambda *_, name=name: calls.append(name))
        call(pipeline, gligen_images=[photo(1), photo(2)], guidance_scale=guidance_scale)
    assert calls.count("theirs") == 8
    assert calls.count("ours") == 4


def test_defect_13_lists_of_different_lengths_are_cut_silently(text_image):
    ours, theirs = text_image
    one_picture = {"gligen_phrases": None, "gligen_images": [photo(1)]}
    cut = call(theirs, **one_picture)
    assert torch.equal(cut, call(theirs, **one_picture, gligen_boxes=BOXES[:1]))
    with pytest.raises(ValueError, match="1 pictures and 2 boxes"):
        call(ours, **one_picture)
    with pytest.raises(ValueError, match="1 phrase and 2 boxes"):
        call(ours, gligen_phrases=["a dog"])


def test_defect_13_too_many_boxes(text, text_image):
    """The text pipeline drops the 31st with a warning, the text-image one crashes."""
    boxes, phrases = [[0.0, 0.0, 0.5, 0.5]] * 31, ["a dog"] * 31
    with pytest.warns(FutureWarning, match="More that 30"):
        call(text[1], gligen_boxes=boxes, gligen_phrases=phrases)
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="not subscriptable"):
        call(text_image[1], gligen_boxes=boxes, gligen_phrases=None, gligen_images=[photo(1)] * 31)
    with pytest.raises(ValueError, match="31 regions"):
        call(text[0], gligen_boxes=boxes, gligen_phrases=phrases)
    with pytest.raises(ValueError, match="31 regions"):
        call(text_image[0], gligen_boxes=boxes, gligen_phrases=None, gligen_images=[photo(1)] * 31)


def test_defect_14_the_style_box_is_harmless_only_by_luck(text_image_inpainting):
    """They draw the box (0, 1, 0, 1) into the hole, where it happens to be empty."""
    ours, theirs = text_image_inpainting
    assert theirs.draw_inpaint_mask_from_boxes([STYLE], (8, 8)).all()
    lists = {
        "gligen_boxes": [BOXES[0], STYLE],
        "gligen_phrases": ["a dog", "placeholder"],
        "gligen_images": [None, photo(2)],
        "input_phrases_mask": [1, 0],
        "gligen_inpaint_image": photo(5),
        "output_type": "pil",
    }
    image = np.asarray(call(ours, **lists)[0])
    hole = np.zeros((64, 64), bool)
    hole[8:40, 8:40] = True
    assert np.array_equal(image[~hole], np.asarray(photo(5))[~hole])
    other = np.asarray(call(ours, **{**lists, "gligen_images": [None, photo(3)]})[0])
    assert not np.array_equal(image[hole], other[hole])


def test_defect_15_the_ends_of_a_wide_reference_picture_are_cut_off(text_image):
    ours, theirs = text_image
    wide = photo(1, 128, 64)
    painted = wide.copy()
    for left in (0, 104):
        painted.paste((255, 0, 0), (left, 0, left + 24, 64))
    usual = {"gligen_boxes": [[0.0, 0.0, 1.0, 1.0]], "gligen_phrases": None}

    def with_picture(pipeline, picture, **changes):
        return call(pipeline, **usual, gligen_images=[picture], **changes)

    assert torch.equal(with_picture(theirs, wide), with_picture(theirs, painted))
    assert difference(with_picture(ours, wide), with_picture(ours, painted)) > 3e-4
    cropped = with_picture(ours, wide, crop_references=True)
    assert difference(cropped, with_picture(theirs, wide)) <= 1e-4


def test_defect_16_no_pipeline_of_theirs_reads_the_released_files():
    """Their script for that is not installed; the readers here are tested with the formats."""
    for pipeline in (StableDiffusionGLIGENPipeline, StableDiffusionGLIGENTextImagePipeline):
        assert not hasattr(pipeline, "from_single_file")
        required = inspect.signature(pipeline.__init__).parameters
        assert ("image_project" in required) == ("TextImage" in pipeline.__name__)


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_folders_are_read_by_both(kind, tmp_path):
    from diffusers import DiffusionPipeline

    ours = small_pipeline(kind)
    if "image" in kind:
        ours.register_modules(processor=theirs_like(ours).processor)
    ours.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    theirs = DiffusionPipeline.from_pretrained(tmp_path)
    classes = {
        "generation_text_box": StableDiffusionGLIGENPipeline,
        "generation_text_image_box": StableDiffusionGLIGENTextImagePipeline,
    }
    assert type(theirs) is classes[kind]
    changes = {"gligen_scheduled_sampling_beta": 1.0}
    if "image" in kind:
        changes["gligen_images"] = [photo(1), photo(2)]
    for pipeline in (again, theirs):
        pipeline.set_progress_bar_config(disable=True)
    assert again.kind == kind
    # The processor comes back as transformers' usual one, which rounds a pixel's last bit apart.
    expected = call(ours, **changes)
    assert difference(call(again, **changes), expected) <= (1e-5 if "image" in kind else 0)
    assert difference(call(theirs, **changes), expected) <= 1e-4
    # Back again: what diffusers saves is read here.
    theirs.save_pretrained(tmp_path / "theirs")
    back = GligenPipeline.from_pretrained(tmp_path / "theirs")
    back.set_progress_bar_config(disable=True)
    assert torch.equal(call(back, **changes), call(again, **changes))


@pytest.mark.parametrize("kind", ["keypoint", "canny", "semantic"])
def test_kinds_that_diffusers_cannot_hold_are_not_saved_as_its_folders(kind, tmp_path):
    with pytest.raises(ValueError, match=f"no form for the kind {kind}.*save_adapter"):
        small_pipeline(kind).save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
