"""Reading a model's frozen parts, and its adapters, from a folder or a file on disk.

A folder is a diffusers model; a file is whatever `gligen.checkpoints` makes of it. Names of models,
hub ids included, are resolved in `gligen.loading`.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import (
    AutoencoderKL,
    PNDMScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from gligen.checkpoints import (
    KINDS,
    Adapter,
    WholeModel,
    adapter_of,
    build_unet,
    check_base,
    check_shapes,
    detect_kind,
    read_adapter,
    read_checkpoint,
)
from gligen.conversion import text_keys_for
from gligen.hub import fetch_tokenizer, is_hub_id
from gligen.released import released_model
from gligen.unet import add_grounding
from gligen.weightfiles import check_finite

# What the libraries raise on folders that are damaged or of another model.
_UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError)


@dataclass(frozen=True)
class Parts:
    """The parts of a Stable Diffusion model that is loaded, on its device."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: SchedulerMixin


def read_parts(
    place: Path, dtype: torch.dtype, device: torch.device, tokenizer: str | Path | None
) -> Parts:
    """Read the parts of a model from a folder or a file, and bring them to a device.

    Args:
        place: a diffusers folder, an official checkpoint, or a single-file Stable Diffusion 1.x.
        dtype: of all weights.
        device: of all weights.
        tokenizer: folder or hub id of a CLIP tokenizer; None: the model's own.

    Raises:
        ValueError: it is none of these, damaged, incomplete, or of another family.
    """
    if place.is_dir():
        parts = _read_folder(place, dtype, tokenizer)
    else:
        content = read_checkpoint(place)
        if isinstance(content, Adapter):
            hint = f" It was trained on {content.base}." if content.base else ""
            raise ValueError(
                f"The file {str(place)!r} is an adapter ({content.kind}), the new layers alone; "
                "name the "
                f"Stable Diffusion 1.x model to put them on with base=... (--base).{hint}"
            )
        parts = _assemble(place, content, tokenizer)
    _check_widths(place, parts)
    for module in (parts.unet, parts.vae, parts.text_encoder):
        # Not diffusers' own `to`, which warns of modules to keep in float32; these have none.
        torch.nn.Module.to(module, device, dtype).requires_grad_(False).eval()
    return parts


def _read_folder(folder: Path, dtype: torch.dtype, tokenizer: str | Path | None) -> Parts:
    index = _read_json(folder, "model_index.json")
    check_base(_read_json(folder, "unet/config.json"))
    others = {"tokenizer": _read_tokenizer(tokenizer)} if tokenizer else {}
    for part in ("vae", "text_encoder", "scheduler", *(() if others else ("tokenizer",))):
        if part not in index or not (folder / part).is_dir():
            raise ValueError(
                f"The model folder {str(folder)!r} has no {part}; download the whole model again."
            )
    try:
        with _quietly():
            loaded = StableDiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                variant=_variant(folder),
                safety_checker=None,
                requires_safety_checker=False,
                local_files_only=True,
                **others,
            )
    except _UNREADABLE as error:
        raise ValueError(_unreadable(folder, error)) from None
    parts = Parts(loaded.unet, loaded.vae, loaded.text_encoder, loaded.tokenizer, loaded.scheduler)
    for module in (parts.unet, parts.vae, parts.text_encoder):
        check_finite(str(folder), module.state_dict())
    _adopt_grounding(folder, parts.unet)
    return parts


def read_adapters(place: Path, *, is_home: bool) -> list[Adapter]:
    """Return the adapters that a place offers.

    Args:
        place: an adapter file, a whole model, or a folder with adapters in `adapters/`.
        is_home: the place is where the parts come from; its UNet's own layers are then left out.

    Raises:
        ValueError: it cannot be read; one sentence says why.
    """
    if place.is_file():
        return [] if is_home else [read_adapter(place)]
    files = sorted((place / "adapters").glob("*.safetensors"))
    if files or is_home:
        return [read_adapter(file) for file in files]
    check_base(_read_json(place, "unet/config.json"))
    try:
        unet = UNet2DConditionModel.from_pretrained(
            place, subfolder="unet", variant=_variant(place), local_files_only=True
        )
    except _UNREADABLE as error:
        raise ValueError(_unreadable(place, error)) from None
    _adopt_grounding(place, unet)
    weights = unet.state_dict()
    check_finite(str(place), weights)
    kind = detect_kind(weights)
    return [adapter_of(weights, kind)] if kind else []


