"""A UNet prepared for one run: what its evaluations have in common is computed once.

Shapes: B pictures, R rows (B, or 2 B with both halves of guidance), M grounding tokens, L text
tokens, D width of a token, latents [B, c, h, w].
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from gligen.exact.layers import BlockInputs, Gates, Resnet, Transformer, widen
from gligen.exact.options import ExactOptions
from gligen.exact.upsampling import folded_upsamplers

COMPILERS = ("g++", "clang++", "cl", "gcc", "clang")  # one of which torch.compile uses


@dataclass(frozen=True)
class Conditioning:
    """What all evaluations of a run are told, the same in every step."""

    blocks: list[BlockInputs]  # one for each transformer block, in the order of evaluation
    strength: Float[Tensor, "R 1 1"] | None = None  # of the grounding of each row; None: all 1

    @property
    def rows(self) -> int:
        """Number of rows that an evaluation answers."""
        return len(self.blocks[0].context)

    def last_rows(self, rows: int) -> "Conditioning":
        """Return the conditioning of the last rows, which are the conditional half."""
        strength = None if self.strength is None else self.strength[-rows:]
        return Conditioning([block.last_rows(rows) for block in self.blocks], strength)


@dataclass(frozen=True)
class _Level:
    """What diffusers calls a down, mid or up block."""

    resnets: list[int]  # places in PreparedUNet.resnets
    transformers: list[int | None]  # behind each resnet; places in PreparedUNet.transformers
    sampler: nn.Module | None = None  # at its end, to the next size


class PreparedUNet:
    """Evaluate a UNet with the savings of `options`; see `gligen.exact.support` for which can be.

    The UNet is read and never changed. Merged weights are made here and go with this object, so
    that a change of the model between two runs is seen by the next.

    Args:
        unet: with or without grounding layers.
        options: which savings are made.
    """

    def __init__(self, unet: UNet2DConditionModel, options: ExactOptions):
        self.unet: Any = unet  # diffusers does not say of what type its parts are
        self.options = options
        self.resnets: list[Resnet] = []
        self.transformers: list[Transformer] = []
        self._downs = [self._level(block, "downsamplers") for block in unet.down_blocks]
        self._mid = self._level(unet.mid_block) if unet.mid_block is not None else None
        self._ups = [self._level(block, "upsamplers") for block in unet.up_blocks]
        # What comes behind the deep features: the last resnet, with the shallowest skip.
        last = self._ups[-1]
        self._last = last.resnets[-1], last.transformers[-1]
        self._ups[-1] = replace(
            last, resnets=last.resnets[:-1], transformers=last.transformers[:-1]
        )
        samplers = [level.sampler for level in self._ups if level.sampler is not None]
        self._folded = folded_upsamplers(samplers, options.upsample)
        self._table: dict[float, list[Tensor]] = {}
        self._gates: dict[float, list[Gates | None]] = {}

    def _level(self, block: Any, sampler: str = "") -> _Level:
        attentions = list(getattr(block, "attentions", None) or [])
        resnets: list[int] = []
        transformers: list[int | None] = []
        for index, resnet in enumerate(block.resnets):
            resnets.append(len(self.resnets))
            self.resnets.append(Resnet(resnet, self.options))
            if index >= len(attentions):  # no attention at all, or the last resnet of the middle
                transformers.append(None)
                continue
            transformers.append(len(self.transformers))
            self.transformers.append(Transformer(attentions[index], self.options))
        return _Level(resnets, transformers, next(iter(getattr(block, sampler, None) or []), None))

    def merged(self) -> list[Tensor]:
        """Return the weights that were made of the model's, always in the same order."""
        blocks = [b for transformer in self.transformers for b in transformer.blocks]
        attentions = [a for b in blocks for a in (b.attention, b.fuser and b.fuser.attention) if a]
        fused = [attention.fused for attention in attentions if attention.fused is not None]
        biases = [resnet.bias for resnet in self.resnets if resnet.bias is not None]
        return [*fused, *biases, *(folded.weight for folded in self._folded.values())]

    # ---------------------------------------------------------------- once in a run

    @torch.no_grad()
    def conditioning(
        self,
        context: Float[Tensor, "R L D"],
        tokens: Float[Tensor, "R M D"] | None = None,
        strength: Float[Tensor, "R 1 1"] | None = None,
    ) -> Conditioning:
        """Prepare what is attended to; `strength` of the grounding is one for each row."""
        blocks = [b for transformer in self.transformers for b in transformer.blocks]
        return Conditioning([block.inputs(context, tokens) for block in blocks], strength)

    @torch.no_grad()
    def prepare_times(self, timesteps: Sequence[float]) -> None:
        """Embed all timesteps of a run at once; others are embedded when they come."""
        if not self.options.time_table:
            return
        missing = [t for t in dict.fromkeys(timesteps) if t not in self._table]
        if missing:
            biases = self._embed(missing)
            self._table.update((t, [bias[row] for bias in biases]) for row, t in enumerate(missing))

    def _embed(self, timesteps: Sequence[float]) -> list[Float[Tensor, "T _"]]:
        """Return for each resnet the bias that stands for each timestep."""
        unet = self.unet
        times = torch.tensor(timesteps, device=unet.conv_out.weight.device)
        waves = unet.time_proj(times).to(unet.dtype)
        activated = F.silu(unet.time_embedding(waves))
        return [resnet.time_bias(activated) for resnet in self.resnets]

    # ---------------------------------------------------------------- in every step

    @torch.no_grad()
    def __call__(
        self,
        x: Float[Tensor, "B c h w"],
        timestep: float,
        conditioning: Conditioning,
        gate_scale: float,
        features: Float[Tensor, "R C h w"] | None = None,
    ) -> Float[Tensor, "R out h w"]:
        """Evaluate the UNet once.

        Args:
            x: the same for both halves of guidance.
            timestep: of the noise that the model was trained on.
            conditioning: from `conditioning`.
            gate_scale: strength of the grounding, 0 leaves the gated layers out.
            features: from `deep_features`, if only what comes behind them is to be evaluated.
        """
        gates = self.open_gates(gate_scale, conditioning)
        biases = self.biases(timestep)
        if features is not None:
            return self.evaluate(x, biases, conditioning, gates, features)
        return self.evaluation(x, biases, conditioning, gates)

    @property
    def evaluation(self) -> Callable[..., Tensor]:
        """How the whole UNet is evaluated on prepared inputs: as `evaluate` says, or compiled."""
        return partial(compiled_evaluation(), self) if self.options.compiled else self.evaluate

    @torch.no_grad()
    def deep_features(
        self,
        x: Float[Tensor, "B c h w"],
        timestep: float,
        conditioning: Conditioning,
        gate_scale: float,
    ) -> Float[Tensor, "R C h w"]:
        """Return what all levels but the shallowest skip give; the arguments are those of a call.

        The UNet is cut before its last resnet, which reads these features beside the first
        convolution's: of a UNet that is folded in the middle, the longest way round is left out.
        """
        gates = self.open_gates(gate_scale, conditioning)
        pass_ = _Pass(self, self.biases(timestep), conditioning, gates)
        return self._deep(self._first(x, conditioning.rows), pass_)

    def biases(self, timestep: float) -> list[Tensor]:
        """Return for each resnet the bias [C] that stands for a timestep."""
        if timestep in self._table:
            return self._table[timestep]
        biases = [bias[0] for bias in self._embed([timestep])]
        if self.options.time_table:
            self._table[timestep] = biases
        return biases

    def open_gates(self, scale: float, conditioning: Conditioning) -> list[Gates | None]:
        """Return the gates of all blocks; those that are the same for all rows are kept."""
        blocks = [b for transformer in self.transformers for b in transformer.blocks]
        if scale == 0 or conditioning.blocks[0].tokens is None:
            return [None] * len(blocks)
        if scale not in self._gates:
            layers = [block.gated_layer for block in blocks]
            assert None not in layers, "a grounded UNet has a gated layer in every block"
            self._gates[scale] = [
                Gates(scale * layer.alpha_attn.tanh(), scale * layer.alpha_dense.tanh())
                for layer in layers
                if layer is not None
            ]
        gates = self._gates[scale]
        if conditioning.strength is None:
            return gates
        rows = conditioning.strength
        return [
            gate and replace(gate, attention=rows * gate.attention, dense=rows * gate.dense)
            for gate in gates
        ]

    def evaluate(
        self,
        x: Float[Tensor, "B c h w"],
        biases: list[Tensor],
        conditioning: Conditioning,
        gates: list[Gates | None],
        features: Float[Tensor, "R C h w"] | None = None,
    ) -> Float[Tensor, "R out h w"]:
        """Evaluate the UNet on prepared inputs: tensors in, a tensor out."""
        unet, rows = self.unet, conditioning.rows
        pass_ = _Pass(self, biases, conditioning, gates)
        first = self._first(x, rows)
        h = self._deep(first, pass_) if features is None else features
        h = pass_.through(torch.cat([h, widen(first, rows)], dim=1), *self._last)
        if unet.conv_norm_out is not None:
            h = F.silu(unet.conv_norm_out(h), inplace=True)
        return unet.conv_out(h)

    def _first(self, x: Float[Tensor, "B c h w"], rows: int) -> Float[Tensor, "r C h w"]:
        """Return the first convolution's result, of one half of guidance where that will do."""
        if not self.options.shared_prefix:
            x = widen(x, rows)
        return in_rows(self.unet.conv_in, x, rows)

    def _deep(self, first: Float[Tensor, "r C h w"], pass_: "_Pass") -> Float[Tensor, "R D h w"]:
        """Return what reaches the last resnet."""
        rows = pass_.conditioning.rows
        h, skips = first, [first]
        for level in self._downs:
            for resnet, transformer in zip(level.resnets, level.transformers, strict=True):
                h = pass_.through(h, resnet, transformer)
                skips.append(h)
            if level.sampler is not None:
                h = in_rows(level.sampler, h, rows)
                skips.append(h)
        if self._mid is not None:
            for resnet, transformer in zip(self._mid.resnets, self._mid.transformers, strict=True):
                h = pass_.through(h, resnet, transformer)
        for level in self._ups:
            for resnet, transformer in zip(level.resnets, level.transformers, strict=True):
                h = torch.cat([widen(h, rows), widen(skips.pop(), rows)], dim=1)
                h = pass_.through(h, resnet, transformer)
            if level.sampler is not None:
                h = self._upsample(level.sampler, h, skips[-1].shape[2:])
        return widen(h, rows)

    def _upsample(self, sampler: nn.Module, h: Tensor, size: torch.Size) -> Tensor:
        if size != (2 * h.shape[2], 2 * h.shape[3]):
            return sampler(h, size)  # latents of an odd side are not doubled
        folded = self._folded.get(sampler)
        return sampler(h) if folded is None else folded(h)


