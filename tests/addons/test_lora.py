import logging

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import save_file

from gligen.addons.lora import LORA_TARGETS
from gligen.loading import load_pipelines
from gligen.pipeline import GligenPipeline
from gligen.request import Request
from gligen.unet import add_grounding, is_grounding_key
from tests.addon_models import LAYOUT, far, kohya_state, latents, lora_state, near, photo
from tests.conftest import small_pipeline, small_unet
from tests.model_files import save_base_folder

SUFFIXES = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj"]


def lora_layers(model) -> list[str]:
    return [name for name, module in model.named_modules() if hasattr(module, "lora_A")]


def strengths(model) -> list[float]:
    return [m.scaling["style"] for m in model.modules() if hasattr(m, "lora_A")]


def text_encoder_state(text_encoder) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    width = text_encoder.config.hidden_size
    return {
        f"text_encoder.text_model.encoder.layers.{layer}.self_attn.{part}.lora_{end}.weight": (
            torch.randn((4, width) if end == "A" else (width, 4), generator=generator)
        )
        for layer in range(text_encoder.config.num_hidden_layers)
        for part in ("q_proj", "v_proj")
        for end in "AB"
    }


def test_a_loaded_lora_acts_and_an_unloaded_one_leaves_nothing(pipeline):
    before = latents(pipeline)
    names = [name for name, _ in pipeline.unet.named_modules()]
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    loaded = latents(pipeline)
    assert far(loaded, before)
    assert torch.equal(latents(pipeline), loaded)
    pipeline.unload_lora_weights()
    assert torch.equal(latents(pipeline), before)
    assert [name for name, _ in pipeline.unet.named_modules()] == names


def test_grounding_still_acts_beside_a_lora(pipeline):
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    assert far(latents(pipeline, gligen_scheduled_sampling_beta=0.0), latents(pipeline))


def test_strengths_are_set_for_good_or_for_one_call(pipeline):
    before = latents(pipeline)
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    full = latents(pipeline)
    pipeline.set_adapters("style", 0.7)
    less = latents(pipeline)
    assert far(less, full)
    assert far(less, before)
    chosen = strengths(pipeline.unet)
    # 0 and numbers without an exact inverse: nothing of the call's strength may stay.
    assert near(latents(pipeline, cross_attention_kwargs={"scale": 0.0}), before)
    assert far(latents(pipeline, cross_attention_kwargs={"scale": 0.3}), less)
    assert strengths(pipeline.unet) == chosen
    assert torch.equal(latents(pipeline), less)
    pipeline.set_adapters("style", 0.35)
    half = latents(pipeline)
    pipeline.set_adapters("style", 0.7)
    assert near(latents(pipeline, cross_attention_kwargs={"scale": 0.5}), half)


def test_a_callers_arguments_are_not_changed(pipeline):
    given = {"scale": 0.5}
    latents(pipeline, cross_attention_kwargs=given)
    assert given == {"scale": 0.5}


def test_fused_equals_loaded_and_unfused_returns(pipeline):
    before = latents(pipeline)
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    loaded = latents(pipeline)
    pipeline.fuse_lora()
    assert near(latents(pipeline), loaded)
    assert pipeline.num_fused_loras == 1
    pipeline.unfuse_lora()
    assert near(latents(pipeline), loaded)
    pipeline.unload_lora_weights()
    assert near(latents(pipeline), before)


def test_a_strength_while_fusing(pipeline):
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    expected = latents(pipeline, cross_attention_kwargs={"scale": 0.5})
    pipeline.fuse_lora(lora_scale=0.5)
    assert near(latents(pipeline), expected)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_two_loras_at_once_and_one_deleted(pipeline):
    pipeline.load_lora_weights(lora_state(), adapter_name="one")
    one = latents(pipeline)
    other = {key: value.flip(0) for key, value in lora_state().items()}
    pipeline.load_lora_weights(other, adapter_name="two")
    pipeline.set_adapters(["one", "two"], [0.5, 0.5])
    assert far(latents(pipeline), one)
    pipeline.delete_adapters("two")
    pipeline.set_adapters("one")
    assert torch.equal(latents(pipeline), one)


def test_a_request_uses_the_loaded_lora(pipeline):
    request = Request(prompt="a dog", layout=LAYOUT, num_inference_steps=3, seed=1)

    def last() -> torch.Tensor:
        *_, step, _ = pipeline.stream(request)
        return step.latents

    before = last()
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    assert far(last(), before)
    pipeline.unload_lora_weights()
    assert torch.equal(last(), before)


def test_files_of_diffusers_and_of_kohya_load_alike(pipeline, tmp_path):
    state = lora_state()
    pipeline.load_lora_weights(state, adapter_name="style")
    expected = latents(pipeline)
    pipeline.unload_lora_weights()
    save_file(state, tmp_path / "pytorch_lora_weights.safetensors")
    save_file(kohya_state(state), tmp_path / "kohya.safetensors")
    for name in ("pytorch_lora_weights.safetensors", "kohya.safetensors"):
        pipeline.load_lora_weights(tmp_path, weight_name=name, adapter_name="style")
        assert torch.equal(latents(pipeline), expected)
        pipeline.unload_lora_weights()


