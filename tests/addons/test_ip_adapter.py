from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import save_file

from gligen.addons.inputs import AddOns
from gligen.addons.ip_adapter import PictureAttention, _clip_pixels
from gligen.guidance import GuidedModel
from gligen.layout import Layout
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.unet import predict
from tests.addon_models import (
    LAYOUT,
    faceid_state,
    far,
    ip_adapter_state,
    latents,
    near,
    photo,
    plus_state,
    vision_model,
)
from tests.conftest import small_pipeline


@pytest.fixture
def adapted(pipeline) -> GligenPipeline:
    """A pipeline with an IP-Adapter and its image encoder."""
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet), image_encoder_folder=None)
    pipeline.ip_adapter_image_encoder = vision_model()
    return pipeline


def features(pictures: int = 1, seed: int = 0) -> list[torch.Tensor]:
    """Prepared features of one IP-Adapter: of the empty picture, and of pictures."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, pictures, 24, generator=generator)]


def test_diffusers_loader_crashes_on_the_gated_layers_and_ours_leaves_them(pipeline):
    state = ip_adapter_state(pipeline.unet)
    with pytest.raises((RuntimeError, KeyError, ValueError)):
        pipeline.unet._load_ip_adapter_weights([state])
    fresh = small_pipeline()
    before = dict(fresh.unet.attn_processors)
    assert any("fuser" in name for name in before)
    fresh.load_ip_adapter(state, image_encoder_folder=None)
    for name, processor in fresh.unet.attn_processors.items():
        if name.endswith("attn2.processor"):
            assert isinstance(processor, PictureAttention)
        else:
            assert processor is before[name]


def test_without_grounding_it_is_diffusers_own_ip_adapter():
    ours, parts = small_pipeline(), small_pipeline()
    state, plain = ip_adapter_state(ours.unet), Layout()
    theirs = StableDiffusionPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=type(ours.unet).from_config(ours.unet.config, attention_type="default"),
        scheduler=parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    own = ours.unet.state_dict()
    theirs.unet.load_state_dict({k: own[k] for k in theirs.unet.state_dict()})
    theirs.set_progress_bar_config(disable=True)
    theirs.unet.eval()
    theirs.load_ip_adapter(state, subfolder="", weight_name="", image_encoder_folder=None)
    ours.load_ip_adapter(state, image_encoder_folder=None)
    for pipeline in (ours, theirs):
        pipeline.set_ip_adapter_scale(0.6)
    options = {"num_inference_steps": 4, "output_type": "latent"}
    made = [
        pipeline(
            "a dog",
            ip_adapter_image_embeds=features(),
            generator=torch.Generator().manual_seed(1),
            **options,
        ).images
        for pipeline in (ours, theirs)
    ]
    assert near(*made)
    assert far(made[0], latents(ours, layout=plain))


def test_a_picture_acts_and_its_absence_and_unloading_leave_nothing(pipeline):
    before = latents(pipeline)
    keys = list(pipeline.unet.state_dict())
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet), image_encoder_folder=None)
    pipeline.ip_adapter_image_encoder = vision_model()
    assert near(latents(pipeline), before)
    first = latents(pipeline, ip_adapter_image=photo())
    assert far(first, before)
    assert far(latents(pipeline, ip_adapter_image=photo(seed=1)), first)
    assert torch.equal(latents(pipeline, ip_adapter_image=photo()), first)
    pipeline.unload_ip_adapter()
    assert torch.equal(latents(pipeline), before)
    assert list(pipeline.unet.state_dict()) == keys
    assert pipeline.ip_adapter_image_encoder is None
    assert all(isinstance(p, AttnProcessor2_0) for p in pipeline.unet.attn_processors.values())


def test_grounding_still_acts_beside_a_picture(adapted):
    options = {"ip_adapter_image": photo()}
    grounded = latents(adapted, **options)
    assert far(latents(adapted, gligen_scheduled_sampling_beta=0.0, **options), grounded)
    other = Layout.from_lists(LAYOUT.phrases[::-1], LAYOUT.boxes)
    assert far(latents(adapted, layout=other, **options), grounded)


def test_the_strength_of_the_picture(adapted):
    full = latents(adapted, ip_adapter_image=photo())
    adapted.set_ip_adapter_scale(0.5)
    half = latents(adapted, ip_adapter_image=photo())
    assert far(half, full)
    adapted.set_ip_adapter_scale(0.0)
    assert near(latents(adapted, ip_adapter_image=photo()), latents(adapted))
    adapted.set_ip_adapter_scale({"up": {"block_1": [1.0, 0.0]}})
    one_layer = latents(adapted, ip_adapter_image=photo())
    assert far(one_layer, half)
    assert far(one_layer, latents(adapted))


def test_the_unconditional_half_sees_the_empty_picture(adapted):
    embeds = features()
    guided = latents(adapted, ip_adapter_image_embeds=embeds)
    other_empty = [torch.cat([embeds[0][1:], embeds[0][1:]])]
    assert far(latents(adapted, ip_adapter_image_embeds=other_empty), guided)
    unguided = latents(adapted, ip_adapter_image_embeds=[embeds[0][1:]], guidance_scale=1.0)
    assert far(unguided, latents(adapted, guidance_scale=1.0))


def test_pictures_stay_when_guidance_is_switched_off_in_a_run(adapted):
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    x, context, empty, picture = (
        values(*shape) for shape in [(2, 4, 8, 8), (2, 5, 32), (2, 1, 4, 32), (2, 1, 4, 32)]
    )
    guided = GuidedModel(
        adapted.unet, context, context, 7.5, picture_tokens=[torch.cat([empty, picture])]
    )
    unguided = replace(guided, negative_context=None, guidance_scale=1.0)
    with torch.no_grad():
        expected = predict(adapted.unet, x, 500, context, picture_tokens=[picture])
    assert torch.equal(unguided(x, 500, 1.0), expected)


def test_the_picture_equals_its_prepared_features(adapted):
    with torch.no_grad():
        pixels = _clip_pixels([photo(80, 48)], 32)
        positive = adapted.ip_adapter_image_encoder(pixels).image_embeds[None]
    embeds = [torch.cat([torch.zeros_like(positive), positive])]
    expected = latents(adapted, ip_adapter_image_embeds=embeds)
    assert torch.equal(latents(adapted, ip_adapter_image=photo(80, 48)), expected)


def test_pictures_are_prepared_as_by_clips_own_processor():
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    for picture in (photo(80, 48), photo(50, 91)):
        expected = processor(picture, return_tensors="pt").pixel_values
        assert (_clip_pixels([picture], 32) - expected).abs().max() < 1e-5


def test_several_pictures_and_several_adapters(pipeline):
    states = [ip_adapter_state(pipeline.unet)] * 2
    pipeline.load_ip_adapter(
        states, weight_name=["", ""], subfolder=["", ""], image_encoder_folder=None
    )
    pipeline.ip_adapter_image_encoder = vision_model()
    one = latents(pipeline, ip_adapter_image=[photo(), photo()])
    assert far(latents(pipeline, ip_adapter_image=[photo(), photo(seed=1)]), one)
    assert far(latents(pipeline, ip_adapter_image=[photo(), [photo(), photo(seed=1)]]), one)
    pipeline.set_ip_adapter_scale([1.0, 0.0])
    second_off = latents(pipeline, ip_adapter_image=[photo(), photo(seed=1)])
    assert torch.equal(latents(pipeline, ip_adapter_image=[photo(), photo(seed=2)]), second_off)
    with pytest.raises(ValueError, match="1 pictures and 2 IP-Adapters"):
        latents(pipeline, ip_adapter_image=photo())


def test_batches_equal_single_pictures(adapted):
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    batch = latents(
        adapted, num_images_per_prompt=2, generator=generators, ip_adapter_image=photo()
    )
    alone = latents(adapted, ip_adapter_image=photo())
    assert near(batch[:1], alone)


def test_a_request_takes_a_picture(adapted):
    request = Request(prompt="a dog", layout=LAYOUT, num_inference_steps=2, seed=1)

    def last(add_ons=None) -> torch.Tensor:
        *_, step, _ = adapted.stream(request, add_ons)
        return step.latents

    assert far(last(AddOns(ip_adapter_image=photo())), last())


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_a_folder_with_its_image_encoder(pipeline, tmp_path, form):
    state = ip_adapter_state(pipeline.unet)
    folder = tmp_path / "models"
    vision_model().save_pretrained(folder / "image_encoder")
    if form == "safetensors":
        flat = {f"{a}.{k}": v for a, section in state.items() for k, v in section.items()}
        save_file(flat, folder / "ip-adapter.safetensors")
    else:
        torch.save(state, folder / "ip-adapter.bin")
    pipeline.load_ip_adapter(tmp_path, subfolder="models", weight_name=f"ip-adapter.{form}")
    made = latents(pipeline, ip_adapter_image=photo())
    pipeline.load_ip_adapter(state, image_encoder_folder=None)
    pipeline.ip_adapter_image_encoder = vision_model()
    assert torch.equal(latents(pipeline, ip_adapter_image=photo()), made)


def test_the_encoder_for_reference_pictures_stays(pipeline):
    pipeline.image_encoder = reference = vision_model(8)
    pipeline.load_ip_adapter(ip_adapter_state(pipeline.unet), image_encoder_folder=None)
    pipeline.unload_ip_adapter()
    assert pipeline.image_encoder is reference


def test_what_does_not_fit_is_refused(pipeline):
    unet = pipeline.unet
    with pytest.raises(ValueError, match="none is loaded"):
        latents(pipeline, ip_adapter_image=photo())
    with pytest.raises(ValueError, match="no IP-Adapter: it holds a.weight"):
        pipeline.load_ip_adapter({"a.weight": torch.zeros(1)})
    state = ip_adapter_state(unet)
    short = {**state, "ip_adapter": dict(list(state["ip_adapter"].items())[:-1])}
    with pytest.raises(ValueError, match="another architecture"):
        pipeline.load_ip_adapter(short)
    wide = {k: v.repeat(1, 2) for k, v in state["ip_adapter"].items()}
    with pytest.raises(ValueError, match="another architecture"):
        pipeline.load_ip_adapter({**state, "ip_adapter": wide})
    assert unet.encoder_hid_proj is None
    pipeline.load_ip_adapter(state)
    with pytest.raises(ValueError, match="no image encoder"):
        latents(pipeline, ip_adapter_image=photo())
    pipeline.ip_adapter_image_encoder = vision_model(8)
    with pytest.raises(ValueError, match="of width 24, and the image encoder.* 8;"):
        latents(pipeline, ip_adapter_image=photo())
    with pytest.raises(ValueError, match="two halves"):
        latents(pipeline, ip_adapter_image_embeds=[features()[0][:1]])
    with pytest.raises(ValueError, match="not both"):
        latents(pipeline, ip_adapter_image=photo(), ip_adapter_image_embeds=features())


def test_a_damaged_file_is_refused(pipeline, tmp_path):
    path = tmp_path / "ip-adapter.bin"
    path.write_bytes(b"nothing of use")
    with pytest.raises(ValueError, match=r"ip-adapter\.bin.* cannot be read"):
        pipeline.load_ip_adapter(path)


def test_the_layers_order_is_that_of_the_files(pipeline):
    """Key 1 belongs to the first cross-attention of the way down, the last to the middle block."""
    state = ip_adapter_state(pipeline.unet)
    pipeline.load_ip_adapter(state)
    layers = [n for n in pipeline.unet.attn_processors if n.endswith("attn2.processor")]
    assert layers[0].startswith("down_blocks.0")
    assert layers[-1].startswith("mid_block")
    for number, layer in enumerate(layers):
        weight = pipeline.unet.attn_processors[layer].to_k_ip[0].weight
        assert torch.equal(weight, state["ip_adapter"][f"{2 * number + 1}.to_k_ip.weight"])


def test_a_plus_adapter_reads_all_patches(pipeline):
    before = latents(pipeline)
    pipeline.load_ip_adapter(plus_state(pipeline.unet))
    pipeline.ip_adapter_image_encoder = encoder = vision_model()
    made = latents(pipeline, ip_adapter_image=photo())
    assert far(made, before)
    with torch.no_grad():
        pixels = _clip_pixels([photo()], 32)
        rows = [
            encoder(batch, output_hidden_states=True).hidden_states[-2]
            for batch in (torch.zeros_like(pixels), pixels)
        ]
    assert torch.equal(latents(pipeline, ip_adapter_image_embeds=[torch.stack(rows)]), made)
    pipeline.unload_ip_adapter()
    assert torch.equal(latents(pipeline), before)


def test_a_face_adapter_brings_its_lora_to_the_base_alone(pipeline):
    before = latents(pipeline)
    state = faceid_state(pipeline.unet)
    pipeline.load_ip_adapter(state)
    assert pipeline.get_active_adapters() == ["faceid_0"]
    layers = {n: m for n, m in pipeline.unet.named_modules() if hasattr(m, "lora_A")}
    processors = [n for n in pipeline.unet.attn_processors if "fuser" not in n]
    names = [name.removesuffix(".processor") for name in processors]
    assert len(layers) == 4 * len(names)
    assert not any("fuser" in name for name in layers)
    last = layers[f"{names[-1]}.to_out.0"].lora_B["faceid_0"].weight
    assert torch.equal(last, state["ip_adapter"][f"{len(names) - 1}.to_out_lora.up.weight"])
    faces = [torch.randn(2, 1, 20, generator=torch.Generator().manual_seed(0))]
    assert far(latents(pipeline, ip_adapter_image_embeds=faces), latents(pipeline))
    pipeline.unload_ip_adapter()
    pipeline.unload_lora_weights()
    assert torch.equal(latents(pipeline), before)
