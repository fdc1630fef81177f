"""From the name of a model to pipelines: the embedded model, files, folders, hub ids.

A pipeline has frozen parts (autoencoder, text encoder, tokenizer, the base UNet's weights), which
all kinds of one source share in memory, and the new layers of its kind. What is on disk is read in
`gligen.weights.sources`, built in `gligen.weights.parts`, put together in
`gligen.weights.adapters`; the hub is asked in `gligen.weights.hub`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from gligen.embedded import EMBEDDED, OFFICIAL, embedded_folder
from gligen.kinds import KINDS, MAP, kind_named
from gligen.pipeline import GligenPipeline
from gligen.weights.adapters import ask_for_base, put_on
from gligen.weights.building import build_grounded
from gligen.weights.checkpoints import read_first_weights
from gligen.weights.hub import fetch_model, is_hub_id
from gligen.weights.parts import Parts, build_parts
from gligen.weights.recognition import BASE_FIRST
from gligen.weights.released import released_model
from gligen.weights.sources import Source, read_original, read_source
from gligen.weights.vision import Eyes

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_pipeline(
    source: str | Path = EMBEDDED,
    kind: str | None = None,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: str | Path | None = None,
    trained_on: str | Path | None = None,
    projection: str | Path | None = None,
) -> GligenPipeline:
    """Load the pipeline of one kind; see `load_pipelines`.

    Args:
        source: see there, as all others.
        kind: one of `gligen.kinds.KINDS`; None: what the source is, and of several the first.
        base: see there.
        device: see there.
        dtype: see there.
        tokenizer: see there.
        trained_on: see there.
        projection: see there.

    Raises:
        ValueError: the model cannot be had, or is not of this kind; one sentence says why.
    """
    if kind is None and source in (EMBEDDED, OFFICIAL):
        kind = KINDS[0]
    kinds = None if kind is None else (kind,)
    loaded = load_pipelines(source, kinds, base, device, dtype, tokenizer, trained_on, projection)
    return next(iter(loaded.values()))


def load_pipelines(
    source: str | Path = EMBEDDED,
    kinds: Sequence[str] | None = None,
    base: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    tokenizer: str | Path | None = None,
    trained_on: str | Path | None = None,
    projection: str | Path | None = None,
) -> dict[str, GligenPipeline]:
    """Load one pipeline for each kind; what is equal in them is in memory once.

    Args:
        source: "embedded" (the model in this package), "official" (the released models, from the
            hub), a file (official checkpoint or adapter), a diffusers folder, or a hub id.
        kinds: of `gligen.kinds.KINDS`; None: all that the source holds, and of the released models
            the two for phrases in boxes. One of them also tells canny from depth where the weights
            do not.
        base: a Stable Diffusion 1.x model (folder, single file, hub id) to put the new layers on.
            Adapter files need one; of whole models only the new layers are then used. For a whole
            model of a map kind the authors' file of the base's first convolution is enough.
        device: "cpu", "cuda", "cuda:1", "mps"; None: the fastest there is.
        dtype: "float32", "float16", "bfloat16"; None: float16 on CUDA, else float32.
        tokenizer: folder or hub id of a CLIP tokenizer, for checkpoints that have none.
        trained_on: the base that an adapter of an inpainting or map kind was trained on, or the
            authors' file of its first convolution; for adapters that do not hold it.
        projection: the authors' file `projection_matrix` of the text-image kinds, for checkpoints
            that do not hold it; without it they cannot read reference pictures.

    Raises:
        ValueError: the source cannot be read, does not hold a kind, or does not fit the base; the
            message names it and says what to do.
    """
    wanted = _check_kinds(kinds)
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    name = str(source) if base is None else f"{source} on {base}"
    if source == OFFICIAL:
        wanted = wanted or KINDS[:2]
        asked = _released(wanted)
        base = base or _released_base(asked)
    else:
        asked = {locate(source): wanted}
    original = None if trained_on is None else read_original(locate(trained_on))
    home_place = next(iter(asked)) if base is None else locate(base)
    if home_place.is_file() and (alone := read_first_weights(home_place)) is not None:
        original, home_place = alone, next(iter(asked))

    read = {place: read_source(place, hints) for place, hints in asked.items()}
    home = read.get(home_place) or read_source(home_place, ())
    adapters = {kind: (a, s is home) for s in read.values() for kind, a in s.adapters.items()}
    found = tuple(kind for kind in KINDS if kind in adapters)
    if home.model is None:
        raise ValueError(_ask_for_whole_base(home))
    _check_found(source, wanted or found, found)

    parts = build_parts(home.place, home.model, dtype, device, tokenizer)
    lay_out(parts.vae, device)
    matrix = None if projection is None else locate(projection)
    eyes = Eyes((home, *read.values()), device, dtype, matrix)
    pipelines = {}
    for kind in wanted or found:
        adapter, at_home = adapters[kind]
        config, state = put_on(parts.base, adapter, original, at_home=at_home)
        if kind_named(kind).modality == MAP and BASE_FIRST[0] not in state:
            raise ValueError(ask_for_base(f"of the base of {str(source)!r} ({kind})"))
        unet = build_grounded(config, state, kind)
        lay_out(unet, device)
        pipelines[kind] = _pipeline(parts, unet, name, eyes.for_kind(kind, adapter))
        pipelines[kind].label_names = tuple((adapter.notes or {}).get("labels", ()))
    return pipelines


def _released(kinds: Sequence[str]) -> dict[Path, tuple[str, ...]]:
    """Return where the released models are, each with the kinds to take from there.

    They are diffusers folders, or else the authors' own files.
    """
    places: dict[Path, tuple[str, ...]] = {}
    for kind in kinds:
        model = released_model(kind)
        names = [name for name in (model.diffusers_id, model.official_id) if name is not None]
        place = _first_to_be_had(names)
        places[place] = (*places.get(place, ()), kind)
    return places


def _first_to_be_had(names: Sequence[str]) -> Path:
    for name in names[:-1]:
        try:
            return fetch_model(name)
        except ValueError:
            continue  # the last one's refusal is the one that is told
    return fetch_model(names[-1])


def _released_base(places: Mapping[Path, Sequence[str]]) -> str | None:
    """Return the base for map kinds, whose files lack its first convolution."""
    for place, kinds in places.items():
        if place.is_file() and any(kind_named(kind).modality == MAP for kind in kinds):
            return released_model(kinds[0]).base_id
    return None


def lay_out(model: nn.Module, device: torch.device) -> None:
    """Put the channels of convolutions last in memory on CUDA, where kernels want them so.

    On CPUs nothing was gained by it.
    """
    if device.type == "cuda":
        anything: Any = model  # torch's types leave this argument of `to` out
        anything.to(memory_format=torch.channels_last)


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
        kind_named(kind)
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


def _ask_for_whole_base(source: Source) -> str:
    (adapter,) = source.adapters.values()
    hint = f" It was trained on {adapter.base}." if adapter.base else ""
    return (
        f"The file {str(source.place)!r} is an adapter ({adapter.kind}), the new layers alone; "
        "name the Stable Diffusion 1.x model to put them on with base=... (--base)." + hint
    )


def _pipeline(
    parts: Parts, unet: UNet2DConditionModel, name: str, eyes: dict[str, Any]
) -> GligenPipeline:
    pipeline = GligenPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=unet,
        scheduler=parts.scheduler,
        **eyes,
    )
    pipeline.model_name = name
    return pipeline
