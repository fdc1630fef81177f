"""A frozen base with the layers that a training run adds or goes on with."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from torch import Tensor, nn

from gligen.embedded import EMBEDDED
from gligen.kinds import BOX_EMBEDDINGS, FUSERS, MAP, Kind, kind_named
from gligen.loading import load_pipeline, locate
from gligen.pipeline import GligenPipeline
from gligen.tokenizers import MapDownsampler, make_tokenizer
from gligen.tokenizers.convnext import TINY_DEPTHS, TINY_WIDTHS
from gligen.training.inheriting import can_inherit, inherit_layers
from gligen.training.seeing import reading_parts
from gligen.training.settings import TrainingSettings
from gligen.training.starting import widen_first_convolution
from gligen.unet import add_grounding, add_map_input, is_grounding_key, record_kind
from gligen.weights.adapters import Adapter, split_unet
from gligen.weights.building import build_unet
from gligen.weights.checkpoints import write_adapter
from gligen.weights.parts import build_parts
from gligen.weights.sources import read_original, read_source

FIRST_CONVOLUTION = ("conv_in.weight", "conv_in.bias")


def prepare_model(settings: TrainingSettings, device: torch.device) -> GligenPipeline:
    """Return the pipeline to train, in float32: every old parameter frozen, every new one free.

    Raises:
        ValueError: the base or the adapter cannot be had, or they do not fit each other.
    """
    origin = _other_kind(settings)
    if settings.adapter is not None and origin is None:
        base = None if settings.adapter == settings.base else settings.base
        pipeline = load_pipeline(settings.adapter, settings.kind, base, device, "float32")
    else:
        pipeline = _with_new_layers(settings, device)
        if origin is not None:
            inherit_layers(pipeline._components, origin)
    trained = trained_names(pipeline.unet, settings)
    for name, parameter in pipeline.unet.named_parameters():
        if name in trained:
            # Apart from the base's memory, which further pipelines may share.
            parameter.data = parameter.data.clone()
        parameter.requires_grad_(name in trained)
    return pipeline


def _other_kind(settings: TrainingSettings) -> Adapter | None:
    """Return the adapter to go on from where it is not of the kind that is trained."""
    if settings.adapter is None:
        return None
    place = locate(settings.adapter)
    adapters = read_source(place, None if place.is_dir() else (settings.kind,)).adapters
    if settings.kind in adapters or not adapters:
        return None
    fitting = [a for kind, a in adapters.items() if can_inherit(settings.kind, kind)]
    return fitting[0] if fitting else next(iter(adapters.values()))


def trained_names(unet: UNet2DConditionModel, settings: TrainingSettings) -> set[str]:
    """Return the names of the parameters that the kind trains."""
    first = FIRST_CONVOLUTION if settings.trains_first_convolution else ()
    return {name for name, _ in unet.named_parameters() if is_grounding_key(name) or name in first}


def _with_new_layers(settings: TrainingSettings, device: torch.device) -> GligenPipeline:
    place = locate(settings.base)
    source = read_source(place, ())
    if source.model is None:
        raise ValueError(
            f"The base {settings.base!r} is an adapter; give the Stable Diffusion 1.x model to "
            "train on as base, and this file as adapter to go on from it."
        )
    parts = build_parts(place, source.model, torch.float32, device, None)
    unet = build_unet(*parts.base.plain())
    kind = kind_named(settings.kind)
    torch.manual_seed(settings.seed)
    sizes = {} if settings.backbone_widths is None else {"widths": settings.backbone_widths}
    if settings.backbone_depths is not None:
        sizes["depths"] = settings.backbone_depths
    add_new_layers(unet, kind, **sizes, fuser=settings.fuser, box_embedding=settings.box_embedding)
    record_kind(unet, settings.kind)
    pipeline = GligenPipeline(
        parts.vae,
        parts.text_encoder,
        parts.tokenizer,
        unet.to(device),
        parts.scheduler,
        **reading_parts(settings, source.model, device),
    )
    pipeline.model_name = EMBEDDED if settings.base == EMBEDDED else str(settings.base)
    return pipeline


def add_new_layers(
    unet: UNet2DConditionModel,
    kind: Kind,
    widths: Sequence[int] = TINY_WIDTHS,
    depths: Sequence[int] = TINY_DEPTHS,
    fuser: str = FUSERS[0],
    box_embedding: str = BOX_EMBEDDINGS[0],
) -> None:
    """Add the layers of a kind, with gates shut: the UNet paints as before.

    Args:
        unet: plain; changed in place.
        kind: of the layers.
        widths: of the stages of a map kind's backbone.
        depths: of the same.
        fuser: which gated layers.
        box_embedding: of the text-box kinds.
    """
    width = unet.config.cross_attention_dim
    tokenizer = make_tokenizer(
        kind, width, widths=widths, depths=depths, box_embedding=box_embedding
    )
    # The released models start from random embeddings too; all zeros would tell nothing apart.
    for name, parameter in tokenizer.named_parameters():
        if name in ("person_embeddings", "keypoint_embeddings", "pos_embedding"):
            nn.init.normal_(parameter, std=0.02)
    reference = unet.conv_out.weight
    add_grounding(unet, tokenizer.to(reference.device), fuser)
    if kind.modality == MAP:
        widths = () if kind.name == "hed" else (16 if kind.map_channels > 3 else 4, 8)
        downsampler = MapDownsampler(kind.map_channels, widths).to(reference.device)
        add_map_input(unet, downsampler)
    elif kind.is_inpainting:
        widen_first_convolution(unet)


def save_trained(
    path: Path, pipeline: GligenPipeline, settings: TrainingSettings, figures: Mapping[str, Any]
) -> None:
    """Write the trained layers as an adapter file, with the settings and figures of the run.

    The first convolution of the base goes along where the kind trains one: what training changed
    can then be added to another base's.
    """
    unet = pipeline.unet
    _, adapter = split_unet(unet.config, unet.state_dict(), settings.kind)
    assert adapter is not None, "a trained model has new layers"
    if kind_named(settings.kind).is_inpainting:
        adapter = replace(adapter, original=read_original(locate(settings.base)))
    if isinstance(pipeline.image_project, CLIPImageProjection):
        weight = pipeline.image_project.project.weight.detach().cpu()
        adapter = replace(adapter, projection=weight.contiguous())
    notes = {"settings": asdict(settings), **figures}
    write_adapter(path, replace(adapter, base=settings.base, notes=notes))


def fingerprints(unet: nn.Module, frozen: bool) -> dict[str, str]:
    """Return a digest of every frozen (or every trained) parameter, by name."""
    return {
        name: _digest(parameter)
        for name, parameter in unet.named_parameters()
        if parameter.requires_grad != frozen
    }


def check_frozen(before: Mapping[str, str], unet: nn.Module) -> None:
    """Check that every parameter is new and trained, or old and bitwise what it was.

    Args:
        before: the `fingerprints` of the frozen parameters at the start.
        unet: as it is now.

    Raises:
        RuntimeError: a parameter of the base changed.
    """
    for name, digest in fingerprints(unet, frozen=True).items():
        if before.get(name) != digest:
            raise RuntimeError(f"{name} belongs to the frozen base and changed.")


def _digest(tensor: Tensor) -> str:
    plain = tensor.detach().cpu().contiguous(memory_format=torch.contiguous_format)
    values = plain.flatten().view(torch.uint8).numpy()
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()
