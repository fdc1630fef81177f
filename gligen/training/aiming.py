"""A closed-form start for the gated layers: each place looks first at the regions on its side.

Left to itself, attention finds boxes late and suddenly: keys must learn where a box is, queries
where a cell is, and neither gains anything before the other. Both are already there as linear
functions of what enters the layer, so two ridge regressions read them off. Some heads start with

    logit = gain (cell . box + presence),    cell, box in [-1, 1]^2 from the middle of the picture

where `presence` is 1 for a region and 0 for null and visual tokens. Gated cross-attention, where
grounding tokens alone are keys, starts in the same way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from gligen.attention import GatedLayer, GatedSelfAttention, Grounding

RIDGE = 3e-3  # against the variance 1 of normalised features


@torch.no_grad()
def aim_attention(
    unet: UNet2DConditionModel,
    inputs: dict[str, Tensor],
    tokens: Tensor,
    boxes: Tensor,
    masks: Tensor,
    gain: float = 3.0,
    share_of_heads: float = 0.5,
) -> dict[str, tuple[float, float]]:
    """Set queries and keys of the first heads of every gated layer.

    Args:
        unet: grounded; its layers are changed in place.
        inputs: `sample` [B, c, h, w], `timestep` and `encoder_hidden_states` of one evaluation.
        tokens: grounding tokens [B, M, D].
        boxes: xyxy in [0, 1], [B, M, 4].
        masks: 1 = a region, 0 = null, [B, M].
        gain: largest logit is about twice this.
        share_of_heads: how many heads are set; the others stay as they are.

    Returns:
        For each layer the explained variance of the cells' and the boxes' coordinates.
    """
    centres = (boxes[..., :2] + boxes[..., 2:] - 1) * masks[..., None]  # [-1, 1]
    fits = {}
    with _recorded(unet) as visual:
        unet(**inputs, cross_attention_kwargs={"gligen": {"grounding": Grounding(tokens)}})
    for name, layer in unet.named_modules():
        if not isinstance(layer, GatedLayer):
            continue
        cells = layer.norm1(visual[name]).flatten(0, 1).float()
        regions = _keys(layer, tokens).flatten(0, 1).float()
        places = _cell_centres(visual[name].shape[1]).to(cells)
        places = places.repeat(len(visual[name]), 1)
        ones, zeros = torch.ones_like(places[:, :1]), torch.zeros_like(places[:, :1])
        query = _ridge(cells, torch.cat([places, ones], 1))
        present = masks.flatten()[:, None]
        wanted = torch.cat([centres.flatten(0, 1), present], 1)
        weights = 1 + 20 * present[:, 0]
        if isinstance(layer, GatedSelfAttention):
            # Visual tokens are keys too: they must not look like regions.
            silent = torch.cat([zeros, zeros, zeros], 1)
            weights = torch.cat([weights, 0.2 * ones[:, 0]])
            key = _ridge(torch.cat([regions, cells]), torch.cat([wanted, silent]), weights)
        else:
            key = _ridge(regions, wanted, weights)
        _set_heads(layer, query, key, gain, share_of_heads)
        chosen = present[:, 0] > 0
        fits[name] = (
            _explained(cells @ query[:, :2], places),
            _explained((regions @ key)[chosen, :2], wanted[chosen, :2]),
        )
    return fits


@contextmanager
def _recorded(unet: UNet2DConditionModel) -> Iterator[dict[str, Tensor]]:
    """Collect what enters every gated layer."""
    seen: dict[str, Tensor] = {}

    def recorder(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def record(_: nn.Module, given: tuple[Any, ...]) -> None:
            seen[name] = given[0]

        return record

    hooks = [
        layer.register_forward_pre_hook(recorder(name))
        for name, layer in unet.named_modules()
        if isinstance(layer, GatedLayer)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _keys(layer: GatedLayer, tokens: Tensor) -> Tensor:
    """Return grounding tokens as the layer's keys are made of them."""
    if isinstance(layer, GatedSelfAttention):
        return layer.norm1(layer.linear(tokens))
    return tokens


def _cell_centres(num_cells: int) -> Tensor:
    """Return x and y of the cells of a square grid in row-major order, in [-1, 1], (N, 2)."""
    side = round(num_cells**0.5)
    steps = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


def _ridge(features: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the linear map (without offset) from features to targets, (C, K)."""
    weighted = features if weights is None else features * weights[:, None]
    total = len(features) if weights is None else weights.sum()
    gram = weighted.T @ features / total
    gram += RIDGE * torch.eye(gram.shape[0], device=gram.device)
    return torch.linalg.solve(gram, weighted.T @ targets / total)


@torch.no_grad()
def _set_heads(layer: GatedLayer, query: Tensor, key: Tensor, gain: float, share: float) -> None:
    heads = layer.attn.heads
    width = layer.attn.inner_dim // heads
    # The layer divides logits by the root of the head's width.
    factor = (gain * width**0.5) ** 0.5
    for head in range(int(heads * share)):
        first = head * width
        for name, probe in (("attn.to_q.weight", query), ("attn.to_k.weight", key)):
            weight = layer.get_parameter(name)
            weight[first : first + width] *= 0.3
            weight[first : first + 3] = factor * probe.T


def _explained(found: Tensor, wanted: Tensor) -> float:
    residual = (found - wanted).pow(2).sum()
    return (1 - residual / wanted.pow(2).sum()).item()