def in_rows(run: Callable[[Tensor], Tensor], x: Tensor, rows: int) -> Tensor:
    """Apply what holds convolutions; in float32 on a CPU row by row before guidance has two halves.

    There oneDNN's results for one row are not those for several. With guidance one picture is one
    row only in what both halves share, so this makes a picture the same in any company.
    """
    is_shared = 1 < len(x) < rows
    if not is_shared or x.device.type != "cpu" or x.dtype != torch.float32:
        return run(x)
    return torch.cat([run(row) for row in x.split(1)])


@cache
def compiled_evaluation() -> Callable[..., Tensor]:
    """Return the compiled evaluation of a prepared UNet, which is its first argument.

    It is one for all UNets and runs. torch keeps eight forms of it, each with grounding or without,
    for one size and number of pictures; whatever comes after these is evaluated uncompiled.

    Raises:
        ValueError: there is no compiler for what torch writes.
    """
    named = os.environ.get("CXX") or os.environ.get("CC")
    if not any(shutil.which(name) for name in (named, *COMPILERS) if name):
        raise ValueError(
            f"To compile the model takes a C++ compiler, and none of {', '.join(COMPILERS)} is "
            "there; install one, or go without (--compile, ExactOptions.compiled)."
        )
    return torch.compile(PreparedUNet.evaluate, dynamic=False)


@dataclass(frozen=True)
class _Pass:
    """One evaluation on its way through the levels."""

    unet: PreparedUNet
    biases: list[Tensor]
    conditioning: Conditioning
    gates: list[Gates | None]

    def through(self, h: Tensor, resnet: int, transformer: int | None) -> Tensor:
        """Return what comes out behind a resnet and the transformer behind it."""
        run = partial(self.unet.resnets[resnet], bias=self.biases[resnet])
        h = in_rows(run, h, self.conditioning.rows)
        if transformer is None:
            return h
        first = sum(len(t.blocks) for t in self.unet.transformers[:transformer])
        behind = first + len(self.unet.transformers[transformer].blocks)
        inputs = self.conditioning.blocks[first:behind]
        return self.unet.transformers[transformer](h, inputs, self.gates[first:behind])
