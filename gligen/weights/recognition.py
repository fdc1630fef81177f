"""Telling the kinds of models apart by their weights, under diffusers' names.

The null features of the grounding tokenizer show the modality, the first convolution and the map's
downsampler the rest. Canny and depth models have the same layers: something else must say which.
"""

from collections.abc import Collection, Mapping

from torch import Tensor

from gligen.kinds import (
    CROSS_ATTENTION,
    INPAINTING,
    KEYPOINT,
    KINDS,
    MAP,
    MLP_BOXES,
    TEXT_BOX,
    TEXT_IMAGE_BOX,
    kind_named,
)
from gligen.tokenizers import SEMANTIC_CLASSES
from gligen.unet import is_grounding_key

NULL_FEATURES = {
    "position_net.null_positive_feature": TEXT_BOX,
    "position_net.null_text_feature": TEXT_IMAGE_BOX,
    "position_net.null_person_feature": KEYPOINT,
    "position_net.null_feature": MAP,
}
TRAINED_FIRST = ("conv_in.weight", "conv_in.bias")
# Beside the trained convolution, that of the base it was trained on.
BASE_FIRST = ("conv_in.base_weight", "conv_in.base_bias")
ALIKE = ("canny", "depth")
_ABLATION_WORDS = {
    "fuser": "gated cross-attention",
    "box_embedding": "boxes embedded by an MLP",
}


def trains_first_convolution(kind: str) -> bool:
    """Whether models of a kind have a first convolution of their own, with further channels."""
    return kind_named(kind).is_inpainting or kind_named(kind).modality == MAP


def input_channels(kind: str, latent_channels: int, state: Mapping[str, Tensor]) -> int:
    """Return how many channels the first convolution of a kind reads.

    Inpainting: latents, masked latents, mask. Maps: latents and what the downsampler gives.

    Args:
        kind: one of KINDS.
        latent_channels: of the base, 4 for Stable Diffusion.
        state: the weights, which show the downsampler's channels.
    """
    if kind_named(kind).is_inpainting:
        return 2 * latent_channels + 1
    if kind_named(kind).modality == MAP:
        return latent_channels + _map_channels(state)
    return latent_channels


def detect_kind(state: Mapping[str, Tensor], *hints: str) -> str | None:
    """Return the kind of a UNet or adapter, None for a plain UNet.

    Args:
        state: weights under diffusers' names.
        hints: kinds that it may be; they decide between kinds with the same layers, and no more.

    Raises:
        ValueError: the layers are those of no kind; or they are those of two, and no hint tells
            which.
    """
    modality = _modality(state)
    if modality is None:
        return None
    if modality == MAP:
        kinds = _map_kinds(state)
        _check_first_convolution(state, kinds[0])
        chosen = [kind for kind in dict.fromkeys(hints) if kind in kinds]
        if len(kinds) > 1 and len(chosen) != 1:
            raise ValueError(
                "It is a map model, and canny and depth models have the same layers; say which it "
                "is with --kind canny or --kind depth (kind=...)."
            )
        return chosen[0] if chosen else kinds[0]
    names = [name for name in KINDS if kind_named(name).modality == modality]
    if len(names) == 1:
        _check_first_convolution(state, names[0])
        return names[0]
    generation, inpainting = names
    if TRAINED_FIRST[0] not in state or _reads_latents_alone(state):
        return generation
    _check_first_convolution(state, inpainting)
    return inpainting


def ablations_in(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return what a UNet or adapter has in place of the usual layers, as `gligen.unet.ablations`.

    Gated cross-attention has no `linear`, which brings the tokens to the width of a block.
    """
    found = {}
    gated = [key for key in state if ".fuser." in key]
    if gated and not any(".fuser.linear." in key for key in gated):
        found["fuser"] = CROSS_ATTENTION
    if any(key.startswith("position_net.box_mlp.") for key in state):
        found["box_embedding"] = MLP_BOXES
    return found


def check_form(state: Mapping[str, Tensor], form: str, allowed: Collection[str] = ()) -> None:
    """Refuse layers of an ablation in a form of file that knows the usual layers alone.

    Args:
        state: weights under diffusers' names.
        form: words for the form, at the beginning of the sentence.
        allowed: what of `ablations_in` the form can hold.

    Raises:
        ValueError: it has such layers.
    """
    found = [name for name in ablations_in(state) if name not in allowed]
    if found:
        raise ValueError(
            f"{form} cannot hold {_ABLATION_WORDS[found[0]]}; it knows the layers of the released "
            "models alone. Convert it to gligen, or to adapter with --names diffusers."
        )


def latent_channels(state: Mapping[str, Tensor], kind: str) -> int:
    """Return the channels of the latents; an adapter shows them by its first convolution alone."""
    if "conv_out.weight" in state:
        return state["conv_out.weight"].shape[0]
    if BASE_FIRST[0] in state:
        return state[BASE_FIRST[0]].shape[1]
    channels = state[TRAINED_FIRST[0]].shape[1]
    if kind_named(kind).task == INPAINTING:
        return channels // 2
    return channels - (_map_channels(state) if kind_named(kind).modality == MAP else 0)


def _modality(state: Mapping[str, Tensor]) -> str | None:
    found = [modality for feature, modality in NULL_FEATURES.items() if feature in state]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"It has grounding tokenizers of several modalities ({', '.join(found)}); a model has "
            "one."
        )
    if any(is_grounding_key(key) for key in state):
        raise ValueError(
            "It has gated layers, but no grounding tokenizer of a known kind: none of "
            f"{', '.join(NULL_FEATURES)} is there."
        )
    return None


def _map_kinds(state: Mapping[str, Tensor]) -> list[str]:
    """Return the map kinds that have such layers."""
    first = state.get("downsample_net.layers.0.weight")
    classes = state.get("position_net.in_conv.weight")
    if first is None and classes is None:
        return ["hed"]
    read = None if first is None else first.shape[1]
    if classes is not None and read == classes.shape[1] == SEMANTIC_CLASSES:
        return ["semantic"]
    if classes is None and read == kind_named("normal").map_channels:
        return ["normal"]
    if classes is None and read == kind_named(ALIKE[0]).map_channels:
        return list(ALIKE)
    raise ValueError(
        f"It is a map model of no known kind: its downsampler reads {read or 'no'} channels and "
        f"its tokenizer {'RGB' if classes is None else f'{classes.shape[1]} classes'}."
    )


def _map_channels(state: Mapping[str, Tensor]) -> int:
    last = state.get("downsample_net.layers.2.weight")
    return 1 if last is None else last.shape[0]


def _reads_latents_alone(state: Mapping[str, Tensor]) -> bool:
    # An adapter, which has no last convolution, holds the first only where it was trained.
    last = state.get("conv_out.weight")
    return last is not None and state[TRAINED_FIRST[0]].shape[1] == last.shape[0]


def _check_first_convolution(state: Mapping[str, Tensor], kind: str) -> None:
    if TRAINED_FIRST[0] not in state:
        if kind_named(kind).modality == MAP:
            raise ValueError(
                f"It is a map model ({kind}) without its first convolution (input_blocks.0.0 or "
                "conv_in), which such models train; part of the file is missing."
            )
        return
    channels = state[TRAINED_FIRST[0]].shape[1]
    latent = latent_channels(state, kind)
    wanted = input_channels(kind, latent, state)
    if channels != wanted or latent < 1:
        raise ValueError(
            f"It seems to be of kind {kind}, but its first convolution reads {channels} channels, "
            f"where that kind has {wanted} (for {latent} channels of the latents)."
        )
