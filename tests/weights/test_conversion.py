"""Key names and sizes: the full-size lists of the released models, and what must be refused."""

import json

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from gligen.weights.conversion import (
    UNetSizes,
    convert_adapter_state,
    convert_unet_state,
    original_adapter_state,
    rename_key,
)
from gligen.weights.partnames import convert_text_state, convert_vae_state, text_keys_for
from tests.conftest import GOLDEN
from tests.model_files import official_shapes

KINDS = ("generation_text_box", "inpainting_text_box")


def full_size(kind: str, section: str) -> dict[str, torch.Tensor]:
    """Return a section of a released model, without memory."""
    shapes = official_shapes(kind)[section]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def shapes(state) -> dict:
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_released_unet_key_has_its_place_in_diffusers(kind):
    config, state = convert_unet_state(full_size(kind, "model"))
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config, attention_type="gated")
    assert shapes(state) == shapes(unet.state_dict())
    summary = json.loads((GOLDEN / "layout" / "summary.json").read_text())["kinds"][kind]
    assert sum(tensor.numel() for tensor in state.values()) == summary["params"]["model"]


def test_every_released_autoencoder_key_has_its_place_in_diffusers():
    config, state = convert_vae_state(full_size(KINDS[0], "autoencoder"))
    with torch.device("meta"):
        vae = AutoencoderKL(**config)
    assert shapes(state) == shapes(vae.state_dict())


def test_every_released_text_key_has_its_place_in_transformers():
    config, state = convert_text_state(full_size(KINDS[0], "text_encoder"))
    with torch.device("meta"):
        encoder = CLIPTextModel(CLIPTextConfig(**config))
    wanted = encoder.state_dict()
    assert shapes(text_keys_for(wanted, state)) == shapes(wanted)
    assert config["num_attention_heads"] == 12


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("input_blocks.0.0.weight", "conv_in.weight"),
        ("input_blocks.3.0.op.bias", "down_blocks.0.downsamplers.0.conv.bias"),
        ("input_blocks.4.0.skip_connection.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"),
        ("input_blocks.8.1.proj_in.weight", "down_blocks.2.attentions.1.proj_in.weight"),
        ("middle_block.2.emb_layers.1.bias", "mid_block.resnets.1.time_emb_proj.bias"),
        # A level without attention has its upsampler one place earlier.
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
        (
            "output_blocks.11.1.transformer_blocks.0.fuser.alpha_attn",
            "up_blocks.3.attentions.2.transformer_blocks.0.fuser.alpha_attn",
        ),
        ("output_blocks.12.0.in_layers.0.weight", None),
    ],
)
def test_names(original, diffusers):
    sizes = UNetSizes.from_ldm(full_size(KINDS[0], "model"))
    assert rename_key(original, sizes.prefixes()) == diffusers


@pytest.mark.parametrize("kind", KINDS)
def test_adapter_keys_are_named_as_in_the_whole_model(kind):
    whole = full_size(kind, "model")
    adapter = {
        key: tensor
        for key, tensor in whole.items()
        if ".fuser." in key or key.startswith(("position_net.", "input_blocks.0.0."))
    }
    _, converted = convert_unet_state(whole)
    assert shapes(convert_adapter_state(adapter)).items() <= shapes(converted).items()
    assert len(convert_adapter_state(adapter)) == len(adapter)


def test_sizes_survive_the_way_through_a_config():
    sizes = UNetSizes.from_ldm(full_size(KINDS[1], "model"))
    assert UNetSizes.from_config(sizes.config()) == sizes
    assert sizes == UNetSizes(9, 4, (320, 640, 1280, 1280), 2, (True, True, True, False), 768)


def test_unexplained_keys_are_listed():
    state = full_size(KINDS[0], "model") | {"control.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"1 unexpected key \(control\.weight\)"):
        convert_unet_state(state)
    state = full_size(KINDS[0], "text_encoder") | {"visual.proj": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"CLIP text encoder has .*visual\.proj"):
        convert_text_state(state)
    state = full_size(KINDS[0], "autoencoder") | {"loss.logvar": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"autoencoder has 1 unexpected key \(loss\.logvar\)"):
        convert_vae_state(state)


def test_other_families_are_named():
    unet = full_size(KINDS[0], "model")
    with pytest.raises(ValueError, match="SDXL"):
        convert_unet_state(unet | {"label_emb.0.0.weight": torch.zeros(1)})
    linear = {
        key: tensor[:, :, 0, 0] if key.endswith("proj_in.weight") else tensor
        for key, tensor in unet.items()
    }
    with pytest.raises(ValueError, match="Stable Diffusion 2"):
        convert_unet_state(linear)


@pytest.mark.parametrize(
    ("section", "missing", "convert"),
    [
        ("model", "input_blocks.4.0.out_layers.3.weight", convert_unet_state),
        ("autoencoder", "post_quant_conv.weight", convert_vae_state),
        (
            "text_encoder",
            "transformer.text_model.embeddings.token_embedding.weight",
            convert_text_state,
        ),
    ],
)
def test_incomplete_parts_say_what_is_missing(section, missing, convert):
    state = full_size(KINDS[0], section)
    del state[missing]
    with pytest.raises(ValueError, match=missing.removeprefix("transformer.text_model.")):
        convert(state)


def test_an_adapter_with_half_of_its_layers_is_refused():
    whole = full_size(KINDS[0], "model")
    half = {k: v for k, v in whole.items() if ".fuser." in k and k.startswith("input_blocks")}
    with pytest.raises(ValueError, match="6 blocks on the way down and 0"):
        convert_adapter_state(half)


def test_autoencoder_attention_as_convolution_or_linear_gives_the_same():
    shapes_of = full_size(KINDS[0], "autoencoder")
    state = {
        key: torch.randn(tensor.shape) if "attn_1" in key else torch.empty(tensor.shape)
        for key, tensor in shapes_of.items()
    }
    linear = {
        key: tensor[:, :, 0, 0] if "attn_1" in key and tensor.ndim == 4 else tensor
        for key, tensor in state.items()
    }
    _, one = convert_vae_state(state)
    _, other = convert_vae_state(linear)
    query = "encoder.mid_block.attentions.0.to_q.weight"
    assert one[query].shape == (512, 512)
    assert torch.equal(one[query], state["encoder.mid.attn_1.q.weight"][:, :, 0, 0])
    assert torch.equal(one[query], other[query])


@pytest.mark.parametrize("prefix", ["transformer.text_model.", "text_model.", ""])
def test_text_encoders_of_every_transformers_version(prefix):
    original = full_size(KINDS[0], "text_encoder")
    renamed = {
        prefix + key.removeprefix("transformer.text_model."): t for key, t in original.items()
    }
    _, state = convert_text_state(renamed)
    assert "embeddings.position_ids" not in state
    assert len(state) == len(original) - 1
    old = text_keys_for(["text_model.final_layer_norm.bias"], state)
    assert "text_model.final_layer_norm.bias" in old


def test_names_of_the_original_need_gated_layers_at_the_finest_level():
    state = {"down_blocks.1.attentions.0.transformer_blocks.0.fuser.alpha_attn": torch.zeros(())}
    with pytest.raises(ValueError, match="none there.*--names diffusers"):
        original_adapter_state(state)
