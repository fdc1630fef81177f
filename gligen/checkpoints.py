"""What a file of weights is, and how it becomes a UNet: kinds, whole models, adapters on a base.

Everything is found from the contents, never from a name. An adapter is the new layers alone
(`*.fuser.*`, `position_net.*`, and `conv_in` where the kind trains it); the base stays as it is,
and its tensors are shared, not copied. Opening files is in `gligen.weightfiles`, names in
`gligen.conversion`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor

from gligen.conversion import (
    State,
    convert_adapter_state,
    convert_text_state,
    convert_unet_state,
    convert_vae_state,
)
from gligen.tokenizers import MapTokenizer, downsampler_like, tokenizer_like
from gligen.unet import add_grounding, add_map_input, is_grounding_key
from gligen.weightfiles import WeightFile, read_weight_file

# Kinds that run. The first convolution reads c latent channels (Stable Diffusion: 4); for
# inpainting 2 c + 1: latents, masked latents, mask.
KINDS = ("generation_text_box", "inpainting_text_box")

# The tokenizer's null features tell the families apart.
TEXT_BOX_FEATURE = "position_net.null_positive_feature"
OTHER_FAMILIES = {
    "position_net.null_text_feature": "a text-image-box model",
    "position_net.null_person_feature": "a keypoint model",
    "position_net.null_feature": "a model for whole-image maps (canny, HED, depth, normal, "
    "semantic)",
}
INPUT_CONVOLUTION = ("conv_in.weight", "conv_in.bias")
METADATA_KEY = "gligen"


@dataclass(frozen=True)
class Adapter:
    """The new layers of one kind, under diffusers' names, to be put on a base."""

    kind: str  # one of KINDS
    state: State
    feature_width: int  # of the phrase features that its tokenizer reads
    base: str = ""  # the base it was trained on, as far as the file says
    notes: dict[str, Any] | None = None  # what else the writer recorded


@dataclass(frozen=True)
class WholeModel:
    """A UNet with whatever other parts its file has; configs are diffusers' and transformers'."""

    kind: str | None  # None: a plain base
    unet: tuple[dict[str, Any], State]
    vae: tuple[dict[str, Any], State] | None
    text_encoder: tuple[dict[str, Any], State] | None


def read_checkpoint(path: str | Path) -> Adapter | WholeModel:
    """Read a model file: an official checkpoint, a single-file base, or an adapter.

    Raises:
        ValueError: the file cannot be read, or is none of these; one sentence says why.
    """
    file = read_weight_file(path)
    try:
        return _classify(file)
    except ValueError as error:
        raise ValueError(f"The file {str(path)!r} cannot be used. {error}") from None


def read_adapter(path: str | Path) -> Adapter:
    """Read the adapter of a file: all of an adapter file, the new layers of a whole model.

    Raises:
        ValueError: the file cannot be read, or has no new layers.
    """
    content = read_checkpoint(path)
    if isinstance(content, Adapter):
        return content
    if content.kind is None:
        raise ValueError(
            f"The file {str(path)!r} is a plain Stable Diffusion model without GLIGEN's layers; "
            "give it "
            "as the base, and a GLIGEN adapter as the model."
        )
    return adapter_of(content.unet[1], content.kind)


def adapter_of(unet_state: Mapping[str, Tensor], kind: str) -> Adapter:
    """Return the new layers of a whole UNet (diffusers' names); tensors are shared."""
    wanted = INPUT_CONVOLUTION if kind == "inpainting_text_box" else ()
    state = {k: v for k, v in unet_state.items() if is_grounding_key(k) or k in wanted}
    return Adapter(kind, state, unet_state[TEXT_BOX_FEATURE].shape[0])


def detect_kind(state: Mapping[str, Tensor]) -> str | None:
    """Return the kind of a UNet or adapter (diffusers' names), None for a plain UNet.

    Raises:
        ValueError: it is of a kind that does not run here; the sentence says what it seems to be.
    """
    runs = f"Kinds that run are {', '.join(KINDS)}."
    for feature, family in OTHER_FAMILIES.items():
        if feature in state:
            raise ValueError(f"It seems to be {family}. {runs}")
    if TEXT_BOX_FEATURE not in state:
        if any(is_grounding_key(key) for key in state):
            raise ValueError(f"It has gated layers, but {TEXT_BOX_FEATURE} is missing. {runs}")
        return None
    if "conv_in.weight" not in state:
        return "generation_text_box"
    channels = state["conv_in.weight"].shape[1]
    # An adapter has no last convolution; it holds the first only where that has 2 c + 1 inputs.
    latent = state["conv_out.weight"].shape[0] if "conv_out.weight" in state else channels // 2
    for kind in KINDS:
        if channels == input_channels(kind, latent):
            return kind
    raise ValueError(
        f"It is a text-box model whose first convolution reads {channels} channels, which fits no "
        f"known kind ({latent}: generation, {2 * latent + 1}: inpainting). {runs}"
    )


