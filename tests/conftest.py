"""Fixtures: small real models with open gates, and the numbers recorded from the original code."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from gligen.checkpoints import build_unet
from gligen.conversion import convert_unet_state
from gligen.pipeline import GligenPipeline
from gligen.unet import add_grounding
from tests.golden.fill import torch_state_dict

GOLDEN = Path(__file__).parent / "golden"


class Golden:
    """One recorded case: its description and its arrays."""

    def __init__(self, name: str):
        self.name = name
        self.facts = json.loads((GOLDEN / f"{name}.json").read_text())
        arrays = GOLDEN / f"{name}.safetensors"
        self.arrays = load_file(arrays) if arrays.exists() else {}

    def unet(self) -> UNet2DConditionModel:
        """Build the recorded model from the deterministic fill."""
        weights = self.facts["weights"]["model"]
        config, state = convert_unet_state(torch_state_dict(weights["shapes"], weights["seed"]))
        return build_unet(config, state)


@pytest.fixture(scope="session")
def golden():
    """Return recorded cases by name, each loaded once."""
    loaded: dict[str, Golden] = {}

    def load(name: str) -> Golden:
        if name not in loaded:
            loaded[name] = Golden(name)
        return loaded[name]

    return load


@pytest.fixture(scope="session")
def golden_unets(golden):
    """Return UNets of recorded kinds, each built once; tests must not change them."""
    built: dict[str, UNet2DConditionModel] = {}

    def build(name: str) -> UNet2DConditionModel:
        if name not in built:
            built[name] = golden(name).unet()
        return built[name]

    return build


def open_gates(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Open the gates near 0.5 and make tokens matter: with closed gates grounding is not tested."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in unet.named_parameters():
        if name.endswith(("alpha_attn", "alpha_dense")):
            parameter.data.fill_(0.5)
        if "position_net.null" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
        if "position_net.linears" in name or "fuser.linear" in name:
            parameter.data.mul_(3)
    return unet.requires_grad_(False).eval()


def small_unet(in_channels: int = 4) -> UNet2DConditionModel:
    """Build a random UNet with the blocks of Stable Diffusion 1.x, without grounding."""
    torch.manual_seed(in_channels)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    ).eval()


def small_tokenizer(max_tokens: int = 24) -> CLIPTokenizer:
    """Build a tokenizer in CLIP's format that spells every word in letters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(byte + "</w>" for byte in alphabet)]
    merges = [("d", "o"), ("do", "g</w>"), ("c", "a"), ("ca", "t</w>"), ("s", "u"), ("su", "n</w>")]
    pieces += [left + right for left, right in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_tokens)


def small_pipeline(
    kind: str = "generation_text_box", prediction: str = "epsilon"
) -> GligenPipeline:
    """Build a whole pipeline of random weights, 64 px pictures, gates open."""
    unet = open_gates(add_grounding(small_unet(4 if kind.startswith("generation") else 9)))
    torch.manual_seed(0)
    tokenizer = small_tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=24,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    pipeline = GligenPipeline(vae.eval(), text_encoder.eval(), tokenizer, unet, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def pipeline() -> GligenPipeline:
    """A generation pipeline of random weights, gates open."""
    return small_pipeline()


@pytest.fixture
def inpainting_pipeline() -> GligenPipeline:
    """An inpainting pipeline of random weights, gates open."""
    return small_pipeline("inpainting_text_box")
