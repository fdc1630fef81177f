import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    MultiControlNetModel,
    StableDiffusionAdapterPipeline,
    StableDiffusionControlNetPipeline,
)
from PIL import Image

from gligen.addons.control import Control, controlnet_from_unet
from gligen.addons.inputs import AddOns
from gligen.holes import plan_hole
from gligen.inpainting import picture_in_area
from gligen.layout import Layout
from gligen.request import Request
from tests.addon_models import LAYOUT, controlnet, far, latents, near, photo, t2i_adapter
from tests.conftest import small_pipeline, small_unet

HALF = Layout.from_lists(["a dog"], [(0.1, 0.1, 0.6, 0.6)])


@pytest.fixture
def controlled(pipeline):
    pipeline.controlnet = controlnet(pipeline.unet)
    return pipeline


@pytest.fixture
def adapted(pipeline):
    pipeline.adapter = t2i_adapter()
    return pipeline


class Seen:
    """What a network was called with, call by call."""

    def __init__(self, module: torch.nn.Module):
        self.calls: list[dict] = []
        module.register_forward_pre_hook(self._record, with_kwargs=True)

    def _record(self, module, args, kwargs) -> None:
        named = dict(zip(("sample", "timestep"), args, strict=False))
        # Lists are copied: the UNet takes the adapter's features out of the one it is given.
        copies = {k: list(v) if isinstance(v, list) else v for k, v in kwargs.items()}
        self.calls.append(named | copies)


def test_diffusers_cannot_copy_a_gated_unet_and_ours_copies_its_base():
    for kind in ("generation_text_box", "inpainting_text_box", "canny"):
        unet = small_pipeline(kind).unet
        with pytest.raises(RuntimeError, match="Unexpected key"):
            ControlNetModel.from_unet(unet)
        before = {key: value.clone() for key, value in unet.state_dict().items()}
        net = controlnet_from_unet(unet)
        assert net.conv_in.in_channels == 4
        copied = 0
        for key, value in net.state_dict().items():
            if key.startswith(("down_blocks.", "mid_block.", "time_embedding.")):
                assert torch.equal(value, before[key])
                copied += 1
        assert copied > 50
        own = before.get("conv_in.base_weight", before["conv_in.weight"])[:, :4]
        assert torch.equal(net.conv_in.weight, own)
        net.conv_in.weight.data.zero_()
        next(net.down_blocks.parameters()).data.zero_()
        assert all(torch.equal(v, before[k]) for k, v in unet.state_dict().items())


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_a_control_image_acts_with_and_without_grounding_and_leaves_nothing(controlled, tau):
    options = {"gligen_scheduled_sampling_beta": tau}
    net, controlled.controlnet = controlled.controlnet, None
    before = latents(controlled, **options)
    controlled.controlnet = net
    made = latents(controlled, control_image=photo(), **options)
    assert far(made, before)
    assert far(latents(controlled, control_image=photo(seed=1), **options), made)
    assert torch.equal(latents(controlled, **options), before)
    controlled.controlnet = None
    assert torch.equal(latents(controlled, **options), before)


def test_grounding_acts_beside_a_control_image(controlled):
    made = latents(controlled, control_image=photo())
    swapped = Layout.from_lists(LAYOUT.phrases[::-1], LAYOUT.boxes)
    assert far(latents(controlled, control_image=photo(), layout=swapped), made)
    assert far(latents(controlled, control_image=photo(), layout=Layout()), made)


