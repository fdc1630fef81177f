"""What a file of weights is: a whole model, or an adapter; and how an adapter is written.

Everything is found from the contents, never from a name. Opening files is in
`gligen.weights.weightfiles`, names in `gligen.weights.conversion`, the kinds in
`gligen.weights.recognition`, folders in `gligen.weights.folders`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from gligen.tokenizers import tokenizer_like
from gligen.unet import is_grounding_key
from gligen.weights.adapters import (
    PROJECTION_KEY,
    Adapter,
    Base,
    FirstWeights,
    adapter_file_state,
    split_unet,
)
from gligen.weights.building import check_shapes, empty_unet
from gligen.weights.conversion import State, convert_adapter_state, convert_unet_state
from gligen.weights.official import KIND_OF_MODULE
from gligen.weights.partnames import convert_text_state, convert_vae_state
from gligen.weights.recognition import (
    BASE_FIRST,
    TRAINED_FIRST,
    ablations_in,
    detect_kind,
    trains_first_convolution,
)
from gligen.weights.weightfiles import WeightFile, read_safetensors_metadata, read_weight_file

METADATA_KEY = "gligen"


@dataclass(frozen=True)
class WholeModel:
    """A UNet with whatever other parts its source has; configs are diffusers' and transformers'.

    Raises:
        ValueError: weights of the UNet are missing, unexpected or of another size.
    """

    kind: str | None  # None: a plain base
    unet: tuple[dict[str, Any], State]
    vae: tuple[dict[str, Any], State] | None
    text_encoder: tuple[dict[str, Any], State] | None
    projection: Tensor | None = None  # matrix of the text-image kinds, as nn.Linear has it
    folder: Path | None = None  # that it was read from: tokenizer, scheduler and the like

    def __post_init__(self):
        config, state = self.unet
        check_shapes(empty_unet(config, state).state_dict(), state)

    def split(self) -> tuple[Base, Adapter | None]:
        """Divide its UNet into the frozen base and the new layers."""
        base, adapter = split_unet(*self.unet, self.kind)
        return base, adapter and replace(adapter, projection=self.projection)


def read_checkpoint(path: str | Path, *hints: str) -> Adapter | WholeModel:
    """Read a model file: an official checkpoint, a single-file base, or an adapter.

    Args:
        path: of the file.
        hints: kinds that it may be, where neither its layers nor the file itself tell.

    Raises:
        ValueError: the file cannot be read, or is none of these; one sentence says why.
    """
    file = read_weight_file(path)
    try:
        return _classify(file, hints)
    except ValueError as error:
        raise ValueError(f"The file {str(path)!r} cannot be used. {error}") from None


def read_adapter(path: str | Path, *hints: str) -> Adapter:
    """Read the adapter of a file: all of an adapter file, the new layers of a whole model.

    Raises:
        ValueError: the file cannot be read, or has no new layers.
    """
    content = read_checkpoint(path, *hints)
    if isinstance(content, Adapter):
        return content
    _, adapter = content.split()
    if adapter is None:
        raise ValueError(
            f"The file {str(path)!r} is a plain Stable Diffusion model without GLIGEN's layers; "
            "give it as the base, and a GLIGEN adapter as the model."
        )
    return adapter


def read_first_weights(path: str | Path) -> FirstWeights | None:
    """Read the authors' file of a base's first convolution, None if the file is something else.

    Raises:
        ValueError: the file cannot be read.
    """
    return _first_weights(read_weight_file(path))


def recorded_kind(path: str | Path) -> str | None:
    """Return the kind that a safetensors file says it is of, without reading its weights."""
    try:
        return _written_config(read_safetensors_metadata(path)).get("kind")
    except (SafetensorError, OSError, ValueError):
        return None  # whoever reads the file says what is wrong with it


def save_adapter(
    path: str | Path,
    unet: UNet2DConditionModel,
    kind: str,
    *,
    base: str = "",
    dtype: torch.dtype | None = None,
    notes: Mapping[str, Any] | None = None,
    original: UNet2DConditionModel | None = None,
) -> None:
    """Write the new layers of a grounded UNet as safetensors, with their config in the metadata.

    Args:
        path: where to write; by custom `<kind>.safetensors`.
        unet: a UNet with GLIGEN's layers.
        kind: one of KINDS.
        base: words for the base it was trained on.
        dtype: to convert to, for example `torch.float16`; None: as it is.
        notes: further plain values to record (steps, seed, figures).
        original: the plain UNet it was trained on; an adapter with a first convolution of its own
            needs that UNet's to be put on other bases, and a map's UNet holds it already.

    Raises:
        ValueError: the UNet has no such layers, or is of another kind.
    """
    weights = unet.state_dict()
    found = detect_kind(weights, kind)
    if found != kind:
        raise ValueError(
            f"The UNet is of kind {found or 'plain'}; it cannot be saved as {kind!r}. Give the "
            "kind it is, and a UNet with GLIGEN's layers."
        )
    _, adapter = split_unet(unet.config, weights, kind)
    assert adapter is not None, "a UNet that has a kind has new layers"
    if original is not None:
        first = FirstWeights(original.conv_in.weight, original.conv_in.bias)
        adapter = replace(adapter, original=first)
    write_adapter(path, replace(adapter, base=base, notes=dict(notes or {})), dtype)


def write_adapter(path: str | Path, adapter: Adapter, dtype: torch.dtype | None = None) -> None:
    """Write an adapter as safetensors; the file appears whole or not at all."""
    config = {"kind": adapter.kind, "base": adapter.base, "notes": adapter.notes or {}}
    config |= ablations_in(adapter.state)
    metadata = {"format": "pt", METADATA_KEY: json.dumps(config)}
    write_safetensors(path, adapter_file_state(adapter), metadata, dtype)


def write_safetensors(
    path: str | Path,
    state: Mapping[str, Tensor],
    metadata: dict[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write weights as safetensors; the file appears whole or not at all."""
    own = {
        key: value.detach().to("cpu", dtype or value.dtype, copy=True).contiguous()
        for key, value in state.items()
    }
    partial = Path(f"{path}.partial")
    try:
        save_file(own, partial, metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _classify(file: WeightFile, hints: tuple[str, ...]) -> Adapter | WholeModel:
    if len(file.sections) == 1 and not file.sections.keys().isdisjoint(("", "model")):
        (state,) = file.sections.values()
        if _first_weights(file) is not None:
            raise ValueError(
                "It is the first convolution of a base alone, which belongs to a map model; give "
                "it as the base (base=..., --base) or with trained_on=... (--trained-on)."
            )
        return _classify_state(_without_prefix(state), file, hints)
    if "model" not in file.sections:
        raise ValueError(
            f"It has {', '.join(file.sections)}, but no UNet (part 'model'). Give a whole "
            "checkpoint."
        )
    unet = convert_unet_state(file.sections["model"])
    vae, text = file.sections.get("autoencoder"), file.sections.get("text_encoder")
    return WholeModel(
        kind=detect_kind(unet[1], *_recorded(file, hints)),
        unet=unet,
        vae=convert_vae_state(vae) if vae else None,
        text_encoder=convert_text_state(text) if text else None,
    )


def _classify_state(state: State, file: WeightFile, hints: tuple[str, ...]) -> Adapter | WholeModel:
    if any(key.startswith(("conditioner.", "cond_stage_model.model.")) for key in state):
        raise ValueError(
            "It is an SDXL or Stable Diffusion 2 model. Give a Stable Diffusion 1.x model."
        )
    hints = _recorded(file, hints)
    if "input_blocks.1.0.in_layers.0.weight" in state:
        unet = convert_unet_state(state)
        return WholeModel(detect_kind(unet[1], *hints), unet, None, None)
    if any(key.startswith(("input_blocks.", "output_blocks.")) for key in state):
        state = convert_adapter_state(state)
    if not any(is_grounding_key(key) for key in state):
        shown = ", ".join(list(state)[:3])
        raise ValueError(
            f"Its {len(state)} weights ({shown}, ...) are not those of a GLIGEN model or adapter, "
            "nor of a Stable Diffusion 1.x model."
        )
    kind = detect_kind(state, *hints)
    if kind is None or not any(".fuser." in key for key in state):
        raise ValueError("It has a grounding tokenizer, but no gated layers (*.fuser.*).")
    return _adapter(kind, state, _written_config(file.metadata))


def _adapter(kind: str, state: State, written: Mapping[str, Any]) -> Adapter:
    for name, found in {"kind": kind, **ablations_in(state)}.items():
        if written.get(name, found) != found:
            raise ValueError(
                f"Its metadata say {written[name]!r}, but its weights are of {found!r}."
            )
    others = (*BASE_FIRST, PROJECTION_KEY)
    trained = TRAINED_FIRST if trains_first_convolution(kind) else ()
    own = {k: v for k, v in state.items() if is_grounding_key(k) or k in trained}
    strangers = [key for key in state if key not in own and key not in others]
    # Pruned files of other kinds may carry the base's convolution along; it is then not needed.
    strangers = [key for key in strangers if key not in TRAINED_FIRST]
    if strangers:
        raise ValueError(
            f"As an adapter it has {len(strangers)} unexpected keys ({', '.join(strangers[:4])}); "
            "an adapter holds the new layers alone."
        )
    lone = [key for key in (*trained, *BASE_FIRST) if key in state]
    if len(lone) % 2:
        raise ValueError(f"Of its first convolution only a part is there ({', '.join(lone)}).")
    wanted = {f"position_net.{k}": v for k, v in tokenizer_like(own).state_dict().items()}
    check_shapes(wanted, {k: v for k, v in own.items() if k.startswith("position_net.")})
    original = None
    if BASE_FIRST[0] in state:
        original = FirstWeights(*(state[key] for key in BASE_FIRST))
    return Adapter(
        kind,
        own,
        original=original,
        projection=state.get(PROJECTION_KEY),
        base=str(written.get("base", "")),
        notes=written.get("notes"),
    )


def _first_weights(file: WeightFile) -> FirstWeights | None:
    state = file.sections.get("", {})
    if set(state) != {"weight", "bias"} or state["weight"].ndim != 4:
        return None
    return FirstWeights(state["weight"], state["bias"])


def _recorded(file: WeightFile, hints: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the file says of its kind, or else the caller's hints."""
    module = file.tokenizer_class.split(".")[-2:-1]
    recorded = KIND_OF_MODULE.get(module[0]) if module else None
    recorded = _written_config(file.metadata).get("kind", recorded)
    return (str(recorded),) if recorded else hints


def _without_prefix(state: State) -> State:
    """Drop the prefix that tools put before all names of a bare UNet or adapter."""
    for prefix in ("model.diffusion_model.", "diffusion_model.", "model.", "unet."):
        if all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _written_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        config = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ValueError(  # noqa: TRY004 (the file is wrong, not an argument)
            f"Its metadata entry {METADATA_KEY!r} is not a JSON object."
        )
    return config
