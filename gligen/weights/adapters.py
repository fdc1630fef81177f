"""Adapters: the new layers of a model alone, and how they come onto a base.

An adapter is `*.fuser.*`, `position_net.*`, `downsample_net.*` and, for the kinds that train it
(inpainting and maps), the first convolution: whole (`conv_in.weight`, `conv_in.bias`), and where it
is known that of the base it was trained on beside it (`conv_in.base_weight`, `conv_in.base_bias`).
On the base it was trained on, the trained convolution is taken as it is; on another, what training
changed is added to that base's. All else of the base stays as it is, and its tensors are shared,
not copied.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gligen.kinds import MAP, kind_named
from gligen.unet import is_grounding_key
from gligen.weights.conversion import State
from gligen.weights.recognition import (
    BASE_FIRST,
    NULL_FEATURES,
    TRAINED_FIRST,
    input_channels,
    trains_first_convolution,
)

# Where an adapter of the text-image kinds keeps the projection matrix.
PROJECTION_KEY = "image_project.project.weight"

# Weights that every fine-tuning changes and that are small: equal ones mean the same base.
FINGERPRINT = (
    "conv_out.weight",
    "conv_out.bias",
    "conv_norm_out.weight",
    "time_embedding.linear_1.bias",
    "mid_block.resnets.0.conv1.bias",
)


@dataclass(frozen=True)
class FirstWeights:
    """The first convolution of a plain base."""

    weight: Tensor  # [out, latent channels, 3, 3]
    bias: Tensor  # [out]

    def to(self, example: Tensor) -> "FirstWeights":
        """Bring it to the device and dtype of another tensor."""
        return FirstWeights(self.weight.to(example), self.bias.to(example))

    def equals(self, other: "FirstWeights") -> bool:
        """Whether the two are the same, in the precision of this one."""
        same = other.to(self.weight)
        return (
            self.weight.shape == same.weight.shape
            and torch.equal(self.weight, same.weight)
            and torch.equal(self.bias, same.bias)
        )


@dataclass(frozen=True)
class Adapter:
    """The new layers of one kind, under diffusers' names, to be put on a base."""

    kind: str  # one of KINDS
    state: State  # the trained first convolution included, the base's not
    original: FirstWeights | None = None  # of the base it was trained on, where it is known
    projection: Tensor | None = None  # matrix of the text-image kinds, as nn.Linear has it
    base: str = ""  # the base it was trained on, as far as the file says
    notes: dict[str, Any] | None = None  # what else the writer recorded
    fingerprint: State = field(default_factory=dict)  # FINGERPRINT of the model it was taken from

    @property
    def feature_width(self) -> int:
        """Width of the features that its tokenizer reads."""
        return next(self.state[name].shape[0] for name in NULL_FEATURES if name in self.state)


@dataclass(frozen=True)
class Base:
    """The frozen UNet of a Stable Diffusion 1.x model."""

    config: dict[str, Any]  # of a diffusers `UNet2DConditionModel`
    frozen: State  # all weights but the first convolution
    first: FirstWeights | None  # None: the model at hand has only a trained one

    def to(self, device: torch.device, dtype: torch.dtype | None) -> "Base":
        """Bring it to a device and a dtype; None: as it is."""
        frozen = {key: value.to(device, dtype) for key, value in self.frozen.items()}
        first = self.first
        if first is not None:
            first = FirstWeights(first.weight.to(device, dtype), first.bias.to(device, dtype))
        return replace(self, frozen=frozen, first=first)

    def plain(self) -> tuple[dict[str, Any], State]:
        """Return config and weights of the plain UNet.

        Raises:
            ValueError: its first convolution is not known.
        """
        if self.first is None:
            raise ValueError(ask_for_base("of the base alone"))
        channels = self.first.weight.shape[1]
        config = {**self.config, "in_channels": channels, "attention_type": "default"}
        return config, {**self.frozen, **_named(TRAINED_FIRST, self.first)}


def split_unet(
    config: Mapping[str, Any], state: Mapping[str, Tensor], kind: str | None
) -> tuple[Base, Adapter | None]:
    """Divide a UNet into its base and its new layers; tensors are shared.

    Args:
        config: of a diffusers `UNet2DConditionModel`.
        state: its weights.
        kind: what `detect_kind` says of it.
    """
    first = FirstWeights(*(state[key] for key in TRAINED_FIRST))
    if BASE_FIRST[0] in state:
        first = FirstWeights(*(state[key] for key in BASE_FIRST))
    elif kind is not None and trains_first_convolution(kind):
        first = None
    not_frozen = (*TRAINED_FIRST, *BASE_FIRST)
    frozen = {k: v for k, v in state.items() if not is_grounding_key(k) and k not in not_frozen}
    base = Base(dict(config), frozen, first)
    if kind is None:
        return base, None
    kept = TRAINED_FIRST if trains_first_convolution(kind) else ()
    new = {k: v for k, v in state.items() if is_grounding_key(k) or k in kept}
    fingerprint = {key: frozen[key] for key in FINGERPRINT if key in frozen}
    return base, Adapter(kind, new, original=first, fingerprint=fingerprint)


