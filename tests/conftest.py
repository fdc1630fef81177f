"""Fixtures: small real models with open gates, and the numbers recorded from the original code."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from tokenizers import pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from gligen.kinds import KEYPOINT, MAP, TEXT_IMAGE_BOX, kind_named
from gligen.pipeline import GligenPipeline
from gligen.references import projection_module
from gligen.tokenizers import (
    KeypointTokenizer,
    MapDownsampler,
    MapTokenizer,
    TextBoxTokenizer,
    TextImageBoxTokenizer,
)
from gligen.unet import add_grounding, add_map_input, record_kind
from gligen.weights.building import build_unet
from gligen.weights.conversion import convert_unet_state
from tests.golden.fill import torch_state_dict

GOLDEN = Path(__file__).parent / "golden"
# Each of them differs in little from another kind: it is left to the longer run (-m slow) where a
# test goes through many kinds.
LIKE_ANOTHER = {"hed", "depth", "normal", "inpainting_text_image_box"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark as slow what a test does for kinds that are like another one."""
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is not None and any(
            isinstance(value, str) and value in LIKE_ANOTHER for value in spec.params.values()
        ):
            item.add_marker(pytest.mark.slow)


class Golden:
    """One recorded case: its description and its arrays."""

    def __init__(self, name: str):
        self.name = name
        with gzip.open(GOLDEN / f"{name}.json.gz") as file:
            self.facts = json.load(file)
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
        if name.startswith("position_net.") and not parameter.data.any():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
        if name.endswith(".gamma"):
            parameter.data.fill_(0.3)
        if "position_net.linears" in name or "fuser.linear" in name:
            parameter.data.mul_(3)
        if name == "conv_in.weight":  # of a map kind: the map's channels start at zero
            noise = torch.randn(parameter.shape, generator=generator) * 0.1
            parameter.data += torch.where(parameter == 0, noise, 0)
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


def grounded_unet(kind: str) -> UNet2DConditionModel:
    """Build a small random UNet of any kind, gates open."""
    described = kind_named(kind)
    unet = small_unet(9 if described.is_inpainting else 4)
    if described.modality == KEYPOINT:
        tokenizer = KeypointTokenizer(8, 32)
    elif described.modality == MAP:
        num_classes = described.map_channels if kind == "semantic" else 0
        tokenizer = MapTokenizer(4, 32, (8, 8, 16, 16), (1, 1, 1, 1), num_classes)
    elif described.modality == TEXT_IMAGE_BOX:
        tokenizer = TextImageBoxTokenizer(32, 32)
    else:
        tokenizer = TextBoxTokenizer(32, 32)
    add_grounding(unet, tokenizer)
    if described.modality == MAP:
        widths = () if kind == "hed" else (4, 8)
        add_map_input(unet, MapDownsampler(described.map_channels, widths))
    record_kind(unet, kind)
    return open_gates(unet)


def small_image_encoder() -> CLIPVisionModelWithProjection:
    """Build a random CLIP vision model whose feature is as wide as a phrase's."""
    torch.manual_seed(3)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=32,
    )
    return CLIPVisionModelWithProjection(config).requires_grad_(False).eval()


def image_parts(kind: str) -> dict[str, Any]:
    """Return the parts that only the text-image kinds have."""
    if kind_named(kind).modality != TEXT_IMAGE_BOX:
        return {}
    matrix = torch.randn(32, 32, generator=torch.Generator().manual_seed(4))
    return {
        "image_encoder": small_image_encoder(),
        "image_project": projection_module(matrix),
        "processor": CLIPImageProcessorPil(),
    }


def small_pipeline(
    kind: str = "generation_text_box", prediction: str = "epsilon"
) -> GligenPipeline:
    """Build a whole pipeline of random weights, 64 px pictures, gates open; any kind."""
    unet = grounded_unet(kind)
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
    pipeline = GligenPipeline(
        vae.eval(), text_encoder.eval(), tokenizer, unet, scheduler, **image_parts(kind)
    )
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
