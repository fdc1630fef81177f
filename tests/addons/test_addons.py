"""Add-ons together, beside offloading, other attention processors, and saved pipelines."""

import pytest
import torch
from diffusers import (
    ControlNetModel,
    MultiControlNetModel,
    StableDiffusionGLIGENPipeline,
    T2IAdapter,
)
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from gligen.addons.inputs import AddOns
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from tests.addon_models import (
    LAYOUT,
    controlnet,
    far,
    ip_adapter_state,
    latents,
    lora_state,
    near,
    photo,
    t2i_adapter,
    vision_model,
)
from tests.conftest import small_pipeline

PICTURES = {
    "control_image": photo(),
    "adapter_image": photo(seed=1),
    "ip_adapter_image": photo(seed=2),
}


def add_everything(pipeline) -> None:
    pipeline.controlnet = controlnet(pipeline.unet)
    pipeline.adapter = t2i_adapter()
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet))
    pipeline.ip_adapter_image_encoder = vision_model()
    generator = torch.Generator().manual_seed(0)
    pipeline.load_textual_inversion({"<cat-toy>": torch.randn(2, 32, generator=generator)})


def test_everything_at_once_and_then_nothing(pipeline):
    options = {"prompt": "a <cat-toy>"}
    before = latents(pipeline, **options)
    add_everything(pipeline)
    made = latents(pipeline, **options, **PICTURES)
    for left_out in PICTURES:
        fewer = {name: picture for name, picture in PICTURES.items() if name != left_out}
        assert far(latents(pipeline, **options, **fewer), made)
    for changes in (
        {"cross_attention_kwargs": {"scale": 0.0}},
        {"layout": Layout()},
        {"prompt": "a dog"},
    ):
        assert far(latents(pipeline, **{**options, **PICTURES, **changes}), made)
    assert torch.equal(latents(pipeline, **options, **PICTURES), made)
    pipeline.unload_ip_adapter()
    pipeline.unload_lora_weights()
    pipeline.unload_textual_inversion()
    pipeline.controlnet = pipeline.adapter = None
    assert torch.equal(latents(pipeline, **options), before)


@pytest.mark.parametrize("kind", ["inpainting_text_box", "canny", "keypoint"])
def test_every_task_takes_add_ons(kind):
    pipeline = small_pipeline(kind)
    options: dict = {"layout": Layout()}
    if kind == "inpainting_text_box":
        options = {"layout": LAYOUT, "gligen_inpaint_image": photo()}
    if kind == "canny":
        options = {"layout": Layout(map=photo().convert("L").point(lambda x: x // 4))}
    before = latents(pipeline, **options)
    add_everything(pipeline)
    for name, picture in PICTURES.items():
        assert far(latents(pipeline, **options, **{name: picture}), before)
    pipeline.unload_ip_adapter()
    pipeline.unload_lora_weights()
    pipeline.unload_textual_inversion()
    pipeline.controlnet = pipeline.adapter = None
    assert torch.equal(latents(pipeline, **options), before)


def test_a_run_that_is_abandoned_leaves_nothing(pipeline):
    add_everything(pipeline)
    request = Request(prompt="a dog", layout=LAYOUT, num_inference_steps=3, seed=1)
    before = latents(pipeline)
    stream = pipeline.stream(request, AddOns(**PICTURES))
    next(stream)
    stream.close()
    assert torch.equal(latents(pipeline), before)


def test_a_call_that_fails_leaves_every_strength(pipeline):
    add_everything(pipeline)
    before = latents(pipeline)

    def fail(*_):
        raise RuntimeError("stop")

    handle = pipeline.unet.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="stop"):
        latents(pipeline, **PICTURES, cross_attention_kwargs={"scale": 0.3})
    handle.remove()
    assert torch.equal(latents(pipeline), before)


@pytest.mark.parametrize("slices", ["auto", "max", 1])
def test_attention_slicing_keeps_the_grounding(pipeline, slices):
    before = latents(pipeline)
    ungrounded = latents(pipeline, layout=Layout())
    processors = dict(pipeline.unet.attn_processors)
    pipeline.enable_attention_slicing(slices)
    fusers = {k: p for k, p in pipeline.unet.attn_processors.items() if "fuser" in k}
    assert fusers
    assert all(type(p) is not type(processors[name]) for name, p in fusers.items())
    assert near(latents(pipeline), before)
    assert near(latents(pipeline, layout=Layout()), ungrounded)
    pipeline.disable_attention_slicing()
    assert torch.equal(latents(pipeline), before)


def test_other_attention_processors_keep_the_grounding(pipeline):
    before = latents(pipeline)
    pipeline.unet.set_attn_processor(AttnProcessor())
    assert near(latents(pipeline), before)
    assert far(latents(pipeline), latents(pipeline, layout=Layout()))
    pipeline.unet.set_attn_processor(AttnProcessor2_0())
    assert torch.equal(latents(pipeline), before)
    pipeline.unet.set_default_attn_processor()
    assert near(latents(pipeline), before)


def test_an_ip_adapter_beside_attention_slicing(pipeline):
    pipeline.enable_attention_slicing(1)
    sliced = latents(pipeline)
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet))
    pipeline.ip_adapter_image_encoder = vision_model()
    assert torch.equal(latents(pipeline), sliced)
    assert far(latents(pipeline, ip_adapter_image=photo()), sliced)
    pipeline.unload_ip_adapter()
    assert torch.equal(latents(pipeline), sliced)
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet))
    pipeline.enable_attention_slicing(1)
    with pytest.raises(ValueError, match="load the IP-Adapter after setting it"):
        latents(pipeline, ip_adapter_image=photo())


