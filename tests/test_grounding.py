"""Layouts of every modality through a whole pipeline: each thing in them matters."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gligen.kinds import KINDS
from gligen.layout import Layout, Region
from gligen.person import JOINTS, Person
from gligen.request import Request
from tests.conftest import small_pipeline

BOX, OTHER = (0.1, 0.1, 0.6, 0.6), (0.4, 0.4, 0.9, 0.9)
POSE = tuple((0.2 + 0.03 * i, 0.1 + 0.04 * i) for i in range(len(JOINTS)))
GENERATION = tuple(kind for kind in KINDS if not kind.startswith("inpainting"))


def picture(seed: int, size: tuple[int, int] = (40, 24)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def map_of(kind: str, seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    if kind == "semantic":
        return Image.fromarray(rng.integers(0, 152, (64, 64), np.uint8))
    if kind == "normal":
        angles = rng.uniform(0, 2 * np.pi, (64, 64))
        directions = np.stack([np.cos(angles) * 0.6, np.sin(angles) * 0.6, 0 * angles + 0.8], -1)
        return Image.fromarray(((directions + 1) * 127.5).astype(np.uint8))
    return Image.fromarray(rng.integers(0, 200, (64, 64), np.uint8)).convert("RGB")


def layout_for(kind: str) -> Layout:
    if kind == "keypoint":
        return Layout(persons=(Person(POSE),))
    if "box" in kind:
        image = picture(1) if "image" in kind else None
        return Layout((Region("a dog", BOX, image), Region("a sun", OTHER)))
    return Layout(map=map_of(kind))


def request_for(kind: str, layout: Layout, **options) -> Request:
    usual = {"num_inference_steps": 2, "sampler": "ddim", "seed": 3, "gate_schedule": 0.5}
    if kind.startswith("inpainting"):
        usual["inpaint_image"] = picture(9, (64, 64))
    return Request("a field", layout, **usual | options)


def latents(pipeline, request: Request) -> torch.Tensor:
    *_, step, _ = pipeline.stream(request)
    return step.latents


@pytest.fixture(scope="module")
def pipelines():
    built = {}

    def build(kind):
        if kind not in built:
            built[kind] = small_pipeline(kind)
        return built[kind]

    return build


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_changes_the_picture(pipelines, kind):
    pipeline = pipelines(kind)
    assert pipeline.kind == kind
    layout = layout_for(kind)
    grounded = latents(pipeline, request_for(kind, layout))
    plain = latents(pipeline, request_for(kind, layout, gate_schedule=0.0))
    assert (grounded - plain).abs().max() > 1e-3


@pytest.mark.parametrize("kind", GENERATION)
def test_no_layout_is_plain_generation(pipelines, kind):
    pipeline = pipelines(kind)
    layout = layout_for(kind)
    empty = latents(pipeline, request_for(kind, Layout()))
    switched_off = latents(pipeline, request_for(kind, layout, gate_schedule=0.0))
    assert torch.equal(empty, switched_off)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("generation_text_image_box", lambda layout: with_region(layout, image=picture(2))),
        ("generation_text_image_box", lambda layout: with_region(layout, image=None)),
        ("generation_text_image_box", lambda layout: with_region(layout, phrase="")),
        ("generation_text_image_box", lambda layout: with_region(layout, phrase="", image=None)),
        ("generation_text_image_box", lambda layout: with_region(layout, image_weight=0.5)),
        ("generation_text_image_box", lambda layout: with_region(layout, phrase_weight=0.5)),
        ("generation_text_image_box", lambda layout: replace(layout, style=picture(5))),
        ("inpainting_text_image_box", lambda layout: with_region(layout, image=picture(2))),
        ("inpainting_text_image_box", lambda layout: replace(layout, style=picture(5))),
        ("keypoint", lambda layout: Layout(persons=(*layout.persons, Person(POSE[::-1])))),
        ("keypoint", lambda layout: Layout(persons=(Person((None, *POSE[1:])),))),
        ("keypoint", lambda layout: Layout(persons=(Person((*POSE[:-1], (0.9, 0.1))),))),
        *((kind, lambda layout, kind=kind: Layout(map=map_of(kind, 1))) for kind in KINDS[5:]),
    ],
)
def test_every_part_of_a_layout_matters(pipelines, kind, change):
    pipeline, layout = pipelines(kind), layout_for(kind)
    before = latents(pipeline, request_for(kind, layout))
    after = latents(pipeline, request_for(kind, change(layout)))
    assert (before - after).abs().max() > 1e-4


def with_region(layout: Layout, **changes) -> Layout:
    return Layout((replace(layout.regions[0], **changes), *layout.regions[1:]))


def test_weight_zero_is_absence(pipelines):
    kind = "generation_text_image_box"
    pipeline, layout = pipelines(kind), layout_for(kind)
    absent = latents(pipeline, request_for(kind, with_region(layout, image=None)))
    silenced = latents(pipeline, request_for(kind, with_region(layout, image_weight=0.0)))
    assert torch.equal(absent, silenced)


def test_both_style_boxes_and_both_croppings_can_be_had(pipelines):
    kind = "generation_text_image_box"
    layout = replace(layout_for(kind), style=picture(5))
    outputs = [
        latents(pipelines(kind), request_for(kind, layout, **options))
        for options in ({}, {"style_box": "space"}, {"crop_references": True})
    ]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-4
    assert (outputs[0] - outputs[2]).abs().max() > 1e-4


def test_pictures_are_encoded_once_and_only_when_used(pipelines, request):
    kind = "generation_text_image_box"
    pipeline = pipelines(kind)
    calls = []
    hook = pipeline.image_encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    request.addfinalizer(hook.remove)
    latents(pipeline, request_for(kind, Layout((Region("a dog", BOX),))))
    assert not calls
    image = picture(1)
    twice = Layout((Region("", BOX, image), Region("a sun", OTHER, image.copy())))
    latents(pipeline, request_for(kind, twice, num_images=2))
    assert len(calls) == 1


def test_pictures_without_the_parts_that_read_them(pipelines):
    kind = "generation_text_image_box"
    pipeline = small_pipeline(kind)
    pipeline.register_modules(image_encoder=None)
    with pytest.raises(ValueError, match="image_encoder, image_project, processor"):
        latents(pipeline, request_for(kind, layout_for(kind)))
    latents(pipeline, request_for(kind, Layout((Region("a dog", BOX),))))


@pytest.mark.parametrize("kind", [kind for kind in GENERATION if "box" not in kind])
def test_boxes_are_refused_where_they_cannot_be_followed(pipelines, kind):
    with pytest.raises(ValueError, match="does not read boxes"):
        latents(pipelines(kind), request_for(kind, Layout((Region("a dog", BOX),))))


def test_maps_and_no_maps_do_not_go_into_one_batch(pipelines):
    layouts = [layout_for("canny"), Layout()]
    with pytest.raises(ValueError, match="Of 2 layouts 1 have a map"):
        pipelines("canny")(["a", "b"], layout=layouts, num_inference_steps=1)


@pytest.mark.parametrize("kind", KINDS[4:])
def test_a_batch_of_layouts_equals_each_alone(pipelines, kind):
    pipeline = pipelines(kind)
    pipeline.set_progress_bar_config(disable=True)
    other = (
        Layout(persons=(Person(POSE[::-1]),)) if kind == "keypoint" else Layout(map=map_of(kind, 1))
    )
    layouts = [layout_for(kind), other]

    def run(prompts, layouts, seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return pipeline(
            prompts,
            layout=layouts,
            num_inference_steps=2,
            gligen_scheduled_sampling_beta=0.5,
            generator=generators,
            output_type="latent",
        ).images

    together = run(["a field", "a sea"], layouts, [1, 2])
    for index, (prompt, layout) in enumerate(zip(["a field", "a sea"], layouts, strict=True)):
        alone = run([prompt], [layout], [index + 1])
        assert (together[index] - alone[0]).abs().max() <= 1e-5 * alone.abs().max()


@pytest.mark.parametrize("kind", KINDS[5:])
def test_requests_through_one_model_leave_it_as_it_was(kind):
    """The original's second picture ignores its map: the first run has overwritten a weight."""
    used = small_pipeline(kind)
    before = {name: tensor.clone() for name, tensor in used.unet.state_dict().items()}
    for seed in range(5):
        request = request_for(kind, Layout(map=map_of(kind, seed)), seed=seed)
        fresh = latents(small_pipeline(kind), request)
        assert torch.equal(latents(used, request), fresh)
    for name, tensor in used.unet.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_maps_of_another_size_of_picture(pipelines):
    for kind in ("hed", "semantic"):
        request = request_for(kind, layout_for(kind), width=96, height=64)
        assert latents(pipelines(kind), request).shape[2:] == (8, 12)