def put_on(
    base: Base, adapter: Adapter, original: FirstWeights | None = None, *, at_home: bool = False
) -> tuple[dict[str, Any], State]:
    """Return config and weights of a UNet with a base's frozen weights and an adapter's layers.

    The result shares the base's tensors; the adapter's are brought to their device and dtype.

    Args:
        base: of any Stable Diffusion 1.x model.
        adapter: of any kind.
        original: first convolution of the base that the adapter was trained on, where the adapter
            does not say it.
        at_home: the base is known to be the one it was trained on.

    Raises:
        ValueError: first convolutions are needed that nobody has; the sentence asks for them.
    """
    example = base.frozen["conv_out.weight"]
    latent = example.shape[0]
    new = {key: value.to(example) for key, value in adapter.state.items()}
    at_home = at_home or same_base(base, adapter)
    trained_on = adapter.original or original
    first = trained_on if base.first is None and at_home else base.first
    if first is not None and first.weight.shape[1] != latent:
        raise ValueError(
            f"The base reads {first.weight.shape[1]} channels instead of {latent}; give a plain "
            "Stable Diffusion 1.x base, not one for inpainting."
        )
    if trains_first_convolution(adapter.kind):
        own = FirstWeights(*(new[key] for key in TRAINED_FIRST))
        _check_channels(adapter.kind, own, latent, new)
        if first is not None and not at_home:
            own = _moved(adapter.kind, own, trained_on, first)
        new |= _named(TRAINED_FIRST, own)
        if first is not None and kind_named(adapter.kind).modality == MAP:
            new |= _named(BASE_FIRST, first.to(example))
    elif first is not None:
        new |= _named(TRAINED_FIRST, first.to(example))
    else:
        raise ValueError(ask_for_base(f"for the adapter ({adapter.kind})"))
    channels = new[TRAINED_FIRST[0]].shape[1]
    config = {**base.config, "attention_type": "default", "in_channels": channels}
    return config, {**base.frozen, **new}


def _check_channels(kind: str, own: FirstWeights, latent: int, state: State) -> None:
    channels, wanted = own.weight.shape[1], input_channels(kind, latent, state)
    if channels != wanted:
        raise ValueError(
            f"With the adapter ({kind}) the first convolution would read {channels} channels "
            f"instead of {wanted}. Give a plain Stable Diffusion 1.x base."
        )


def adapter_file_state(adapter: Adapter) -> State:
    """Return all that an adapter's file holds, under its names there."""
    state = dict(adapter.state)
    if adapter.original is not None and trains_first_convolution(adapter.kind):
        state |= _named(BASE_FIRST, adapter.original)
    if adapter.projection is not None:
        state[PROJECTION_KEY] = adapter.projection
    return state


def same_base(base: Base, adapter: Adapter) -> bool:
    """Whether an adapter was taken from a model with the very weights of a base."""
    if not adapter.fingerprint:
        return False
    return all(
        key in base.frozen
        and value.shape == base.frozen[key].shape
        and torch.equal(value.to(base.frozen[key]), base.frozen[key])
        for key, value in adapter.fingerprint.items()
    )


def _moved(
    kind: str, trained: FirstWeights, original: FirstWeights | None, base: FirstWeights
) -> FirstWeights:
    """Add to a base's first convolution what training changed in the original base's."""
    if original is None:
        raise ValueError(
            f"The adapter ({kind}) has a first convolution of its own, and does not say which one "
            "the base had that it was trained on; name that base, or the authors' file "
            "SD_input_conv_weight_bias.pth, with trained_on=... (--trained-on). If it was trained "
            "on the very base given, name the same again."
        )
    if original.weight.shape != base.weight.shape:
        raise ValueError(
            f"The first convolution of the base the adapter ({kind}) was trained on is "
            f"{tuple(original.weight.shape)}, and that of the base given {tuple(base.weight.shape)}"
            "; they are of different families."
        )
    if base.equals(original):
        return trained
    wide = trained.weight.float()
    latent = base.weight.shape[1]
    change = base.weight.float() - original.weight.to(wide)
    wide = torch.cat([wide[:, :latent] + change, wide[:, latent:]], dim=1)
    bias = trained.bias.float() + base.bias.float() - original.bias.to(wide)
    return FirstWeights(wide.to(trained.weight), bias.to(trained.bias))


def ask_for_base(what: str) -> str:
    """Return the sentence that asks for a base's first convolution."""
    return (
        f"The first convolution {what} is not in the file, because its kind trains another; name "
        "the plain Stable Diffusion 1.x model it was trained on, or the authors' file "
        "SD_input_conv_weight_bias.pth, with base=... (--base)."
    )


def _named(names: tuple[str, str], first: FirstWeights) -> State:
    return {names[0]: first.weight, names[1]: first.bias}
