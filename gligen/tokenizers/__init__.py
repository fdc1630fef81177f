"""Grounding tokenizers: what a layout holds becomes the tokens that the gated layers attend to.

One module for each modality. All have `tokens(input)`; an input has `null()`, the input of the
unconditional half of guidance.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from gligen.kinds import BOX_EMBEDDINGS, KEYPOINT, MAP, MLP_BOXES, TEXT_BOX, Kind
from gligen.person import MAX_PERSONS
from gligen.tokenizers.convnext import TINY_DEPTHS, TINY_WIDTHS
from gligen.tokenizers.fourier import fourier_embedding
from gligen.tokenizers.keypoint import KeypointGrounding, KeypointTokenizer
from gligen.tokenizers.spatial_map import (
    SEMANTIC_CLASSES,
    MapDownsampler,
    MapGrounding,
    MapTokenizer,
)
from gligen.tokenizers.text_box import BoxGrounding, TextBoxTokenizer
from gligen.tokenizers.text_image_box import TextImageBoxTokenizer, TextImageGrounding

__all__ = [
    "BoxGrounding",
    "KeypointGrounding",
    "KeypointTokenizer",
    "MapDownsampler",
    "MapGrounding",
    "MapTokenizer",
    "TextBoxTokenizer",
    "TextImageBoxTokenizer",
    "TextImageGrounding",
    "Tokenizer",
    "downsampler_like",
    "fourier_embedding",
    "make_tokenizer",
    "tokenizer_like",
]

Tokenizer = TextBoxTokenizer | TextImageBoxTokenizer | KeypointTokenizer | MapTokenizer


def make_tokenizer(
    kind: Kind,
    token_width: int,
    feature_width: int | None = None,
    widths: Sequence[int] = TINY_WIDTHS,
    depths: Sequence[int] = TINY_DEPTHS,
    box_embedding: str = BOX_EMBEDDINGS[0],
) -> Tokenizer:
    """Build an untrained tokenizer of a kind, by default with the sizes of the released models.

    Args:
        kind: what it reads.
        token_width: width of a grounding token.
        feature_width: width of phrase and picture features; default: that of a token.
        widths: of the stages of a map's backbone.
        depths: of the same.
        box_embedding: of the text-box kinds, one of BOX_EMBEDDINGS.
    """
    if kind.modality == KEYPOINT:
        return KeypointTokenizer(MAX_PERSONS, token_width)
    if kind.modality == MAP:
        num_classes = SEMANTIC_CLASSES if kind.map_channels > 3 else 0
        return MapTokenizer(64, token_width, widths, depths, num_classes)
    if kind.modality == TEXT_BOX:
        return TextBoxTokenizer(feature_width or token_width, token_width, box_embedding)
    return TextImageBoxTokenizer(feature_width or token_width, token_width)


def tokenizer_like(state: Mapping[str, Tensor]) -> Tokenizer:
    """Build an empty tokenizer for weights `position_net.*`; all sizes are read off their shapes.

    Raises:
        ValueError: the weights are those of no tokenizer known here, or are incomplete.
    """
    found = {
        key.removeprefix("position_net."): tensor
        for key, tensor in state.items()
        if key.startswith("position_net.")
    }
    try:
        if "null_positive_feature" in found:
            width = _width(found, "null_positive_feature")
            box_embedding = MLP_BOXES if "box_mlp.0.weight" in found else BOX_EMBEDDINGS[0]
            return TextBoxTokenizer(width, _outputs(found), box_embedding)
        if "null_text_feature" in found:
            width = _width(found, "null_text_feature")
            return TextImageBoxTokenizer(width, _outputs(found, "linears_text"))
        if "null_person_feature" in found:
            return KeypointTokenizer(_width(found, "person_embeddings"), _outputs(found))
        if "null_feature" in found:
            return _map_tokenizer_like(found)
    except KeyError as missing:
        raise ValueError(f"The grounding tokenizer is incomplete: {missing} is missing.") from None
    raise ValueError(
        f"The grounding tokenizer is of no known kind: its {len(found)} weights have no null "
        "feature of phrases, persons or maps."
    )


def downsampler_like(state: Mapping[str, Tensor]) -> MapDownsampler:
    """Build an empty downsampler for the weights `downsample_net.*` of a map kind.

    Without such weights it is the HED kind's, which has none.

    Raises:
        ValueError: the weights are incomplete.
    """
    layers = [state.get(f"downsample_net.layers.{layer}.weight") for layer in (0, 2)]
    if not any(key.startswith("downsample_net.") for key in state):
        return MapDownsampler(1)
    if layers[0] is None or layers[1] is None:
        raise ValueError("The map's downsampler is incomplete: a convolution of it is missing.")
    return MapDownsampler(
        layers[0].shape[1], [layer.shape[0] for layer in layers if layer is not None]
    )


def _map_tokenizer_like(found: Mapping[str, Tensor]) -> MapTokenizer:
    backbone = "convnext_tiny_backbone"
    widths = [found[f"{backbone}.downsample_layers.0.0.weight"].shape[0]]
    stages = {key.split(".")[2] for key in found if key.startswith(f"{backbone}.stages.")}
    for stage in range(1, len(stages)):
        widths.append(found[f"{backbone}.downsample_layers.{stage}.1.weight"].shape[0])
    depths = [
        len({key.split(".")[3] for key in found if key.startswith(f"{backbone}.stages.{stage}.")})
        for stage in range(len(widths))
    ]
    return MapTokenizer(
        num_tokens=found["pos_embedding"].shape[1],
        token_width=_outputs(found),
        widths=widths,
        depths=depths,
        num_classes=found["in_conv.weight"].shape[1] if "in_conv.weight" in found else 0,
    )


def _width(found: Mapping[str, Tensor], name: str) -> int:
    return found[name].shape[0]


def _outputs(found: Mapping[str, Tensor], mlp: str = "linears") -> int:
    return found[f"{mlp}.4.weight"].shape[0]