def input_channels(kind: str, latent_channels: int) -> int:
    """Return how many channels the first convolution of a kind reads."""
    return latent_channels if kind == "generation_text_box" else 2 * latent_channels + 1


def build_unet(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> UNet2DConditionModel:
    """Build a UNet around existing tensors, with GLIGEN's layers where the state has them.

    The UNet's parameters share the memory of `state`: several UNets on one base cost one base.

    Args:
        config: arguments of `UNet2DConditionModel`.
        state: weights under diffusers' names, those of the new layers included.

    Raises:
        ValueError: a weight is missing, unexpected or of the wrong shape; the first few are named.
    """
    # Without memory: every parameter is replaced by a tensor of the state.
    with torch.device("meta"):
        tokenizer = None
        if any(key.startswith("position_net.") for key in state):
            tokenizer = tokenizer_like(state)
        plain = {**config, "attention_type": "default"}
        if isinstance(tokenizer, MapTokenizer):
            plain["in_channels"] = config["out_channels"]
        unet = cast("UNet2DConditionModel", UNet2DConditionModel.from_config(plain))
        if tokenizer is not None:
            add_grounding(unet, tokenizer)
        if isinstance(tokenizer, MapTokenizer):
            add_map_input(unet, downsampler_like(state), "conv_in.base_weight" in state)
    check_shapes(unet.state_dict(), state)
    unet.load_state_dict(dict(state), strict=True, assign=True)
    return unet.requires_grad_(False).eval()


def check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Compare a state dict with what a model needs.

    Raises:
        ValueError: missing or unexpected keys, or other shapes; the sentence shows the first few.
    """
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    for keys, verb in ((missing, "missing"), (extra, "unexpected")):
        if keys:
            shown = ", ".join(keys[:2]) + (", ..." if len(keys) > 2 else "")
            raise ValueError(f"{len(keys)} of its weights {_are(keys)} {verb} ({shown}).")
    unequal = [key for key in wanted if wanted[key].shape != found[key].shape]
    if unequal:
        first = unequal[0]
        raise ValueError(
            f"{len(unequal)} of its weights {_are(unequal)} of another size than the model needs: "
            f"{first} is {_shape(found[first])} instead of {_shape(wanted[first])}."
        )


def apply_adapter(base: UNet2DConditionModel, adapter: Adapter) -> UNet2DConditionModel:
    """Return a UNet with the frozen weights of `base` and the adapter's new layers.

    `base` is not changed. The result shares its tensors; the adapter's are brought to the base's
    device and dtype.

    Raises:
        ValueError: the base is not Stable Diffusion 1.x, or the adapter is made for other sizes.
    """
    check_base(base.config)
    example = base.conv_out.weight
    state = {key: value for key, value in base.state_dict().items() if not is_grounding_key(key)}
    state |= {key: value.to(example.device, example.dtype) for key, value in adapter.state.items()}
    channels = state["conv_in.weight"].shape[1]
    wanted = input_channels(adapter.kind, base.config["out_channels"])
    if channels != wanted:
        raise ValueError(
            f"With the adapter ({adapter.kind}) the first convolution would read {channels} "
            f"channels instead of {wanted}. Give a plain Stable Diffusion 1.x base."
        )
    config = {**base.config, "in_channels": channels}
    try:
        return build_unet(config, state)
    except ValueError as error:
        raise ValueError(f"The adapter ({adapter.kind}) does not fit the base: {error}") from None


def check_base(config: Mapping[str, Any]) -> None:
    """Refuse UNet configs of other families.

    Raises:
        ValueError: SDXL or Stable Diffusion 2.
    """
    if config.get("addition_embed_type"):
        raise ValueError(
            "The base is SDXL; GLIGEN's layers fit Stable Diffusion 1.x only. Give a Stable "
            "Diffusion "
            "1.x model."
        )
    if config.get("use_linear_projection"):
        raise ValueError(
            f"The base is Stable Diffusion 2 (text width {config['cross_attention_dim']}); "
            "GLIGEN's "
            "layers fit Stable Diffusion 1.x only. Give a Stable Diffusion 1.x model."
        )


def save_adapter(
    path: str | Path,
    unet: UNet2DConditionModel,
    kind: str,
    *,
    base: str = "",
    dtype: torch.dtype | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write the new layers of a grounded UNet as safetensors, with their config in the metadata.

    The file appears whole or not at all.

    Args:
        path: where to write; by custom `<kind>.safetensors`.
        unet: a UNet with GLIGEN's layers.
        kind: one of KINDS.
        base: words for the base it was trained on.
        dtype: to convert to, for example `torch.float16`; None: as it is.
        notes: further plain values to record (steps, seed, figures).

    Raises:
        ValueError: the UNet has no such layers, or is of another kind.
    """
    weights = unet.state_dict()
    found = detect_kind(weights)
    if found != kind:
        raise ValueError(
            f"The UNet is of kind {found or 'plain'}; it cannot be saved as {kind!r}. Give the "
            "kind it "
            "is, and a UNet with GLIGEN's layers."
        )
    adapter = adapter_of(weights, kind)
    state = {
        key: value.detach().to("cpu", dtype or value.dtype, copy=True).contiguous()
        for key, value in adapter.state.items()
    }
    config = {"kind": kind, "feature_width": adapter.feature_width, "base": base}
    metadata = {"format": "pt", METADATA_KEY: json.dumps({**config, "notes": dict(notes or {})})}
    partial = Path(f"{path}.partial")
    try:
        save_file(state, partial, metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _classify(file: WeightFile) -> Adapter | WholeModel:
    if len(file.sections) == 1 and not file.sections.keys().isdisjoint(("", "model")):
        (state,) = file.sections.values()
        return _classify_state(_without_prefix(state), file.metadata)
    if "model" not in file.sections:
        raise ValueError(
            f"It has {', '.join(file.sections)}, but no UNet (part 'model'). Give a whole "
            "checkpoint."
        )
    unet = convert_unet_state(file.sections["model"])
    vae, text = file.sections.get("autoencoder"), file.sections.get("text_encoder")
    return WholeModel(
        kind=detect_kind(unet[1]),
        unet=unet,
        vae=convert_vae_state(vae) if vae else None,
        text_encoder=convert_text_state(text) if text else None,
    )


def _classify_state(state: State, metadata: Mapping[str, str]) -> Adapter | WholeModel:
    if any(key.startswith(("conditioner.", "cond_stage_model.model.")) for key in state):
        raise ValueError(
            "It is an SDXL or Stable Diffusion 2 model. Give a Stable Diffusion 1.x model."
        )
    if "input_blocks.1.0.in_layers.0.weight" in state:
        unet = convert_unet_state(state)
        return WholeModel(detect_kind(unet[1]), unet, None, None)
    original_names = any(key.startswith(("input_blocks.", "output_blocks.")) for key in state)
    if original_names:
        state = convert_adapter_state(state)
    if not any(is_grounding_key(key) for key in state):
        shown = ", ".join(list(state)[:3])
        raise ValueError(
            f"Its {len(state)} weights ({shown}, ...) are not those of a GLIGEN model or adapter, "
            "nor of "
            "a Stable Diffusion 1.x model."
        )
    kind = detect_kind(state)
    if kind is None or not any(".fuser." in key for key in state):
        raise ValueError("It has a grounding tokenizer, but no gated layers (*.fuser.*).")
    strangers = [k for k in state if not is_grounding_key(k) and k not in INPUT_CONVOLUTION]
    if strangers:
        raise ValueError(
            f"As an adapter it has {len(strangers)} unexpected keys ({', '.join(strangers[:4])}); "
            "an adapter holds the new layers alone."
        )
    written = _written_config(metadata)
    width = state[TEXT_BOX_FEATURE].shape[0]
    if written.get("kind", kind) != kind:
        raise ValueError(f"Its metadata say {written['kind']!r}, but its weights are of {kind!r}.")
    return Adapter(kind, state, width, str(written.get("base", "")), written.get("notes"))


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


def _are(keys: list[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a scalar"
