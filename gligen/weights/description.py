"""What a model is: kind, sizes, parameters, what is missing or ignored and why, what is recorded.

`facts` answers with plain values, `describe` with lines for people.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gligen.kinds import KINDS, MAP, TEXT_IMAGE_BOX, kind_named
from gligen.loading import locate
from gligen.pictures.metadata import read_settings
from gligen.unet import is_grounding_key
from gligen.weights.adapters import Adapter, FirstWeights
from gligen.weights.checkpoints import WholeModel, read_checkpoint, read_first_weights
from gligen.weights.conversion import UNetSizes
from gligen.weights.recognition import NULL_FEATURES, ablations_in, trains_first_convolution
from gligen.weights.sources import Source, read_source
from gligen.weights.weightfiles import read_weight_file

PNG_SIGNATURE = b"\x89PNG"

# Why what stands beside the weights of a file is not read, by the first part of its name.
NOISE_TABLE = "table of the noise schedule, which is computed anew"
LEFT_OUT = {
    "opt": "state of the optimizer, for training",
    "scheduler": "state of the learning rate, for training",
    "iters": "steps trained",
    "epoch": "state of the training",
    "global_step": "steps trained",
    "ema": "averaged weights; the plain ones are read",
    "model_ema": "averaged weights; the plain ones are read",
    "config_dict": "configuration of the original code; only the tokenizer's class is looked at",
    "betas": NOISE_TABLE,
    "log_one_minus_alphas_cumprod": NOISE_TABLE,
    **dict.fromkeys(("alphas_cumprod", "alphas_cumprod_prev"), NOISE_TABLE),
    **{f"sqrt_{name}alphas_cumprod": NOISE_TABLE for name in ("", "one_minus_", "recip_")},
    "sqrt_recipm1_alphas_cumprod": NOISE_TABLE,
    "posterior_variance": NOISE_TABLE,
    "posterior_log_variance_clipped": NOISE_TABLE,
    "posterior_mean_coef1": NOISE_TABLE,
    "posterior_mean_coef2": NOISE_TABLE,
}
READING_PICTURES = [kind for kind in KINDS if kind_named(kind).modality == TEXT_IMAGE_BOX]
UNKNOWN = "no part of a Stable Diffusion model that is read here"


def describe(source: str, kind: str | None = None) -> list[str]:
    """Return lines that say what a source is; see `facts`.

    Raises:
        ValueError: as `facts`.
    """
    found = facts(source, kind)
    head = f"{found.pop('source')}: {found.pop('form')}"
    return [head, *_indented(found)]


def facts(source: str, kind: str | None = None) -> dict[str, Any]:
    """Return what a source is, as plain values in the order of interest.

    Args:
        source: "embedded", a file, a diffusers folder, a hub id, or a PNG that was made here.
        kind: tells canny from depth where the weights do not.

    Raises:
        ValueError: it is nothing of that, or damaged; one sentence says why.
    """
    place = locate(source)
    if place.is_file():
        with place.open("rb") as file:
            if file.read(4) == PNG_SIGNATURE:
                return _head(place, "picture with settings") | read_settings(place)
        first = read_first_weights(place)
        if first is not None:
            return _head(place, "first convolution of a base, for map models") | _first(first)
        if kind is None and _is_undecided(place):
            return _undecided(place)
    read = read_source(place, None if kind is None else (kind,))
    if read.model is None:
        (adapter,) = read.adapters.values()
        return _head(place, "adapter (the new layers alone)") | _adapter(adapter) | _beside(place)
    found = _head(place, _form(read)) | _whole(read.model)
    if place.is_file():
        return found | _beside(place)
    inside = [a for a in read.adapters.values() if a.kind != read.model.kind]
    if inside:
        found["adapters"] = {adapter.kind: _adapter(adapter) for adapter in inside}
    record = place / "training.json"
    if record.is_file():
        found["recorded in training.json"] = json.loads(record.read_text(encoding="utf-8"))
    return found


def _is_undecided(place: Path) -> bool:
    """Whether only a hint is missing to say what a file is."""
    try:
        read_checkpoint(place)
    except ValueError as error:
        return "--kind canny" in str(error)
    return False


def _undecided(place: Path) -> dict[str, Any]:
    content = read_checkpoint(place, "canny")
    found = _adapter(content) if isinstance(content, Adapter) else _whole(content)
    form = "adapter (the new layers alone)" if isinstance(content, Adapter) else "whole model"
    found["kind"] = "canny or depth, which have the same layers (--kind says which)"
    return _head(place, form) | found | _beside(place)


def _head(place: Path, form: str) -> dict[str, Any]:
    return {"source": str(place), "form": form}


def _form(source: Source) -> str:
    assert source.model is not None, "asked of models only"
    if source.model.folder is not None:
        return "diffusers folder with adapters" if _has_adapters(source) else "diffusers folder"
    return "whole model" if source.model.kind else "plain base in a single file"


def _has_adapters(source: Source) -> bool:
    return (source.place / "adapters").is_dir()


def _adapter(adapter: Adapter) -> dict[str, Any]:
    known = adapter.original is not None
    found: dict[str, Any] = {
        "kind": adapter.kind,
        "width of a feature": adapter.feature_width,
        "parameters": _count(adapter.state),
        "precision": _precision(adapter.state),
        "first convolution": "of the base",
    }
    found |= _ablations(adapter.state)
    missing = {}
    if trains_first_convolution(adapter.kind):
        found["first convolution"] = "its own" + (", and that of the base" if known else "")
        if not known:
            missing["first convolution of the base"] = (
                "needed on other bases than the one it was trained on: --trained-on"
            )
    if adapter.projection is None and adapter.kind in READING_PICTURES:
        missing["projection matrix"] = "needed for reference pictures: --projection"
    if adapter.base:
        found["trained on"] = adapter.base
    if missing:
        found["missing"] = missing
    return found | ({"recorded": adapter.notes} if adapter.notes else {})


def _whole(model: WholeModel) -> dict[str, Any]:
    config, state = model.unet
    sizes = UNetSizes.from_config(config)
    new = {key: value for key, value in state.items() if is_grounding_key(key)}
    found: dict[str, Any] = {
        "kind": model.kind or "plain Stable Diffusion, without new layers",
        "channels": f"{state['conv_in.weight'].shape[1]} in, {sizes.out_channels} out",
        "levels": f"{', '.join(map(str, sizes.block_out_channels))}; "
        f"{sizes.layers_per_block} blocks per level",
        "width of a text token": sizes.context_width,
        "UNet": f"{_count(state):,} parameters, {_count(new):,} of them in new layers",
        "precision": _precision(state),
    }
    if model.kind is not None:
        width = next(state[name].shape[0] for name in NULL_FEATURES if name in state)
        found["width of a feature"] = width
        found |= _ablations(state)
    missing = {}
    parts = {"autoencoder": model.vae, "text encoder": model.text_encoder}
    for name, part in parts.items():
        if part is None:
            missing[name] = "needed to paint: --base names a model that has one"
        else:
            found[name] = f"{_count(part[1]):,} parameters"
    if model.folder is None:
        missing["tokenizer"] = "comes from the hub, or with --tokenizer"
    base, adapter = model.split()
    if adapter is not None and base.first is None and kind_named(adapter.kind).modality == MAP:
        missing["first convolution of the base"] = "needed without a map and after tau: --base"
    if model.projection is None and model.kind in READING_PICTURES:
        missing["projection matrix"] = "needed for reference pictures: --projection"
    return found | ({"missing": missing} if missing else {})


def _beside(place: Path) -> dict[str, Any]:
    """Say what else a file holds, and why it is not read."""
    file = read_weight_file(place)
    ignored = {name: LEFT_OUT.get(name, UNKNOWN) for name in file.left_out}
    if "diffusion" in file.sections:
        ignored["diffusion"] = NOISE_TABLE
    if any(key.endswith("position_ids") for key in file.sections.get("text_encoder", {})):
        ignored["position_ids"] = "buffer of older text encoders that counts 0, 1, 2, ..."
    return {"ignored": ignored} if ignored else {}


def _first(first: FirstWeights) -> dict[str, Any]:
    outputs, inputs = first.weight.shape[:2]
    return {"channels": f"{inputs} in, {outputs} out"}


def _ablations(state: Mapping[str, Tensor]) -> dict[str, str]:
    titles = {"fuser": "gated layers", "box_embedding": "embedding of boxes"}
    return {titles[name]: value for name, value in ablations_in(state).items()}


def _precision(state: Mapping[str, Tensor]) -> str:
    names = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values()}
    return " and ".join(sorted(names))


def _indented(values: Mapping[str, Any], indent: str = "  ") -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_indented(value, indent + "  ")]
        else:
            is_large = isinstance(value, int) and not isinstance(value, bool)
            lines.append(f"{indent}{key}: {f'{value:,}' if is_large else value}")
    return lines


def _count(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())