def diffusers_own(build, ours, **add_on):
    """Build diffusers' pipeline around the frozen weights of ours, with the same add-on."""
    parts = small_pipeline()
    unet = small_unet()
    unet.load_state_dict({key: ours.unet.state_dict()[key] for key in unet.state_dict()})
    theirs = build(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=unet,
        scheduler=parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **add_on,
    )
    theirs.set_progress_bar_config(disable=True)
    return theirs


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_scale": 1.0},
        {"guess_mode": True},
        {"controlnet_conditioning_scale": 0.4},
        {"control_guidance_start": 0.25, "control_guidance_end": 0.75},
        {"num_images_per_prompt": 2},
    ],
)
def test_without_grounding_it_is_diffusers_own_pipeline(controlled, changes):
    theirs = diffusers_own(
        StableDiffusionControlNetPipeline, controlled, controlnet=controlled.controlnet
    )
    options = {
        "num_inference_steps": 4,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latent",
        **changes,
    }
    expected = theirs("a dog", image=photo(), **options).images
    made = latents(
        controlled,
        control_image=photo(),
        layout=Layout(),
        generator=torch.Generator().manual_seed(1),
        **changes,
    )
    assert near(made, expected)


@pytest.mark.parametrize("kind", ["generation_text_box", "inpainting_text_box", "canny"])
def test_the_controlnet_sees_the_latents_alone_and_nothing_of_grounding(kind):
    pipeline = small_pipeline(kind)
    pipeline.controlnet = controlnet(pipeline.unet)
    seen, unet_seen = Seen(pipeline.controlnet), Seen(pipeline.unet)
    options = {"layout": HALF}
    if kind == "inpainting_text_box":
        options["gligen_inpaint_image"] = photo()
    if kind == "canny":
        options["layout"] = Layout(map=photo().convert("L").point(lambda x: x // 4))
    before = latents(pipeline, **options)
    made = latents(
        pipeline,
        control_image=photo(seed=3),
        cross_attention_kwargs={"scale": 1.0},
        **options,
    )
    assert far(made, before)
    grounded = unet_seen.calls[-4]
    assert grounded["sample"].shape[1] == pipeline.unet.config.in_channels
    assert "gligen" in grounded["cross_attention_kwargs"]
    assert len(seen.calls) == 4
    for call, unet_call in zip(seen.calls, unet_seen.calls[-4:], strict=True):
        assert torch.equal(call["sample"], unet_call["sample"][:, :4])
        assert torch.equal(call["encoder_hidden_states"], unet_call["encoder_hidden_states"])
        assert call["timestep"] == unet_call["timestep"]
        assert call.get("cross_attention_kwargs") is None


def test_both_halves_of_guidance_are_controlled(controlled):
    seen, unet_seen = Seen(controlled.controlnet), Seen(controlled.unet)
    latents(controlled, control_image=photo(), num_images_per_prompt=3)
    assert seen.calls[0]["sample"].shape[0] == seen.calls[0]["controlnet_cond"].shape[0] == 6
    for half in unet_seen.calls[0]["mid_block_additional_residual"].chunk(2):
        assert half.abs().max() > 1e-3
    latents(controlled, control_image=photo(), guidance_scale=1.0)
    assert seen.calls[-1]["sample"].shape[0] == 1


def test_guess_mode_controls_the_conditional_half_alone(controlled):
    seen, unet_seen = Seen(controlled.controlnet), Seen(controlled.unet)
    latents(controlled, control_image=photo(), guess_mode=True)
    assert seen.calls[0]["sample"].shape[0] == 1
    conditional = unet_seen.calls[0]["encoder_hidden_states"][1:]
    assert torch.equal(seen.calls[0]["encoder_hidden_states"], conditional)
    call = unet_seen.calls[0]
    for added in (*call["down_block_additional_residuals"], call["mid_block_additional_residual"]):
        assert not added[0].any()
        assert added[1].abs().max() > 1e-3


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.0, 1.0, [0, 1, 2, 3]), (0.0, 0.5, [0, 1]), (0.5, 1.0, [2, 3]), (0.2, 0.8, [1, 2])],
)
def test_a_controlnet_acts_in_its_share_of_the_steps(controlled, start, end, expected):
    seen, unet_seen = Seen(controlled.controlnet), Seen(controlled.unet)
    latents(
        controlled,
        control_image=photo(),
        control_guidance_start=start,
        control_guidance_end=end,
    )
    timesteps = [call["timestep"] for call in unet_seen.calls]
    assert [call["timestep"] for call in seen.calls] == [timesteps[step] for step in expected]
    with_residuals = ["mid_block_additional_residual" in call for call in unet_seen.calls]
    assert with_residuals == [step in expected for step in range(4)]