def _adopt_grounding(place: Path, unet: UNet2DConditionModel) -> None:
    """Replace diffusers' gated layers by this library's, on the same parameters."""
    try:
        kind = detect_kind(unet.state_dict())
    except ValueError as error:
        raise ValueError(f"The model folder {str(place)!r} cannot be used. {error}") from None
    if kind is not None:
        add_grounding(unet)


def _assemble(path: Path, content: WholeModel, tokenizer: str | Path | None) -> Parts:
    """Build the parts of a single file; what it lacks is an error, or comes from the hub."""
    if content.vae is None or content.text_encoder is None:
        name = "autoencoder" if content.vae is None else "text encoder"
        raise ValueError(
            f"The file {str(path)!r} has a UNet but no {name}; give a whole checkpoint, or name "
            f"the "
            "Stable Diffusion 1.x model that has one with base=... (--base)."
        )
    vae_config, vae_state = content.vae
    text_config, text_state = content.text_encoder
    vae = cast("AutoencoderKL", AutoencoderKL.from_config(vae_config))
    text_encoder = CLIPTextModel(CLIPTextConfig(**text_config))
    text_state = text_keys_for(text_encoder.state_dict(), text_state)
    try:
        unet = build_unet(*content.unet)
        for module, state in ((vae, vae_state), (text_encoder, text_state)):
            check_shapes(module.state_dict(), state)
            module.load_state_dict(state, assign=True)
    except ValueError as error:
        raise ValueError(f"The file {str(path)!r} cannot be used: {error}") from None
    if tokenizer is None:
        tokenizer = fetch_tokenizer(released_model(content.kind or KINDS[0]).tokenizer_id)
    # The noise schedule of Stable Diffusion 1.x, with PLMS as its sampler.
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        steps_offset=1,
    )
    return Parts(unet, vae, text_encoder, _read_tokenizer(tokenizer), scheduler)


def _read_tokenizer(source: str | Path) -> CLIPTokenizer:
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
        raise ValueError(_unreadable(folder, error)) from None


def _check_widths(place: Path, parts: Parts) -> None:
    text, cross = parts.text_encoder.config.hidden_size, parts.unet.config["cross_attention_dim"]
    if text != cross:
        raise ValueError(
            f"In {str(place)!r} the text encoder is {text} wide and the UNet reads {cross}; they "
            "belong to different models."
        )


@contextmanager
def _quietly() -> Generator[None]:
    """Load without the bars that diffusers and transformers draw for each part."""
    drawing = [
        library
        for library in (diffusers_logging, transformers_logging)
        if library.is_progress_bar_enabled()
    ]
    for library in drawing:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in drawing:
            library.enable_progress_bar()


def _variant(folder: Path) -> str | None:
    """Return "fp16" for a folder whose weights exist in that variant only."""
    names = [path.name for path in (folder / "unet").glob("diffusion_pytorch_model*")]
    halves = [name for name in names if ".fp16" in name]
    return "fp16" if halves and len(halves) == len(names) else None


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise ValueError(
            f"The folder {str(folder)!r} is not a diffusers model: it has no {name}; name the "
            "folder that contains model_index.json."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"The file {str(path)!r} is damaged ({error}); download it again."
        ) from None
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"The file {str(path)!r} is damaged: not a JSON object; download it again."
        )
    return content


def _unreadable(folder: Path, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0][:200].rstrip(".")
    return f"The model folder {str(folder)!r} cannot be read ({reason}); download it again."
