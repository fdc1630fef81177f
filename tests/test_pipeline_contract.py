"""What every diffusers pipeline keeps: batches, folders, dtypes, devices, callbacks, schedulers.

The same questions as in the general test classes that diffusers has for its own pipelines, asked of
every kind, with open gates and a layout that the kind reads.
"""

import inspect
import json
import re

import diffusers
import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from diffusers.callbacks import SDCFGCutoffCallback
from diffusers.schedulers import KarrasDiffusionSchedulers
from PIL import Image
from transformers import CLIPImageProcessorPil

from gligen.guidance import rescale
from gligen.kinds import KINDS, kind_named
from gligen.layout import Layout, Region
from gligen.loading import load_pipeline
from gligen.person import JOINTS, Person
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.weights.checkpoints import save_adapter
from tests.conftest import small_pipeline, small_unet

# One of each modality and task, where every kind would tell nothing more.
SOME = ("generation_text_box", "inpainting_text_image_box", "keypoint", "canny")
FOLDERS = tuple(kind for kind in KINDS if kind_named(kind).takes_regions)
BOXES = ((0.125, 0.125, 0.625, 0.625), (0.5, 0.375, 1.0, 1.0))


def picture(seed: int, size: int = 64) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 200, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(values)


def layout_for(kind: str, seed: int = 0) -> Layout:
    """Return a layout that the kind reads; another seed gives another one."""
    rng = np.random.default_rng(seed)
    match kind_named(kind).modality:
        case "keypoint":
            points = rng.uniform(0.1, 0.9, (len(JOINTS), 2)).tolist()
            return Layout(persons=(Person(tuple(map(tuple, points))),))
        case "map" if kind == "semantic":
            return Layout(map=Image.fromarray(rng.integers(0, 152, (64, 64), np.uint8)))
        case "map" if kind == "normal":
            angle = rng.uniform(0, 2 * np.pi, (64, 64))
            normals = np.stack([0.6 * np.cos(angle), 0.6 * np.sin(angle), 0 * angle + 0.8], -1)
            return Layout(map=Image.fromarray(((normals + 1) * 127.5).astype(np.uint8)))
        case "map":
            gray = Image.fromarray(rng.integers(0, 200, (64, 64), np.uint8))
            return Layout(map=gray.convert("RGB"))
    phrases = [("a dog", "a cat", "a sun")[(seed + i) % 3] for i in range(2)]
    image = picture(seed + 1) if "image" in kind else None
    return Layout((Region(phrases[0], BOXES[0], image), Region(phrases[1], BOXES[1])))


def inputs(pipeline: GligenPipeline, **changes):
    """Return the arguments of a short call."""
    options = {
        "prompt": "a dog",
        "layout": layout_for(pipeline.kind),
        "num_inference_steps": 2,
        "gligen_scheduled_sampling_beta": 1.0,
        "generator": torch.Generator().manual_seed(3),
        "output_type": "latent",
    }
    if pipeline.kind.startswith("inpainting"):
        options["gligen_inpaint_image"] = picture(9)
        options["gligen_inpaint_mask"] = mask()
    return {**options, **changes}


def mask() -> Image.Image:
    hole = Image.new("L", (64, 64))
    hole.paste(255, (8, 8, 56, 56))
    return hole


