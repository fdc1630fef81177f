"""What a model is, in lines for people: kind, sizes, parameters, and what is recorded with it.

Of folders only the headers of the weight files are read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gligen.checkpoints import TEXT_BOX_FEATURE, Adapter, WholeModel, detect_kind, read_checkpoint
from gligen.conversion import UNetSizes
from gligen.loading import locate
from gligen.metadata import read_settings
from gligen.unet import is_grounding_key
from gligen.weightfiles import read_weight_file

PNG_SIGNATURE = b"\x89PNG"


def describe(source: str) -> list[str]:
    """Return lines that say what a source is.

    Args:
        source: "embedded", a file, a diffusers folder, a hub id, or a PNG that was made here.

    Raises:
        ValueError: it is nothing of that, or damaged; one sentence says why.
    """
    place = locate(source)
    if place.is_dir():
        return _folder(place)
    with place.open("rb") as file:
        if file.read(4) == PNG_SIGNATURE:
            return [f"{place}: picture with settings", *_indented(read_settings(place))]
    content = read_checkpoint(place)
    if isinstance(content, Adapter):
        return _adapter(place, content)
    return _whole(place, content)


def _adapter(path: Path, adapter: Adapter) -> list[str]:
    lines = [
        f"{path}: adapter (the new layers alone)",
        f"  kind: {adapter.kind}",
        f"  width of a phrase feature: {adapter.feature_width}",
        f"  parameters: {_count(adapter.state):,}",
        f"  first convolution: "
        f"{'included' if 'conv_in.weight' in adapter.state else 'of the base'}",
    ]
    if adapter.base:
        lines.append(f"  trained on: {adapter.base}")
    return lines + _indented(adapter.notes or {})


def _whole(path: Path, model: WholeModel) -> list[str]:
    config, state = model.unet
    lines = [f"{path}: whole model", *_unet(UNetSizes.from_config(config), state)]
    for part, name in ((model.vae, "autoencoder"), (model.text_encoder, "text encoder")):
        lines.append(
            f"  {name}: {'missing' if part is None else f'{_count(part[1]):,} parameters'}"
        )
    return lines


def _folder(folder: Path) -> list[str]:
    unet_config = folder / "unet" / "config.json"
    if not unet_config.is_file():
        raise ValueError(
            f"The folder {str(folder)!r} is not a diffusers model: it has no unet/config.json; "
            "name "
            "the folder that contains model_index.json."
        )
    state = _shapes(folder / "unet")
    config = json.loads(unet_config.read_text(encoding="utf-8"))
    lines = [f"{folder}: diffusers folder", *_unet(UNetSizes.from_config(config), state)]
    for part in ("vae", "text_encoder"):
        if (folder / part).is_dir():
            lines.append(f"  {part}: {_count(_shapes(folder / part)):,} parameters")
    for file in sorted((folder / "adapters").glob("*.safetensors")):
        adapter = read_checkpoint(file)
        if isinstance(adapter, Adapter):
            lines += [f"  {line}" for line in _adapter(file.relative_to(folder), adapter)]
    record = folder / "training.json"
    if record.is_file():
        lines.append("  recorded in training.json:")
        lines += _indented(json.loads(record.read_text(encoding="utf-8")), "    ")
    return lines


def _unet(sizes: UNetSizes, state: Mapping[str, Tensor]) -> list[str]:
    kind = detect_kind(state)
    new = {key: value for key, value in state.items() if is_grounding_key(key)}
    lines = [
        f"  kind: {kind or 'plain Stable Diffusion, without new layers'}",
        f"  channels: {sizes.in_channels} in, {sizes.out_channels} out; levels "
        f"{', '.join(map(str, sizes.block_out_channels))}; {sizes.layers_per_block} blocks per "
        "level",
        f"  width of a text token: {sizes.context_width}",
        f"  UNet: {_count(state):,} parameters, {_count(new):,} of them in new layers",
    ]
    if kind is not None:
        lines.insert(3, f"  width of a phrase feature: {state[TEXT_BOX_FEATURE].shape[0]}")
    return lines


def _shapes(folder: Path) -> dict[str, Tensor]:
    """Return the weights of a part without their values, from whichever file holds them."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise ValueError(f"The folder {str(folder)!r} holds no weights; download the model again.")
    if files[0].suffix == ".bin":
        return read_weight_file(files[0]).sections[""]
    try:
        with safe_open(str(files[0]), "pt") as file:
            names = list(file.keys())
            return {
                name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in names
            }
    except SafetensorError as error:
        raise ValueError(
            f"The safetensors file {str(files[0])!r} is truncated or damaged ({error}); download "
            "it "
            "again."
        ) from None


def _indented(values: Mapping[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_indented(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines


def _count(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())
