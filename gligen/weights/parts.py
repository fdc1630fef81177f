"""A model's frozen parts, built from what was read and brought to a device.

What is on disk is read in `gligen.weights.folders` and `gligen.weights.checkpoints`; names of
models, hub ids included, are resolved in `gligen.loading`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import diffusers
import torch
from diffusers import AutoencoderKL, PNDMScheduler, SchedulerMixin
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

from gligen.kinds import KINDS
from gligen.weights.adapters import Base
from gligen.weights.building import check_shapes
from gligen.weights.checkpoints import WholeModel
from gligen.weights.folders import read_json
from gligen.weights.hub import fetch_tokenizer, is_hub_id
from gligen.weights.partnames import text_keys_for
from gligen.weights.released import released_model

# What the libraries raise on configs that are damaged or of another model.
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError)


@dataclass(frozen=True)
class Parts:
    """The parts of a Stable Diffusion model, on their device; all kinds on it share them."""

    base: Base  # the frozen weights of the UNet
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: SchedulerMixin


def build_parts(
    place: Path,
    model: WholeModel,
    dtype: torch.dtype | None,
    device: torch.device,
    tokenizer: str | Path | None,
) -> Parts:
    """Build the parts of a model, and bring them to a device.

    Args:
        place: where it was read from, for messages.
        model: with an autoencoder and a text encoder.
        dtype: of all weights; None: as they are.
        device: of all weights.
        tokenizer: folder or hub id of a CLIP tokenizer; None: the model's own.

    Raises:
        ValueError: a part is missing or damaged, or the parts do not fit each other.
    """
    if model.vae is None or model.text_encoder is None:
        name = "autoencoder" if model.vae is None else "text encoder"
        raise ValueError(
            f"The file {str(place)!r} has a UNet but no {name}; give a whole checkpoint, or name "
            "the Stable Diffusion 1.x model that has one with base=... (--base)."
        )
    base, _ = model.split()
    try:
        vae, text_encoder = build_vae(*model.vae), build_text_encoder(*model.text_encoder)
    except UNREADABLE as error:
        raise ValueError(f"The model {str(place)!r} cannot be used: {error}") from None
    text, cross = text_encoder.config.hidden_size, base.config["cross_attention_dim"]
    if text != cross:
        raise ValueError(
            f"In {str(place)!r} the text encoder is {text} wide and the UNet reads {cross}; they "
            "belong to different models."
        )
    for module in (vae, text_encoder):
        settle(module, device, dtype)
    return Parts(
        base.to(device, dtype),
        vae,
        text_encoder,
        _find_tokenizer(place, model, tokenizer),
        read_scheduler(model.folder) if model.folder else default_scheduler(),
    )


def build_vae(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> AutoencoderKL:
    """Build an autoencoder around existing tensors.

    Raises:
        ValueError: they are not those that its config asks for.
    """
    with torch.device("meta"):
        vae = cast("AutoencoderKL", AutoencoderKL.from_config(dict(config)))
    return filled(vae, state, "autoencoder")


def build_text_encoder(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> CLIPTextModel:
    """Build a text encoder around existing tensors, named as by transformers 5.

    Raises:
        ValueError: they are not those that its config asks for.
    """
    wanted = CLIPTextConfig.from_dict(dict(config))
    with torch.device("meta"):
        encoder = CLIPTextModel(wanted)
    state = text_keys_for(encoder.state_dict(), state)
    make_buffers(encoder, wanted.max_position_embeddings)
    return filled(encoder, state, "text encoder")


def read_scheduler(folder: Path) -> SchedulerMixin:
    """Read the scheduler of a diffusers folder.

    Raises:
        ValueError: there is none, or it is none that diffusers has.
    """
    if not (folder / "scheduler").is_dir():
        raise ValueError(
            f"The model folder {str(folder)!r} has no scheduler; download the whole model again."
        )
    config = read_json(folder, "scheduler/scheduler_config.json")
    name = str(config.get("_class_name"))
    built_by = getattr(diffusers, name, None)
    if not (isinstance(built_by, type) and issubclass(built_by, SchedulerMixin)):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The model folder {str(folder)!r} names the scheduler {name!r}, which diffusers does "
            "not have; take one of its own, for example PNDMScheduler."
        )
    try:
        return built_by.from_config(config)  # type: ignore[attr-defined]
    except UNREADABLE as error:
        raise ValueError(unreadable(folder, error)) from None


def default_scheduler() -> PNDMScheduler:
    """Return the noise schedule of Stable Diffusion 1.x, with PLMS as its sampler."""
    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )


def _find_tokenizer(place: Path, model: WholeModel, tokenizer: str | Path | None) -> CLIPTokenizer:
    if tokenizer is not None:
        return read_tokenizer(tokenizer)
    if model.folder is None:
        return read_tokenizer(fetch_tokenizer(released_model(model.kind or KINDS[0]).tokenizer_id))
    if not (model.folder / "tokenizer").is_dir():
        raise ValueError(
            f"The model folder {str(place)!r} has no tokenizer; download the whole model again."
        )
    return read_tokenizer(model.folder / "tokenizer")


def read_tokenizer(source: str | Path) -> CLIPTokenizer:
    """Read a CLIP tokenizer from its folder, a model's folder, or the hub.

    Raises:
        ValueError: there is none.
    """
    folder = Path(source).expanduser()
    if not folder.exists():
        if not is_hub_id(str(source)):
            raise ValueError(f"There is no tokenizer folder {str(source)!r}; check the path.")
        folder = fetch_tokenizer(str(source))
    if (folder / "tokenizer").is_dir():
        folder = folder / "tokenizer"
    if not ((folder / "vocab.json").is_file() or (folder / "tokenizer.json").is_file()):
        raise ValueError(
            f"The folder {str(folder)!r} holds no CLIP tokenizer (vocab.json and merges.txt, or "
            "tokenizer.json); name the folder of one."
        )
    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(unreadable(folder, error)) from None


def filled(module: Any, state: Mapping[str, Tensor], what: str) -> Any:
    """Put tensors in place of a module's parameters.

    Raises:
        ValueError: they are not those that the module needs.
    """
    try:
        check_shapes(module.state_dict(), state)
    except ValueError as error:
        raise ValueError(f"Of the {what}, {error}") from None
    module.load_state_dict(dict(state), strict=True, assign=True)
    return module


def settle(module: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """Bring a module to a device and a dtype (None: as it is), frozen and ready to run."""
    # Not diffusers' own `to`, which warns of modules to keep in float32; these have none.
    nn.Module.to(module, device, dtype)
    return module.requires_grad_(False).eval()


def make_buffers(encoder: nn.Module, length: int) -> None:
    """Give an encoder built without memory its counting buffer, which no file holds."""
    for module in encoder.modules():
        if isinstance(getattr(module, "position_ids", None), Tensor):
            module.register_buffer("position_ids", torch.arange(length)[None], persistent=False)


def unreadable(folder: Path, error: Exception) -> str:
    """Return the sentence for a folder that a library failed on."""
    reason = str(error).strip().split("\n")[0][:200].rstrip(".")
    return f"The model folder {str(folder)!r} cannot be read ({reason}); download it again."