def test_both_evaluations_of_a_step_are_controlled(controlled):
    seen = Seen(controlled.controlnet)
    latents(controlled, control_image=photo(), sampler="plms", control_guidance_end=0.25)
    assert len(seen.calls) == 2


def test_a_scale_of_zero_is_no_control(controlled):
    seen = Seen(controlled.controlnet)
    made = latents(controlled, control_image=photo(), controlnet_conditioning_scale=0.0)
    assert near(made, latents(controlled))
    assert not seen.calls


def test_several_controlnets_add_up(pipeline):
    first, second = controlnet(pipeline.unet), controlnet(pipeline.unet, seed=1)
    pipeline.controlnet = MultiControlNetModel([first, second])
    images = [photo(), photo(seed=1)]
    both = latents(pipeline, control_image=images)
    halved = latents(pipeline, control_image=images, controlnet_conditioning_scale=[1.0, 0.5])
    alone = latents(pipeline, control_image=images, controlnet_conditioning_scale=[1.0, 0.0])
    assert far(both, halved)
    assert far(halved, alone)
    early = latents(pipeline, control_image=images, control_guidance_end=[1.0, 0.5])
    assert far(early, both)
    assert far(early, alone)
    pipeline.controlnet = first
    assert torch.equal(latents(pipeline, control_image=photo()), alone)
    pipeline.controlnet = MultiControlNetModel([first, second])
    with pytest.raises(ValueError, match="There are 2 ControlNets"):
        latents(pipeline, control_image=photo())
    with pytest.raises(ValueError, match="3 values of controlnet_conditioning_scale"):
        latents(pipeline, control_image=images, controlnet_conditioning_scale=[1.0] * 3)


def test_networks_add_up_exactly():
    unet = small_unet()
    nets = [controlnet(unet), controlnet(unet, seed=1)]
    generator = torch.Generator().manual_seed(0)
    x, context, picture = (
        torch.randn(shape, generator=generator)
        for shape in [(2, 4, 8, 8), (2, 5, 32), (1, 3, 64, 64)]
    )

    def residuals(net, number, scales):
        control = Control(net, (picture,) * number, (scales,), guess_mode=False)
        with torch.no_grad():
            return control(x, 500, context, 0)

    both = residuals(MultiControlNetModel(nets), 2, (1.0, 0.5))
    parts = [residuals(nets[0], 1, (1.0,)), residuals(nets[1], 1, (0.5,))]
    assert torch.equal(both.middle, parts[0].middle + parts[1].middle)
    for sum_, a, b in zip(both.skips, parts[0].skips, parts[1].skips, strict=True):
        assert torch.equal(sum_, a + b)


