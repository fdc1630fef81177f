"""From the name of a model to pipelines: the embedded model, files, folders, hub ids.

A pipeline has frozen parts (autoencoder, text encoder, tokenizer, the base UNet's weights), which
all kinds of one source share in memory, and the new layers of its kind. What is on disk is read in
`gligen.parts`, the hub is asked in `gligen.hub`.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from gligen.checkpoints import KINDS, apply_adapter, detect_kind
from gligen.hub import fetch_model, is_hub_id
from gligen.parts import Parts, read_adapters, read_parts
from gligen.pipeline import GligenPipeline
from gligen.released import released_model

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
EMBEDDED = "embedded"
OFFICIAL = "official"


def load_pipeline(
    source: str | Path = EMBEDDED,
    kind: str = KINDS[0],
    base: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: str | Path | None = None,
) -> GligenPipeline:
    """Load the pipeline of one kind; see `load_pipelines`.

    Raises:
        ValueError: the model cannot be had, or is not of this kind; one sentence says why.
    """
    return load_pipelines(source, (kind,), base, device, dtype, tokenizer)[kind]


def load_pipelines(
    source: str | Path = EMBEDDED,
    kinds: Sequence[str] | None = None,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: str | Path | None = None,
) -> dict[str, GligenPipeline]:
    """Load one pipeline for each kind; what is equal in them is in memory once.

    Args:
        source: "embedded" (the model in this package), "official" (the released models, from the
            hub), a file (official checkpoint or adapter), a diffusers folder, or a hub id.
        kinds: of `gligen.checkpoints.KINDS`; None: all that the source holds.
        base: a Stable Diffusion 1.x model (folder, single file, hub id) to put the new layers on.
            Adapter files need one; of whole models only the new layers are then used.
        device: "cpu", "cuda", "cuda:1", "mps"; None: the fastest there is.
        dtype: "float32", "float16", "bfloat16"; None: float16 on CUDA, else float32.
        tokenizer: folder or hub id of a CLIP tokenizer, for checkpoints that have none.

    Raises:
        ValueError: the source cannot be read, does not hold a kind, or does not fit the base; the
            message names it and says what to do.
    """
    wanted = _check_kinds(kinds)
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    if source == OFFICIAL:
        places = [fetch_model(released_model(kind).diffusers_id) for kind in wanted or KINDS]
    else:
        places = [locate(source)]
    home = places[0] if base is None else locate(base)
    parts = read_parts(home, dtype, device, tokenizer)

    own_kind = detect_kind(parts.unet.state_dict()) if base is None else None
    adapters = {
        adapter.kind: adapter
        for place in places
        for adapter in read_adapters(place, is_home=place == home)
    }
    found = tuple(kind for kind in KINDS if kind == own_kind or kind in adapters)
    _check_found(source, wanted or found, found)
    unets = {
        kind: apply_adapter(parts.unet, adapters[kind]) if kind in adapters else parts.unet
        for kind in wanted or found
    }

    name = str(source) if base is None else f"{source} on {base}"
    return {kind: _pipeline(parts, unet, name) for kind, unet in unets.items()}


def choose_device(device: str | torch.device | None) -> torch.device:
    """Return the device asked for, or the fastest there is.

    Raises:
        ValueError: there is no such device.
    """
    if device is None:
        for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
            if backend.is_available():
                return torch.device(name)
        return torch.device("cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise ValueError(
            f"The device {str(device)!r} cannot be used ({reason}); use cpu, or leave the device "
            "out."
        ) from None
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the dtype asked for; by default float16 on CUDA and float32 elsewhere.

    Raises:
        ValueError: it is not one of DTYPES.
    """
    if dtype is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise ValueError(f"There is no dtype {str(dtype)!r} here; use one of {', '.join(DTYPES)}.")
    return chosen


def embedded_folder() -> Path:
    """Return the folder of the model that comes with the package.

    Raises:
        ValueError: this installation came without it.
    """
    folder = Path(str(resources.files("gligen") / "models" / "embedded"))
    if not (folder / "model_index.json").is_file():
        raise ValueError(
            "The embedded model is not part of this installation; install from the repository, or "
            "name another model."
        )
    return folder


def locate(source: str | Path) -> Path:
    """Return the folder or file that a source names, fetched from the hub if it is there.

    Raises:
        ValueError: nothing of that name can be had.
    """
    if source == EMBEDDED:
        return embedded_folder()
    path = Path(source).expanduser()
    if path.exists():
        return path
    if is_hub_id(str(source)):
        return fetch_model(str(source))
    raise ValueError(
        f"There is no model {str(source)!r}: give 'embedded', 'official', a file, a folder, or a "
        "hub id such as masterful/gligen-1-4-generation-text-box."
    )


def _check_kinds(kinds: Sequence[str] | None) -> tuple[str, ...] | None:
    if kinds is None:
        return None
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"There is no kind {kind!r}; kinds that run are {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in kinds)


def _check_found(source: Any, wanted: tuple[str, ...], found: tuple[str, ...]) -> None:
    if not found:
        raise ValueError(
            f"The model {str(source)!r} is a plain Stable Diffusion model without GLIGEN's layers; "
            "give a GLIGEN adapter as the model, and this one as its base."
        )
    for kind in wanted:
        if kind not in found:
            raise ValueError(
                f"The model {str(source)!r} holds {' and '.join(found)}, not {kind}; ask for what "
                "it holds, or name another model."
            )


def _pipeline(parts: Parts, unet: UNet2DConditionModel, name: str) -> GligenPipeline:
    pipeline = GligenPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=unet,
        scheduler=parts.scheduler,
    )
    pipeline.model_name = name
    return pipeline
