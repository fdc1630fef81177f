"""Tokenizers whose tokens tell what they stand for from the first step on.

From the usual start nearly all of a token is the same, whatever it stands for. Here every layer is
scaled so that over a sample of layouts each of its outputs has mean 0 and variance 1.

Shapes: B pictures, M tokens of one, n of them that stand for something, D width of an input.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gligen.grounding import GroundingInput
from gligen.tokenizers import (
    BoxGrounding,
    KeypointGrounding,
    KeypointTokenizer,
    MapGrounding,
    MapTokenizer,
    TextImageBoxTokenizer,
    TextImageGrounding,
    fourier_embedding,
)

_TINY = 1e-4  # what never varies is left as it is


@torch.no_grad()
def standardise(tokenizer: nn.Module, sample: GroundingInput) -> None:
    """Scale the layers of a tokenizer of references, joints or maps, in place.

    Null features become the means of what they stand in for.

    Args:
        tokenizer: untrained.
        sample: what it reads, of many pictures.
    """
    if isinstance(tokenizer, TextImageBoxTokenizer) and isinstance(sample, TextImageGrounding):
        _standardise_references(tokenizer, sample)
    elif isinstance(tokenizer, KeypointTokenizer) and isinstance(sample, KeypointGrounding):
        _standardise_joints(tokenizer, sample)
    else:
        assert isinstance(tokenizer, MapTokenizer), "phrases in boxes are started elsewhere"
        assert isinstance(sample, MapGrounding), "a sample of the tokenizer's own kind"
        _standardise_cells(tokenizer, sample)


def _standardise_references(tokenizer: TextImageBoxTokenizer, sample: TextImageGrounding) -> None:
    boxes = fourier_embedding(sample.boxes)
    tokenizer.null_position_feature.copy_(boxes[sample.masks > 0].mean(0))
    for linears, null, features, masks in (
        (
            tokenizer.linears_text,
            tokenizer.null_text_feature,
            sample.phrase_features,
            sample.phrase_masks,
        ),
        (
            tokenizer.linears_image,
            tokenizer.null_image_feature,
            sample.image_features,
            sample.image_masks,
        ),
    ):
        present = masks > 0
        null.copy_(features[present].mean(0))
        balance(linears, features[present], boxes[present])


def _standardise_joints(tokenizer: KeypointTokenizer, sample: KeypointGrounding) -> None:
    present = sample.masks > 0
    who = tokenizer.person_embeddings[:, None] + tokenizer.keypoint_embeddings
    who = who.flatten(0, 1).expand(len(present), -1, -1)[present]
    points = fourier_embedding(sample.points)[present]
    tokenizer.null_person_feature.copy_(who.mean(0))
    tokenizer.null_xy_feature.copy_(points.mean(0))
    balance(tokenizer.linears, who, points)


def _standardise_cells(tokenizer: MapTokenizer, sample: MapGrounding) -> None:
    assert sample.image is not None, "a sample has maps"
    for name, parameter in tokenizer.named_parameters():
        if name.endswith(".gamma"):
            # Meant for hundreds of thousands of steps, the usual 1e-6 shuts the blocks.
            parameter.fill_(1.0)
    features = tokenizer.features(sample.image)
    spread = features.std(dim=(0, 1))
    tokenizer.null_feature.copy_(features.mean(dim=(0, 1)))
    nn.init.normal_(tokenizer.pos_embedding)
    tokenizer.pos_embedding.mul_(spread)
    states = (features + tokenizer.pos_embedding).flatten(0, 1)
    _first(tokenizer.linears).weight /= spread + _TINY
    normalise(tokenizer.linears, states)


def balance(
    linears: nn.Sequential, what: Float[Tensor, "n D"], where: Float[Tensor, "n P"]
) -> None:
    """Let two kinds of inputs, side by side, enter with equal variance; then `normalise`."""
    first, width = _first(linears), what.shape[1]
    first.weight[:, :width] /= what.std(0) + _TINY
    for columns, values in ((slice(0, width), what), (slice(width, None), where)):
        first.weight[:, columns] /= (values @ first.weight[:, columns].T).std(0)[:, None] + _TINY
    normalise(linears, torch.cat([what, where], dim=1))


def normalise(linears: nn.Sequential, states: Float[Tensor, "n D"]) -> None:
    """Scale each linear layer so that its outputs have mean 0 and variance 1 over `states`."""
    for layer in linears:
        if isinstance(layer, nn.Linear):
            outputs = layer(states)
            mean, deviation = outputs.mean(0), outputs.std(0) + _TINY
            layer.weight /= deviation[:, None]
            layer.bias.copy_((layer.bias - mean) / deviation)
        states = layer(states)


def _first(linears: nn.Sequential) -> nn.Linear:
    first = linears[0]
    assert isinstance(first, nn.Linear), "every tokenizer ends in the same perceptron"
    return first


def places(
    grounding: GroundingInput, num_tokens: int
) -> tuple[Float[Tensor, "B M 4"], Float[Tensor, "B M"]]:
    """Return where the thing is that each token stands for, and 1 where there is one.

    Args:
        grounding: of any kind; a joint is a box without size, a cell of a map its middle.
        num_tokens: M that the tokenizer makes of it.

    Returns:
        Boxes, xyxy in [0, 1], and masks.
    """
    if isinstance(grounding, BoxGrounding):
        return grounding.boxes, grounding.masks
    if isinstance(grounding, TextImageGrounding):
        return grounding.boxes.repeat(1, 2, 1), grounding.masks.repeat(1, 2)
    if isinstance(grounding, KeypointGrounding):
        return grounding.points.repeat(1, 1, 2), grounding.masks
    side = round(num_tokens**0.5)
    steps = (torch.arange(side, device=grounding.masks.device) + 0.5) / side
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    cells = torch.stack([x.flatten(), y.flatten()], dim=1).repeat(1, 2)
    return cells.expand(len(grounding.masks), -1, -1), grounding.masks.expand(-1, num_tokens)
