"""From any form of a model to any other that can hold it.

Forms: a diffusers folder; an adapter, the new layers alone; the authors' checkpoint; and the
library's own folder, a plain base in diffusers' layout with `adapters/<kind>.safetensors`. Weights
pass through unchanged, so the way there and back is exact, unless another precision is asked for.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from diffusers import AutoencoderKL

from gligen.weights.adapters import Adapter
from gligen.weights.building import empty_unet
from gligen.weights.checkpoints import write_adapter, write_safetensors
from gligen.weights.conversion import State, original_adapter_state, original_unet_state
from gligen.weights.convertfolders import write_diffusers, write_gligen
from gligen.weights.convertsource import (
    Conversion,
    Material,
    dtype_of,
    grounded_state,
    one_adapter,
    read_material,
    whole_model,
)
from gligen.weights.noisetables import BETA_END, BETA_START, noise_tables
from gligen.weights.official import model_config, write_official
from gligen.weights.partnames import original_text_state, original_vae_state
from gligen.weights.parts import read_scheduler
from gligen.weights.recognition import BASE_FIRST, check_form, trains_first_convolution


def _say_nothing(sentence: str) -> None:
    del sentence


def convert(conversion: Conversion, report: Callable[[str], None] = _say_nothing) -> list[Path]:
    """Convert a model; return what was written.

    Everything is written under a temporary name and appears whole or not at all.

    Args:
        conversion: from what, to what.
        report: called with a sentence on what is being done, and on what was left out.

    Raises:
        ValueError: the source cannot be read, the form cannot hold it, or the target exists.
    """
    _check_target(conversion)
    report(f"Reading {conversion.source} ...")
    material = read_material(conversion)
    report(f"Writing {conversion.target} ...")
    match conversion.to:
        case "adapter":
            _write_adapter(conversion, one_adapter(conversion, material), report)
        case "official":
            _write_official(conversion, material)
        case "diffusers":
            write_diffusers(conversion, material, report)
        case _:
            write_gligen(conversion, material)
    return [conversion.target]


def _write_adapter(conversion: Conversion, adapter: Adapter, report: Callable[[str], None]) -> None:
    dtype = dtype_of(conversion)
    if conversion.names == "comfyui":
        check_form(adapter.state, "An adapter with ComfyUI's names")
        state = original_adapter_state(adapter.state)
        write_safetensors(conversion.target, state, {"format": "pt"}, dtype)
        if adapter.original is not None and trains_first_convolution(adapter.kind):
            report(
                "Left out: the first convolution of the base, which such files have no name for."
            )
        if adapter.projection is not None:
            report("Left out: the projection matrix, which such files have no name for.")
        return
    if trains_first_convolution(adapter.kind) and adapter.original is None:
        report(
            "Note: the first convolution of the base it was trained on is not known, so that the "
            "adapter will ask for it on other bases; --trained-on adds it."
        )
    write_adapter(conversion.target, adapter, dtype)


def _write_official(conversion: Conversion, material: Material) -> None:
    adapter = one_adapter(conversion, material)
    check_form(adapter.state, "The form official", allowed=("fuser",))
    model = whole_model(conversion, material)
    if model.folder is not None:
        _check_schedule(model.folder)
    config, state = grounded_state(conversion, material, adapter)
    settings = empty_unet(config, state).config
    own = {key: value for key, value in state.items() if key not in BASE_FIRST}
    assert model.vae is not None, "a whole model"
    assert model.text_encoder is not None, "a whole model"
    dtype = dtype_of(conversion)
    with torch.device("meta"):
        vae = cast("AutoencoderKL", AutoencoderKL.from_config(model.vae[0])).config
    sections = {
        "model": original_unet_state(settings, own),
        "autoencoder": original_vae_state(vae, _cast(model.vae[1], dtype)),
        "text_encoder": original_text_state(_cast(model.text_encoder[1], dtype)),
        "diffusion": noise_tables(),
    }
    config = model_config(adapter.kind, settings, own)
    write_official(conversion.target, sections, config)


def _check_schedule(folder: Path) -> None:
    """Refuse what the authors' code cannot sample: it knows the noise schedule of one base."""
    config = read_scheduler(folder).config
    found = (config["beta_start"], config["beta_end"], config["beta_schedule"])
    predicts = config.get("prediction_type", "epsilon")
    if found != (BETA_START, BETA_END, "scaled_linear") or predicts != "epsilon":
        raise ValueError(
            f"The form official cannot hold this model: its UNet predicts {predicts} on the noise "
            f"schedule {found}, where the original code knows epsilon on ({BETA_START}, "
            f"{BETA_END}, 'scaled_linear') alone; convert it to gligen or diffusers."
        )


def _cast(state: State, dtype: torch.dtype | None) -> State:
    return {key: value.to(dtype or value.dtype) for key, value in state.items()}


def _check_target(conversion: Conversion) -> None:
    target = conversion.target
    if not target.parent.is_dir():
        raise ValueError(f"There is no folder {str(target.parent)!r} to write to; create it first.")
    if target.exists() and not conversion.force:
        raise ValueError(
            f"{str(target)!r} is there already; name another target, or replace it with --force "
            "(force=True)."
        )
    if conversion.to in ("adapter", "official") and target.is_dir():
        raise ValueError(f"{str(target)!r} is a folder; the form {conversion.to} is one file.")
    if conversion.to in ("diffusers", "gligen") and target.is_file():
        raise ValueError(f"{str(target)!r} is a file; the form {conversion.to} is a folder.")