def test_without_the_bases_convolution_grounding_cannot_end():
    pipeline = small_pipeline("canny")
    pipeline.unet.conv_in.base_weight = None
    layout = layout_for("canny")
    latents(pipeline, request_for("canny", layout, gate_schedule=1.0))
    with pytest.raises(ValueError, match="first convolution of the base.*tau to 1"):
        latents(pipeline, request_for("canny", layout, gate_schedule=0.5))


def test_the_map_enters_only_while_gates_are_open(pipelines):
    pipeline = pipelines("depth")
    seen = []
    hook = pipeline.unet.conv_in.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    try:
        latents(pipeline, request_for("depth", layout_for("depth"), num_inference_steps=4))
    finally:
        hook.remove()
    assert seen == [12, 12, 4, 4]


@pytest.mark.parametrize(("kind", "tau"), [("generation_text_box", 0.3), ("hed", 0.9)])
def test_without_a_schedule_the_kinds_own_is_used_and_told(pipelines, kind, tau):
    result = pipelines(kind).generate(request_for(kind, layout_for(kind), gate_schedule=None))
    assert result.settings(0)["gate_schedule"] == tau
    given = pipelines(kind).generate(request_for(kind, layout_for(kind), gate_schedule=tau))
    assert result.images[0] == given.images[0]
