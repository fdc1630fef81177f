"""Small random add-ons for the small pipelines of the tests, in the formats that circulate."""

import numpy as np
import torch
from diffusers import ControlNetModel, T2IAdapter
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from gligen.addons.control import controlnet_from_unet
from gligen.addons.lora import LORA_TARGETS
from gligen.layout import Layout
from tests.conftest import small_unet

LAYOUT = Layout.from_lists(["a dog", "a cat"], [(0.1, 0.1, 0.6, 0.6), (0.5, 0.4, 1, 1)])


def photo(width: int = 64, height: int = 64, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def latents(pipeline, **changes) -> torch.Tensor:
    """Make pictures, grounded in half of the steps, and return their latents."""
    options = {
        "prompt": "a dog",
        "layout": LAYOUT,
        "num_inference_steps": 4,
        "gligen_scheduled_sampling_beta": 0.5,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latent",
    }
    return pipeline(**{**options, **changes}).images


def far(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two results differ by more than rounding does."""
    return bool((a - b).abs().max() > 1e-4 * b.abs().max())


def near(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max())


def lora_state(
    targets: str | list[str] = LORA_TARGETS, unet=None, rank: int = 4
) -> dict[str, torch.Tensor]:
    """Return a random LoRA for the UNet, keys as peft and diffusers write them."""
    unet = unet or small_unet()
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
    generator = torch.Generator().manual_seed(0)
    return {
        f"unet.{key}": 0.2 * torch.randn(value.shape, generator=generator)
        for key, value in get_peft_model_state_dict(unet).items()
    }


def kohya_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the same LoRA with the keys of kohya's trainer."""
    converted = {}
    for key, value in state.items():
        layer, _, part = key.removeprefix("unet.").rpartition(".lora_")
        name = f"lora_unet_{layer.replace('.', '_')}"
        converted[f"{name}.lora_{'down' if part.startswith('A') else 'up'}.weight"] = value
        if part.startswith("A"):
            converted[f"{name}.alpha"] = torch.tensor(float(len(value)))
    return converted


def ip_adapter_state(unet, embed_width: int = 24, tokens: int = 4) -> dict:
    """Return a random IP-Adapter in the format of the released files."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    width = unet.config.cross_attention_dim
    layers = [n for n in unet.attn_processors if n.endswith("attn2.processor")]
    state = {
        "image_proj": {
            "proj.weight": values(width * tokens, embed_width),
            "proj.bias": values(width * tokens),
            "norm.weight": torch.ones(width),
            "norm.bias": torch.zeros(width),
        },
        "ip_adapter": {},
    }
    for number, layer in enumerate(layers):
        inner = unet.get_submodule(layer.removesuffix(".processor")).inner_dim
        for part in "kv":
            state["ip_adapter"][f"{2 * number + 1}.to_{part}_ip.weight"] = values(inner, width)
    return state


def plus_state(unet, encoder_width: int = 16) -> dict:
    """Return a random IP-Adapter Plus, which reads all patches of the picture."""
    generator = torch.Generator().manual_seed(0)
    inner, width = 64, unet.config.cross_attention_dim
    shapes = {
        "latents": (1, 3, inner),
        "proj_in.weight": (inner, encoder_width),
        "proj_in.bias": (inner,),
        "proj_out.weight": (width, inner),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(4):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes[f"layers.{layer}.{norm}.weight"] = (inner,)
            shapes[f"layers.{layer}.{norm}.bias"] = (inner,)
        shapes[f"layers.{layer}.0.to_q.weight"] = (inner, inner)
        shapes[f"layers.{layer}.0.to_kv.weight"] = (2 * inner, inner)
        shapes[f"layers.{layer}.0.to_out.weight"] = (inner, inner)
        shapes[f"layers.{layer}.1.1.weight"] = (4 * inner, inner)
        shapes[f"layers.{layer}.1.3.weight"] = (inner, 4 * inner)
    projection = {
        key: torch.randn(shape, generator=generator) / inner**0.5 for key, shape in shapes.items()
    }
    projection["norm_out.weight"] += 1
    return {**ip_adapter_state(unet), "image_proj": projection}


def faceid_state(unet, face_width: int = 20) -> dict:
    """Return a random IP-Adapter for faces, which brings a LoRA for the base's attention."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) / 4

    state = ip_adapter_state(unet)
    width = unet.config.cross_attention_dim
    state["image_proj"] = {
        "proj.0.weight": values(2 * face_width, face_width),
        "proj.0.bias": values(2 * face_width),
        "proj.2.weight": values(4 * width, 2 * face_width),
        "proj.2.bias": values(4 * width),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }
    base = [n for n in unet.attn_processors if n.endswith(("attn1.processor", "attn2.processor"))]
    for number, name in enumerate(base):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for part in ("to_q", "to_k", "to_v", "to_out"):
            layer = attention.to_out[0] if part == "to_out" else getattr(attention, part)
            rows, columns = layer.weight.shape
            state["ip_adapter"][f"{number}.{part}_lora.down.weight"] = values(4, columns)
            state["ip_adapter"][f"{number}.{part}_lora.up.weight"] = values(rows, 4)
    return state


def vision_model(embed_width: int = 24) -> CLIPVisionModelWithProjection:
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        projection_dim=embed_width,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    return CLIPVisionModelWithProjection(config).eval()


def controlnet(unet, seed: int = 0) -> ControlNetModel:
    """Return a random ControlNet whose output is not zero, as it is before training."""
    torch.manual_seed(seed)
    net = controlnet_from_unet(unet, conditioning_embedding_out_channels=(8, 8, 8, 8))
    trained = [*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding]
    for part in trained:
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
    return net.requires_grad_(False).eval()


def t2i_adapter(in_channels: int = 3) -> T2IAdapter:
    torch.manual_seed(0)
    adapter = T2IAdapter(in_channels, channels=[32, 64], num_res_blocks=1, downscale_factor=8)
    return adapter.requires_grad_(False).eval()
