"""Models of random weights with open gates: our pipeline, and diffusers' on the same memory.

With closed gates, as before training, the results would agree whatever the gated layers did.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    StableDiffusionGLIGENPipeline,
    StableDiffusionGLIGENTextImagePipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from gligen.embedded import embedded_folder
from gligen.exact.options import ALL_SAVINGS
from gligen.kinds import TEXT_IMAGE_BOX, kind_named
from gligen.pipeline import GligenPipeline
from gligen.references import projection_module
from gligen.tokenizers import make_tokenizer
from gligen.unet import add_grounding

TEXT_BOXES, TEXT_IMAGES = "generation_text_box", "generation_text_image_box"
DIFFUSERS = {
    TEXT_BOXES: StableDiffusionGLIGENPipeline,
    TEXT_IMAGES: StableDiffusionGLIGENTextImagePipeline,
}


@dataclass(frozen=True)
class Size:
    """How large the models are."""

    name: str
    widths: tuple[int, ...]  # of the UNet
    side: int  # of the latents
    text_width: int
    num_text_layers: int
    vision: tuple[int, int, int]  # width, number of layers, pixels of a patch
    decoder_widths: tuple[int, ...]
    groups: int = 32  # of the normalisations


FULL = Size(
    "Stable Diffusion 1.4's size",
    (320, 640, 1280, 1280),
    64,
    768,
    12,
    (1024, 24, 14),
    (128, 256, 512, 512),
)
SMALL = Size(
    "a fifth of Stable Diffusion 1.4's widths and half its sides",
    (64, 128, 256, 256),
    32,
    256,
    4,
    (128, 4, 32),
    (32, 64, 128, 128),
)
TINY = Size("tiny", (16, 16, 32, 32), 8, 32, 1, (32, 1, 112), (8, 8, 8, 8), groups=8)
SIZES = {"full": FULL, "small": SMALL, "tiny": TINY}
TEXT_LENGTH = 77


@dataclass(frozen=True)
class Models:
    """Both pipelines; every parameter of one is a parameter of the other."""

    kind: str
    ours: GligenPipeline
    theirs: Any  # diffusers' pipeline of this kind

    def to(self, dtype: torch.dtype) -> "Models":
        """Return copies in another dtype that again share their memory."""
        parts = {
            name: copy.deepcopy(part).to(dtype) if isinstance(part, torch.nn.Module) else part
            for name, part in self.ours.components.items()
        }
        return models_of(_quiet(GligenPipeline(**parts)))

    def with_unet_of_theirs(self, unet: Any) -> "Models":
        """Return the models with another UNet in diffusers' pipeline."""
        parts = {**self.theirs.components, "unet": unet}
        return replace(self, theirs=_quiet(type(self.theirs)(**parts)))


def make_text_encoder(tokenizer: CLIPTokenizer, width: int, num_layers: int = 12) -> CLIPTextModel:
    """Make a text encoder of random weights that reads what a tokenizer writes."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            num_hidden_layers=num_layers,
            **widths_of(width),
        )
    )


def make_models(kind: str, size: Size, device: str, dtype: torch.dtype) -> Models:
    """Make both pipelines of random weights; the same ones every time."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(embedded_folder() / "tokenizer")
    tokenizer.model_max_length = TEXT_LENGTH
    unet = UNet2DConditionModel(
        sample_size=size.side,
        block_out_channels=size.widths,
        cross_attention_dim=size.text_width,
        attention_head_dim=8,
        norm_num_groups=size.groups,
    )
    add_grounding(unet, make_tokenizer(kind_named(kind), size.text_width))
    _open_gates(unet)
    text_encoder = make_text_encoder(tokenizer, size.text_width, size.num_text_layers)
    vae = AutoencoderKL(
        block_out_channels=size.decoder_widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=min(size.groups, size.decoder_widths[0]),
        sample_size=8 * size.side,
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )
    pipeline = GligenPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, **_image_parts(kind, size)
    )
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval().to(device, dtype)
    return models_of(_quiet(pipeline))


def models_of(ours: GligenPipeline) -> Models:
    """Put diffusers' pipeline beside ours, on the very same parameters."""
    has_images = kind_named(ours.kind).modality == TEXT_IMAGE_BOX
    attention = "gated-text-image" if has_images else "gated"
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(ours.unet.config, attention_type=attention)
    unet.load_state_dict(ours.unet.state_dict(keep_vars=True), assign=True)
    parts = {**ours.components, "unet": unet.requires_grad_(False).eval()}
    theirs = DIFFUSERS[ours.kind](**parts, requires_safety_checker=False)
    return Models(ours.kind, ours, _quiet(theirs))


def without_savings(pipeline: GligenPipeline, options: Any = ALL_SAVINGS) -> GligenPipeline:
    """Return our pipeline on the same models with other options for savings."""
    other = _quiet(GligenPipeline(**pipeline.components))
    other.exact_options = options
    return other


def _quiet(pipeline: Any) -> Any:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def widths_of(width: int) -> dict[str, int]:
    """Return the widths of a transformer, in the proportions of CLIP's."""
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_attention_heads": max(1, width // 64),
    }


def _image_parts(kind: str, size: Size) -> dict[str, Any]:
    if kind_named(kind).modality != TEXT_IMAGE_BOX:
        return {}
    width, num_layers, patch = size.vision
    config = CLIPVisionConfig(
        num_hidden_layers=num_layers,
        patch_size=patch,
        image_size=224,
        projection_dim=size.text_width,
        **widths_of(width),
    )
    generator = torch.Generator().manual_seed(4)
    matrix = torch.randn(size.text_width, size.text_width, generator=generator)
    return {
        "image_encoder": CLIPVisionModelWithProjection(config),
        "image_project": projection_module(matrix / size.text_width**0.5),
        "processor": CLIPImageProcessorPil(),
    }


def _open_gates(unet: UNet2DConditionModel) -> None:
    """Open the gates near a half, and fill null features, which start as zeros."""
    generator = torch.Generator().manual_seed(1)
    for name, parameter in unet.named_parameters():
        if name.endswith(("alpha_attn", "alpha_dense")):
            parameter.data.fill_(0.6)
        elif ".null_" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