def test_the_text_encoder_takes_its_part_in_prompts_and_phrases(pipeline):
    before = latents(pipeline)
    pipeline.load_lora_weights(text_encoder_state(pipeline.text_encoder), adapter_name="style")
    assert far(latents(pipeline), before)
    embeds = torch.zeros(1, 24, 32)
    fixed = {"prompt": None, "prompt_embeds": embeds, "negative_prompt_embeds": embeds}
    by_phrases = latents(pipeline, **fixed)
    silent = latents(pipeline, **fixed, cross_attention_kwargs={"scale": 0.0})
    assert far(by_phrases, silent)
    assert near(latents(pipeline, cross_attention_kwargs={"scale": 0.0}), before)
    pipeline.unload_lora_weights()
    assert torch.equal(latents(pipeline), before)


def test_grounding_parts_of_a_file_are_left_out(pipeline, caplog):
    grounded = add_grounding(small_unet())
    state = lora_state(SUFFIXES, grounded)
    added = [key for key in state if is_grounding_key(key.removeprefix("unet."))]
    assert added
    with caplog.at_level(logging.WARNING, "gligen.addons.lora"):
        pipeline.load_lora_weights(state, adapter_name="style")
    assert f"{len(added)} of the LoRA's {len(state)} tensors" in caplog.text
    layers = lora_layers(pipeline.unet)
    assert len(layers) == (len(state) - len(added)) / 2
    assert not any(is_grounding_key(f"{layer}.") for layer in layers)
    with pytest.raises(ValueError, match="grounding layers only"):
        pipeline.load_lora_weights({key: state[key] for key in added}, adapter_name="other")


def test_suffixes_in_a_files_own_configuration_do_not_reach_grounding(pipeline, tmp_path):
    """Training scripts save their targets so; here a warning of peft's is an error."""
    plain = small_unet()
    state = {key.removeprefix("unet."): v for key, v in lora_state(SUFFIXES, plain).items()}
    config = plain.peft_config["default"].to_dict()
    assert set(config["target_modules"]) == set(SUFFIXES)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=state, unet_lora_adapter_metadata=config
    )
    pipeline.load_lora_weights(tmp_path, adapter_name="style")
    layers = lora_layers(pipeline.unet)
    assert len(layers) == len(state) / 2
    assert not any("fuser" in layer for layer in layers)


def test_the_targets_for_training_keep_off_grounding():
    grounded, naive = add_grounding(small_unet()), add_grounding(small_unet())
    naive.add_adapter(LoraConfig(target_modules=SUFFIXES[:4]))
    assert any("fuser" in layer for layer in lora_layers(naive))
    grounded.add_adapter(LoraConfig(target_modules=LORA_TARGETS))
    expected = [layer for layer in lora_layers(naive) if "fuser" not in layer]
    assert lora_layers(grounded) == expected


@pytest.mark.parametrize("change", ["depth", "width"])
def test_a_lora_of_another_architecture_is_refused_before_anything_is_touched(pipeline, change):
    before = latents(pipeline)
    state = lora_state()
    if change == "depth":
        state = {key.replace("down_blocks.0", "down_blocks.2"): v for key, v in state.items()}
    else:
        wide = {k: v.repeat(1, 2) for k, v in state.items() if "lora_A" in k}
        state = {**state, **wide}
    with pytest.raises(ValueError, match="another architecture"):
        pipeline.load_lora_weights(state, adapter_name="style")
    assert not lora_layers(pipeline.unet)
    assert torch.equal(latents(pipeline), before)


def test_without_peft_a_sentence_names_the_package(pipeline, monkeypatch):
    monkeypatch.setattr("gligen.addons.lora.is_peft_available", lambda: False)
    with pytest.raises(ValueError, match=r'pip install "gligen\[lora\]"'):
        pipeline.load_lora_weights(lora_state())


def test_an_inpainting_pipeline_takes_the_same_lora():
    pipeline = small_pipeline("inpainting_text_box")
    options = {"gligen_inpaint_image": photo()}
    before = latents(pipeline, **options)
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    assert far(latents(pipeline, **options), before)
    pipeline.unload_lora_weights()
    assert torch.equal(latents(pipeline, **options), before)


def test_a_pipeline_is_saved_with_its_lora_fused_or_not_at_all(pipeline, tmp_path):
    pipeline.load_lora_weights(lora_state(), adapter_name="style")
    with pytest.raises(ValueError, match="UNet2DConditionModel carries LoRA layers"):
        pipeline.save_pretrained(tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    loaded = latents(pipeline)
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    pipeline.save_pretrained(tmp_path / "fused")
    again = GligenPipeline.from_pretrained(tmp_path / "fused")
    again.set_progress_bar_config(disable=True)
    assert near(latents(again), loaded)


def test_a_loaded_lora_stays_in_its_pipeline_and_a_fused_one_is_in_the_shared_weights(tmp_path):
    save_base_folder(tmp_path)
    generation, inpainting = load_pipelines(tmp_path, device="cpu").values()
    inpainting.set_progress_bar_config(disable=True)
    shared = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    layers = [pipeline.unet.get_submodule(shared) for pipeline in (generation, inpainting)]
    assert layers[0].weight.data_ptr() == layers[1].weight.data_ptr()
    options = {"gligen_inpaint_image": photo(), "num_inference_steps": 2}
    before = latents(inpainting, **options)
    plain = {**generation.unet.config, "attention_type": "default"}
    state = lora_state(unet=UNet2DConditionModel.from_config(plain))
    generation.load_lora_weights(state, adapter_name="style")
    assert torch.equal(latents(inpainting, **options), before)
    generation.fuse_lora()
    assert far(latents(inpainting, **options), before)
    generation.unfuse_lora()
    assert near(latents(inpainting, **options), before)