def call(pipeline: GligenPipeline, **changes):
    return pipeline(**inputs(pipeline, **changes)).images


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the greatest difference as a share of the greatest expected value."""
    found, expected = found.float(), expected.float()
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="module")
def built():
    """Return a pipeline of a kind, built once; tests leave it as it was."""
    pipelines: dict[str, GligenPipeline] = {}

    def build(kind: str) -> GligenPipeline:
        if kind not in pipelines:
            pipelines[kind] = small_pipeline(kind)
        return pipelines[kind]

    return build


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_in_a_batch_is_the_one_made_alone(built, kind):
    pipeline = built(kind)
    prompts, layouts = ["a dog", "a sun", "a cat"], [layout_for(kind, seed) for seed in range(3)]

    def seeded(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    batch = call(pipeline, prompt=prompts, layout=layouts, generator=seeded(1, 2, 3))
    for row in range(3):
        alone = call(pipeline, prompt=prompts[row], layout=layouts[row], generator=seeded(row + 1))
        assert difference(batch[row], alone[0]) <= 1e-5
    assert difference(batch[0], batch[1]) > 1e-3


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize(("prompts", "each"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_there_are_as_many_pictures_as_prompts_times_pictures_each(built, kind, prompts, each):
    images = call(
        built(kind), prompt=["a dog"] * prompts, num_images_per_prompt=each, output_type="np"
    )
    assert images.shape == (prompts * each, 64, 64, 3)


# ---------------------------------------------------------------- forms of the result


@pytest.mark.parametrize("kind", SOME)
def test_tuple_and_forms_hold_the_same_pictures(built, kind):
    pipeline = built(kind)
    images = call(pipeline, output_type="np")
    plain = pipeline(**inputs(pipeline, output_type="np", return_dict=False))
    assert isinstance(plain, tuple)
    assert np.array_equal(plain[0], images)
    tensors = call(pipeline, output_type="pt")
    assert np.array_equal(tensors.permute(0, 2, 3, 1).numpy(), images)
    pillows = call(pipeline, output_type="pil")
    assert np.array_equal(np.asarray(pillows[0]), (images[0] * 255).round().astype("uint8"))


@pytest.mark.parametrize("kind", ["generation_text_box", "keypoint"])
def test_latents_decode_to_the_pictures(built, kind):
    pipeline = built(kind)
    decoded = pipeline.decode_preview(call(pipeline))
    assert np.array_equal(np.asarray(decoded[0]), np.asarray(call(pipeline, output_type="pil")[0]))


def test_given_latents_are_the_start(built):
    pipeline = built("generation_text_box")
    start = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(call(pipeline, latents=start), call(pipeline))
    assert difference(call(pipeline, latents=-start), call(pipeline)) > 1e-3


# ---------------------------------------------------------------- prompts and guidance


@pytest.mark.parametrize("kind", SOME)
def test_guidance_switches_off(built, kind):
    pipeline = built(kind)
    unguided = call(pipeline, guidance_scale=1.0)
    assert torch.equal(unguided, call(pipeline, guidance_scale=0.0))
    assert torch.equal(unguided, call(pipeline, guidance_scale=1.0, negative_prompt="a sun"))
    assert difference(call(pipeline), unguided) > 1e-3


@pytest.mark.parametrize("kind", SOME)
@pytest.mark.parametrize("is_guided", [True, False])
def test_encoded_prompts_do_what_prompts_do(built, kind, is_guided):
    pipeline = built(kind)
    alone = GligenPipeline(None, pipeline.text_encoder, pipeline.tokenizer, None, None)
    words = {"prompt": ["a dog", "a sun"], "negative_prompt": ["a cat", ""]}
    context, negative = alone.encode_prompt(
        words["prompt"],
        do_classifier_free_guidance=is_guided,
        negative_prompt=words["negative_prompt"],
    )
    assert (negative is None) == (not is_guided)
    scale = {"guidance_scale": 7.5 if is_guided else 1.0, "num_images_per_prompt": 2}
    found = call(
        pipeline, prompt=None, prompt_embeds=context, negative_prompt_embeds=negative, **scale
    )
    assert difference(found, call(pipeline, **words, **scale)) <= 1e-5
    repeated, _ = alone.encode_prompt(words["prompt"], num_images_per_prompt=2)
    assert torch.equal(repeated, context.repeat_interleave(2, dim=0))


def test_a_pipeline_without_its_parts_says_so(built):
    alone = GligenPipeline(None, None, None, None, None)
    with pytest.raises(ValueError, match="without vae.*encode_prompt"):
        alone("a dog")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"negative_prompt": "a", "negative_prompt_embeds": torch.zeros(1, 24, 32)}, "not both"),
        (
            {
                "prompt": None,
                "prompt_embeds": torch.zeros(1, 24, 32),
                "negative_prompt_embeds": torch.zeros(2, 24, 32),
            },
            r"\(1, 24, 32\).*\(2, 24, 32\)",
        ),
        ({"callback_steps": 0}, "callback_steps is 0"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"output_type": "jpeg"}, "no output_type 'jpeg'.*latent"),
        ({"generator": [torch.Generator()] * 3}, "3 generators and 1 pictures"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "names 'noise'.*latents"),
        ({"timesteps": [9, 5], "sigmas": [2.0, 1.0]}, "not both"),
        ({"timesteps": [9, 5], "sampler": "plms"}, "'plms' spaces its steps itself"),
        ({"sigmas": [2.0, 1.0]}, "DDIMScheduler takes no sigmas"),
        ({"gligen_phrases": ["a"], "gligen_boxes": [[0, 0, 1, 1]]}, "either a layout"),
        ({"layout": None, "gligen_boxes": [[0, 0, 1, 1]], "gligen_images": []}, "0 pictures and 1"),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 0, 1, 1]],
                "gligen_phrases": ["a"],
                "input_phrases_mask": [1, 0],
            },
            "2 entries for 1 boxes",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 0, 1, 1]],
                "gligen_phrases": ["a"],
                "input_phrases_mask": 2,
            },
            r"entry 2; it must lie in \[0, 1\]",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]],
                "gligen_phrases": ["a"],
                "gligen_images": [picture(1)],
            },
            "stands for the style and the phrase 'a'",
        ),
        (
            {"layout": None, "gligen_boxes": [[0, 1, 0, 1]], "gligen_images": [None]},
            "stands for the style, but no picture",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]],
                "gligen_images": [picture(1)],
                "input_images_mask": 0.5,
            },
            "a mask of 0.5",
        ),
        (
            {
                "layout": None,
                "gligen_boxes": [[0, 1, 0, 1]] * 2,
                "gligen_images": [picture(1)] * 2,
            },
            "so has an earlier one",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(built, changes, words):
    with pytest.raises(ValueError, match=words):
        call(built("generation_text_box"), **changes)


# ---------------------------------------------------------------- callbacks


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


# ---------------------------------------------------------------- schedulers


@pytest.mark.parametrize("name", [entry.name for entry in KarrasDiffusionSchedulers])
def test_every_scheduler_of_diffusers_runs(name):
    pipeline = small_pipeline()
    kind = getattr(diffusers, name)
    options = {"timestep_spacing": "leading"} if "DPMSolverSDE" in name else {}
    try:
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **options)
    except ImportError as error:
        pytest.skip(str(error).strip().split("\n")[0])
    latents = call(pipeline, num_inference_steps=5)
    assert latents.isfinite().all()
    assert difference(call(pipeline, num_inference_steps=5, layout=Layout()), latents) > 1e-4


def test_own_timesteps_and_noise_levels(built):
    pipeline = small_pipeline()
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(4)
    usual = call(pipeline, num_inference_steps=4)
    found = call(pipeline, timesteps=[int(t) for t in scheduler.timesteps])
    assert difference(found, usual) <= 1e-4
    found = call(pipeline, sigmas=scheduler.sigmas.tolist())
    assert difference(found, usual) <= 1e-4
    assert pipeline.num_timesteps == 4
    assert difference(call(pipeline, sigmas=[14.0, 5.0, 1.0, 0.2, 0.0]), usual) > 1e-3


def test_rescaled_guidance_keeps_the_contrast_of_the_conditional_output(built):
    draw = torch.Generator().manual_seed(0)
    guided, conditional = (k * torch.randn(2, 4, 8, 8, generator=draw) for k in (5.0, 1.0))
    whole = rescale(guided, conditional, 1.0)
    torch.testing.assert_close(whole.std((1, 2, 3)), conditional.std((1, 2, 3)))
    torch.testing.assert_close(rescale(guided, conditional, 0.25), 0.75 * guided + 0.25 * whole)
    pipeline = built("generation_text_box")
    outputs = [call(pipeline, guidance_rescale=share) for share in (0.0, 0.5, 1.0)]
    assert torch.equal(outputs[0], call(pipeline))
    assert difference(outputs[1], outputs[0]) > 1e-3
    assert difference(outputs[1], outputs[2]) > 1e-3


# ---------------------------------------------------------------- dtypes, devices, memory


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


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_saved_pipeline_is_loaded_as_it_was(built, kind, tmp_path):
    pipeline = built(kind)
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    # Transformers gives back its usual processor, which rounds a pixel's last bit apart.
    assert difference(call(again), call(pipeline)) <= (1e-5 if "image" in kind else 0)
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            saved = getattr(again, name).state_dict()
            assert all(torch.equal(saved[key], value) for key, value in part.state_dict().items())
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert ("image_encoder" in index) == ("image" in kind)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("kind", FOLDERS)
def test_missing_optional_parts_stay_missing(kind, tmp_path):
    pipeline = small_pipeline(kind)
    parts = ("image_encoder", "image_project", "processor", "safety_checker", "feature_extractor")
    pipeline.register_modules(**dict.fromkeys(parts))
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert all(getattr(again, name) is None for name in parts)
    layout = Layout((Region("a dog", BOXES[0]),))
    assert torch.equal(call(again, layout=layout), call(pipeline, layout=layout))


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_half_precision_folders_and_variants(kind, tmp_path):
    pipeline = small_pipeline(kind).to(dtype=torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    assert (tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    again = GligenPipeline.from_pretrained(tmp_path, variant="fp16", torch_dtype=torch.float16)
    assert again.unet.dtype == again.vae.dtype == again.text_encoder.dtype == torch.float16
    saved = again.unet.state_dict()
    assert all(torch.equal(saved[key], v) for key, v in pipeline.unet.state_dict().items())
    with pytest.raises((OSError, ValueError)):
        GligenPipeline.from_pretrained(tmp_path)
    mixed = GligenPipeline.from_pretrained(
        tmp_path, variant="fp16", torch_dtype={"unet": torch.bfloat16, "default": torch.float32}
    )
    assert mixed.unet.dtype == torch.bfloat16
    assert mixed.vae.dtype == torch.float32


def test_a_plain_model_is_saved_as_a_plain_one(tmp_path):
    parts = {**small_pipeline().components, "unet": small_unet()}
    GligenPipeline(**parts).save_pretrained(tmp_path)
    assert type(DiffusionPipeline.from_pretrained(tmp_path)) is StableDiffusionPipeline


@pytest.mark.parametrize("kind", ["keypoint", "canny", "semantic"])
def test_the_way_out_of_a_refused_folder_works(built, kind, tmp_path, monkeypatch):
    pipeline = built(kind)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="save_adapter") as error:
        pipeline.save_pretrained("folder")
    advised = re.search(
        r"gligen\.weights\.checkpoints\.(save_adapter)\((.*?)\), and", str(error.value)
    )
    assert advised is not None
    assert advised[2] == f"'{kind}.safetensors', pipeline.unet, '{kind}'"
    save_adapter(f"{kind}.safetensors", pipeline.unet, kind)
    GligenPipeline(**{**pipeline.components, "unet": small_unet()}).save_pretrained("base")
    again = load_pipeline(f"{kind}.safetensors", base="base", dtype="float32", device="cpu")
    again.set_progress_bar_config(disable=True)
    assert again.kind == kind
    assert torch.equal(call(again), call(pipeline))


# ---------------------------------------------------------------- other pipelines' parts


def test_a_pipeline_made_from_plain_stable_diffusion_and_back():
    parts = {**small_pipeline().components, "unet": small_unet()}
    plain = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    plain.set_progress_bar_config(disable=True)
    words = {"prompt": "a dog", "num_inference_steps": 2, "output_type": "latent"}
    expected = plain(**words, generator=torch.Generator().manual_seed(3)).images
    ours = GligenPipeline.from_pipe(plain)
    ours.set_progress_bar_config(disable=True)
    assert ours.unet is plain.unet
    found = ours(**words, generator=torch.Generator().manual_seed(3)).images
    assert difference(found, expected) <= 1e-5
    back = StableDiffusionPipeline.from_pipe(ours)
    back.set_progress_bar_config(disable=True)
    again = back(**words, generator=torch.Generator().manual_seed(3)).images
    assert torch.equal(again, expected)
    assert back.config.requires_safety_checker is False


@pytest.mark.parametrize("kind", ["generation_text_box", "generation_text_image_box"])
def test_a_pipeline_made_from_diffusers_gligen(kind):
    from diffusers import StableDiffusionGLIGENPipeline, StableDiffusionGLIGENTextImagePipeline

    is_text = kind == "generation_text_box"
    theirs = StableDiffusionGLIGENPipeline if is_text else StableDiffusionGLIGENTextImagePipeline
    source = small_pipeline(kind)
    parts = source.components
    if not is_text:
        parts["processor"] = CLIPImageProcessorPil()
    ours = GligenPipeline.from_pipe(theirs(**parts, requires_safety_checker=False))
    ours.set_progress_bar_config(disable=True)
    assert torch.equal(call(ours), call(source))


# ---------------------------------------------------------------- the safety checker


class Censor(torch.nn.Module):
    """A checker that objects to every second picture."""

    device, dtype = torch.device("cpu"), torch.float32

    def forward(self, images, clip_input):
        assert clip_input.shape[1:] == (3, 224, 224)
        verdicts = [bool(row % 2) for row in range(len(images))]
        images[np.array(verdicts)] = 0
        return images, verdicts


def test_the_safety_checker_blackens_and_tells(built):
    parts = built("generation_text_box").components
    with pytest.raises(ValueError, match="needs its feature extractor"):
        GligenPipeline(**{**parts, "safety_checker": Censor()})
    parts.update(safety_checker=Censor(), feature_extractor=CLIPImageProcessorPil())
    pipeline = GligenPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    result = pipeline(**inputs(pipeline, num_images_per_prompt=2, output_type="pil"))
    assert result.nsfw_content_detected == [False, True]
    assert np.asarray(result.images[0]).any()
    assert not np.asarray(result.images[1]).any()
    request = Request("a dog", layout_for(pipeline.kind), num_images=2, num_inference_steps=2)
    first, second = pipeline.generate(request).images
    assert np.asarray(first).any()
    assert not np.asarray(second).any()