def test_offloading_knows_every_model(pipeline):
    add_everything(pipeline)
    models = {n for n, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    in_sequence = pipeline.model_cpu_offload_seq.split("->")
    assert models - set(in_sequence) == {"controlnet"}  # takes turns with the UNet
    order = [in_sequence.index(n) for n in ("text_encoder", "ip_adapter_image_encoder", "adapter")]
    assert order == sorted(order)
    assert max(order) < in_sequence.index("unet") < in_sequence.index("vae")


def test_add_ons_run_under_offload_hooks(pipeline):
    """The hooks move nothing here, from CPU to CPU, but are called in their order."""
    add_everything(pipeline)
    before = latents(pipeline, prompt="a <cat-toy>", **PICTURES)
    pipeline.enable_model_cpu_offload(device="cpu")
    assert len(pipeline._all_hooks) == 6
    assert torch.equal(latents(pipeline, prompt="a <cat-toy>", **PICTURES), before)
    pipeline.remove_all_hooks()
    pipeline.unload_lora_weights()
    assert far(latents(pipeline, prompt="a <cat-toy>", **PICTURES), before)


def test_networks_are_saved_and_loaded_with_the_pipeline(pipeline, tmp_path):
    pipeline.controlnet = controlnet(pipeline.unet)
    pipeline.adapter = t2i_adapter()
    pipeline.ip_adapter_image_encoder = vision_model()
    pipeline.save_pretrained(tmp_path)
    again = GligenPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert isinstance(again.controlnet, ControlNetModel)
    assert isinstance(again.adapter, T2IAdapter)
    options = {name: PICTURES[name] for name in ("control_image", "adapter_image")}
    assert torch.equal(latents(again, **options), latents(pipeline, **options))
    assert again.ip_adapter_image_encoder is not None
    again.controlnet = again.adapter = again.ip_adapter_image_encoder = None
    again.save_pretrained(tmp_path / "less")
    assert not {"controlnet", "adapter"} & {path.name for path in (tmp_path / "less").iterdir()}


def test_a_folder_without_networks_loads_in_diffusers(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    assert StableDiffusionGLIGENPipeline.from_pretrained(tmp_path).unet is not None
    assert not any(n in (tmp_path / "model_index.json").read_text() for n in ("controlnet", "ip_"))


def test_a_list_of_controlnets_is_joined(pipeline):
    nets = [controlnet(pipeline.unet), controlnet(pipeline.unet, seed=1)]
    joined = GligenPipeline(**pipeline.components, controlnet=nets)
    assert isinstance(joined.controlnet, MultiControlNetModel)
    assert list(joined.controlnet.nets) == nets
    pipeline.controlnet = nets
    assert isinstance(pipeline.controlnet, MultiControlNetModel)