def test_a_control_image_lies_over_the_whole_picture_that_is_repainted():
    pipeline = small_pipeline("inpainting_text_box")
    pipeline.controlnet = controlnet(pipeline.unet)
    seen = Seen(pipeline.controlnet)
    picture, control = photo(256, 192), photo(256, 192, seed=1)
    box = Layout.from_lists(["a dog"], [(0.6, 0.6, 0.8, 0.8)])
    hole = plan_hole(pipeline._components, picture, None, box, 0, 1.0)
    assert hole.area.crop_size != picture.size
    latents(pipeline, layout=box, gligen_inpaint_image=picture, control_image=control)
    expected = np.asarray(picture_in_area(control, hole.area), np.float32) / 255
    found = seen.calls[0]["controlnet_cond"][0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < 1e-6
    with pytest.raises(ValueError, match=r"is \(64, 64\), and the picture to inpaint \(256, 192\)"):
        latents(pipeline, layout=box, gligen_inpaint_image=picture, control_image=photo())


def test_one_control_image_for_each_prompt(controlled):
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    batch = latents(
        controlled,
        prompt=["a dog", "a cat"],
        control_image=[photo(), photo(seed=1)],
        generator=generators,
    )
    alone = latents(
        controlled,
        prompt="a cat",
        control_image=photo(seed=1),
        generator=torch.Generator().manual_seed(2),
    )
    assert near(batch[1:], alone)
    tensor = torch.from_numpy(np.array(photo())).permute(2, 0, 1)[None] / 255
    assert near(
        latents(controlled, control_image=tensor), latents(controlled, control_image=photo())
    )
    with pytest.raises(ValueError, match="3 control or adapter images and 2 pictures"):
        latents(controlled, num_images_per_prompt=2, control_image=[photo()] * 3)


def test_a_picture_without_its_network_is_refused(pipeline):
    with pytest.raises(ValueError, match="no ControlNet"):
        latents(pipeline, control_image=photo())
    with pytest.raises(ValueError, match="no T2I-Adapter"):
        latents(pipeline, adapter_image=photo())
    for start, end in ((0.5, 0.5), (-0.1, 1.0), (0.0, 1.1)):
        with pytest.raises(ValueError, match="two shares from 0 to 1"):
            AddOns(control_start=start, control_end=end)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_an_adapter_image_acts_with_and_without_grounding_and_leaves_nothing(pipeline, tau):
    options = {"gligen_scheduled_sampling_beta": tau}
    before = latents(pipeline, **options)
    pipeline.adapter = t2i_adapter()
    made = latents(pipeline, adapter_image=photo(), **options)
    assert far(made, before)
    assert torch.equal(latents(pipeline, adapter_image=photo(), **options), made)
    assert far(latents(pipeline, adapter_image=photo(seed=1), **options), made)
    assert far(latents(pipeline, adapter_image=photo(), adapter_conditioning_scale=0.5), made)
    off = latents(pipeline, adapter_image=photo(), adapter_conditioning_scale=0.0, **options)
    assert near(off, before)
    assert torch.equal(latents(pipeline, **options), before)


def test_every_evaluation_gets_all_features_for_both_halves(adapted):
    seen = Seen(adapted.unet)
    latents(adapted, adapter_image=photo(), num_images_per_prompt=2)
    first = seen.calls[0]["down_intrablock_additional_residuals"]
    assert [tuple(feature.shape) for feature in first] == [(4, 32, 8, 8), (4, 64, 4, 4)]
    for call in seen.calls:
        again = call["down_intrablock_additional_residuals"]
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("changes", [{}, {"guidance_scale": 1.0}, {"num_images_per_prompt": 2}])
def test_an_adapter_without_grounding_is_diffusers_own(adapted, changes):
    theirs = diffusers_own(StableDiffusionAdapterPipeline, adapted, adapter=adapted.adapter)
    options = {
        "num_inference_steps": 4,
        "height": 64,
        "width": 64,
        "output_type": "latent",
        "adapter_conditioning_scale": 0.7,
        **changes,
    }
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    expected = theirs("a dog", image=photo(), generator=generators[0], **options).images
    made = latents(
        adapted, layout=Layout(), adapter_image=photo(), generator=generators[1], **options
    )
    assert near(made, expected)


def test_a_grey_adapter_reads_grey(pipeline):
    pipeline.adapter = t2i_adapter(in_channels=1)
    made = latents(pipeline, adapter_image=photo().convert("L"))
    assert far(made, latents(pipeline))
    assert torch.equal(latents(pipeline, adapter_image=photo()), made)


def test_a_size_that_the_adapter_cannot_halve_is_refused(adapted):
    with pytest.raises(ValueError, match="multiples of 16"):
        latents(adapted, adapter_image=photo(), width=72)


def test_a_request_takes_control_and_adapter_images(controlled):
    controlled.adapter = t2i_adapter()
    request = Request(prompt="a dog", layout=LAYOUT, num_inference_steps=2, seed=1)

    def made(**inputs) -> np.ndarray:
        return np.asarray(controlled.generate(request, AddOns(**inputs)).images[0], np.int16)

    plain = made()
    assert (made(control_image=photo()) != plain).any()
    assert (made(adapter_image=Image.new("RGB", (64, 64), "red")) != plain).any()
    assert (made() == plain).all()
