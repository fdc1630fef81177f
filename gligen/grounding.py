"""From layouts to grounding: what the gated layers attend to during a run.

Shapes: B pictures, M grounding tokens, D token width, E channels of a map, latents [B, c, h, w].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.clip_image_project_model import CLIPImageProjection
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from gligen.components import Components
from gligen.encoding import encode_phrases
from gligen.kinds import KEYPOINT, MAP, TEXT_BOX, check_layout, kind_named
from gligen.layout import MAX_REGIONS, Box, Layout
from gligen.person import JOINTS
from gligen.pictures.maps import prepare_map
from gligen.references import AS_TRAINED, ReferenceOptions, encode_references
from gligen.tokenizers import (
    BoxGrounding,
    KeypointGrounding,
    MapGrounding,
    TextImageGrounding,
)
from gligen.unet import is_grounded

Item = TypeVar("Item")
GroundingInput = BoxGrounding | TextImageGrounding | KeypointGrounding | MapGrounding


@dataclass(frozen=True)
class RunGrounding:
    """The grounding of a run, the same in every step."""

    tokens: Float[Tensor, "B M D"] | None = None  # None: plain generation
    null_tokens: Float[Tensor, "B M D"] | None = None  # for the unconditional half of guidance
    grounded: Float[Tensor, "B 1 1"] | None = None  # 0 = a picture without grounding; None: all 1
    map_channels: Float[Tensor, "B E h w"] | None = None  # map kinds: beside the latents


@dataclass(frozen=True)
class Encoders:
    """What gives the features [N, D] of N different phrases and of N different pictures."""

    phrases: Callable[[Sequence[str]], Tensor]
    pictures: Callable[[Sequence[Image.Image]], Tensor]


@torch.no_grad()
def encode_grounding(
    components: Components,
    layouts: Sequence[Layout],
    size: tuple[int, int],
    references: ReferenceOptions = AS_TRAINED,
    phrases: Callable[[Sequence[str]], Tensor] | None = None,
) -> RunGrounding:
    """Encode the layouts of B pictures; each different phrase and picture is encoded once.

    A layout with nothing in it means plain generation, so its gates stay shut; an inpainting hole
    without phrases is filled on null tokens, as in the original.

    Args:
        components: the models; their kind decides what of the layouts is read.
        layouts: B of them.
        size: width and height in pixels of what the model paints.
        references: how reference and style pictures are read.
        phrases: gives the features [N, D] of N phrases; default: the text encoder.

    Raises:
        ValueError: a layout holds what the model cannot follow.
    """
    unet = components.unet
    if not is_grounded(unet):
        if any(layouts) and not components.is_inpainting:
            raise ValueError(
                "The UNet has no grounding layers, so regions cannot be followed; load a GLIGEN "
                "model, or put an adapter on this base (gligen.loading.load_pipeline with "
                "base=...)."
            )
        return RunGrounding()
    kind = kind_named(components.kind)
    for layout in layouts:
        check_layout(layout, kind)
    has_grounding = [
        bool(layout.grounded) if kind.modality == TEXT_BOX else bool(layout) for layout in layouts
    ]
    if not (any(has_grounding) or kind.is_inpainting):
        return RunGrounding()
    encoders = _own_encoders(components, references)
    if phrases is not None:
        encoders = replace(encoders, phrases=phrases)
    encoded = encode_layouts(components, layouts, size, references, encoders)
    tokens = unet.position_net(encoded).tokens.to(components.device)
    null_tokens = unet.position_net(encoded.null()).tokens.to(components.device)
    if isinstance(encoded, MapGrounding):
        pixels = components.pixels_per_latent
        latent_size = (size[1] // pixels, size[0] // pixels)
        channels = unet.downsample_net(encoded.image, latent_size).to(components.device)
        return RunGrounding(tokens, null_tokens, map_channels=channels)
    if kind.is_inpainting or all(has_grounding):
        return RunGrounding(tokens, null_tokens)
    grounded = torch.tensor(has_grounding, dtype=tokens.dtype, device=tokens.device)
    return RunGrounding(tokens, null_tokens, grounded[:, None, None])


@torch.no_grad()
def encode_layouts(
    components: Components,
    layouts: Sequence[Layout],
    size: tuple[int, int],
    references: ReferenceOptions = AS_TRAINED,
    encoders: Encoders | None = None,
) -> GroundingInput:
    """Encode what the tokenizer of the model reads, padded to its slots, on its device.

    Other arguments and errors are those of `encode_grounding`; layouts may be empty, maps excepted.

    Args:
        encoders: give the features in place of the components' own encoders; training remembers.
    """
    if encoders is None:
        encoders = _own_encoders(components, references)
    modality = kind_named(components.kind).modality
    if modality == MAP:
        return _encode_maps(components, layouts, size)
    if modality == TEXT_BOX:
        return _encode_regions(components, layouts, encoders)
    if modality == KEYPOINT:
        return _encode_persons(components, layouts)
    return _encode_references(components, layouts, references.style_box, encoders)


def _own_encoders(components: Components, references: ReferenceOptions) -> Encoders:
    return Encoders(
        lambda found: encode_phrases(components.tokenizer, components.text_encoder, found),
        lambda found: _encode_pictures(components, found, references),
    )


def _encode_regions(
    components: Components, layouts: Sequence[Layout], encoders: Encoders
) -> BoxGrounding:
    """Encode the regions that have a phrase; a hole without one takes no slot."""
    regions = [layout.grounded for layout in layouts]
    home = _home(components)
    boxes, masks = _padded_boxes([[region.box for region in row] for row in regions])
    features = _features(
        [[region.phrase for region in row] for row in regions],
        encoders.phrases,
        components.unet.position_net.feature_width,
    )
    return BoxGrounding(boxes.to(home), masks.to(home), features.to(home))


def _encode_references(
    components: Components,
    layouts: Sequence[Layout],
    style_box: Box,
    encoders: Encoders,
) -> TextImageGrounding:
    """Encode every region, with or without phrase and picture; the style comes last."""
    phrases: list[list[str]] = []
    pictures: list[list[Image.Image | None]] = []
    boxes: list[list[Box]] = []
    for layout in layouts:
        phrases.append([region.phrase for region in layout])
        pictures.append([region.image for region in layout])
        boxes.append([region.box for region in layout])
        if layout.style is not None:
            phrases[-1].append("")
            pictures[-1].append(layout.style)
            boxes[-1].append(style_box)
    phrase_masks = _padded([[float(bool(phrase)) for phrase in row] for row in phrases])
    image_masks = _padded([[float(image is not None) for image in row] for row in pictures])
    for row, layout in enumerate(layouts):
        for slot, region in enumerate(layout):
            phrase_masks[row, slot] *= region.phrase_weight
            image_masks[row, slot] *= region.image_weight

    tokenizer = components.unet.position_net
    home, width = _home(components), tokenizer.feature_width
    places, masks = _padded_boxes(boxes)
    return TextImageGrounding(
        boxes=places.to(home),
        masks=masks.to(home),
        phrase_masks=phrase_masks.to(home),
        image_masks=image_masks.to(home),
        phrase_features=_features(phrases, encoders.phrases, width).to(home),
        image_features=_features(pictures, encoders.pictures, width).to(home),
    )


def _encode_pictures(
    components: Components, pictures: Sequence[Image.Image], options: ReferenceOptions
) -> Float[Tensor, "N D"]:
    encoder, projection = components.image_encoder, components.image_project
    if encoder is None or projection is None or components.processor is None:
        raise ValueError(
            "The layout has reference or style pictures, but the model was loaded without the "
            "parts that read them (image_encoder, image_project, processor); load them too, or "
            "remove the pictures."
        )
    assert isinstance(projection, CLIPImageProjection), "diffusers' component of that name"
    return encode_references(
        encoder, projection, components.processor, pictures, options.crop, options.norm
    )


def _encode_persons(components: Components, layouts: Sequence[Layout]) -> KeypointGrounding:
    """Place the joints of each person in the slots of that person.

    Raises:
        ValueError: there are more persons than the model can tell apart.
    """
    tokenizer = components.unet.position_net
    points = torch.zeros(len(layouts), tokenizer.max_persons, len(JOINTS), 2)
    masks = torch.zeros(points.shape[:-1])
    for row, layout in enumerate(layouts):
        if len(layout.persons) > tokenizer.max_persons:
            raise ValueError(
                f"The layout has {len(layout.persons)} persons; this model can tell "
                f"{tokenizer.max_persons} apart. Remove some."
            )
        for slot, person in enumerate(layout.persons):
            for joint, point in enumerate(person.keypoints):
                if point is not None:
                    points[row, slot, joint] = torch.tensor(point)
                    masks[row, slot, joint] = 1
    home = _home(components)
    return KeypointGrounding(points.flatten(1, 2).to(home), masks.flatten(1).to(home))


def _encode_maps(
    components: Components, layouts: Sequence[Layout], size: tuple[int, int]
) -> MapGrounding:
    """Prepare each different map once.

    Raises:
        ValueError: some layouts have a map and others not; the first convolution cannot serve both
            in one batch.
    """
    pictures = [layout.map for layout in layouts if layout.map is not None]
    if len(pictures) != len(layouts):
        raise ValueError(
            f"Of {len(layouts)} layouts {len(pictures)} have a map; make the pictures with a map "
            "and those without in two calls."
        )
    home, dtype = _home(components), components.unet.dtype
    distinct, index = _distinct(pictures)
    maps = torch.from_numpy(
        np.stack([prepare_map(picture, components.kind, size) for picture in distinct])
    )
    masks = torch.ones(len(layouts), 1, dtype=dtype, device=home)
    return MapGrounding(maps[index].to(home, dtype), masks)


def _home(components: Components) -> torch.device:
    """Return where the tokenizer computes.

    That is where its weights are, unless they are brought one by one to where the models compute.
    """
    device = components.unet.position_net.device
    return components.device if device.type == "meta" else device


def _features(
    rows: Sequence[Sequence[Item | None]],
    encode: Callable[[Sequence[Item]], Float[Tensor, "N D"]],
    width: int,
) -> Float[Tensor, "B M D"]:
    """Encode each distinct item once and put its feature into every slot that has it.

    Nothing is encoded where there is no item at all; empty items keep zeros, which masks hide.
    """
    places = [(r, s, item) for r, row in enumerate(rows) for s, item in enumerate(row) if item]
    if not places:
        return torch.zeros(len(rows), MAX_REGIONS, width)
    distinct, index = _distinct([item for _, _, item in places])
    encoded = encode(distinct)
    features = encoded.new_zeros(len(rows), MAX_REGIONS, width)
    for (row, slot, _), number in zip(places, index, strict=True):
        features[row, slot] = encoded[number]
    return features


def _distinct(items: Sequence[Item]) -> tuple[list[Item], list[int]]:
    """Return the different items, and for each item its place among them."""
    distinct: list[Item] = []
    index = []
    for item in items:
        if item not in distinct:
            distinct.append(item)
        index.append(distinct.index(item))
    return distinct, index


def _padded_boxes(
    rows: Sequence[Sequence[Box]],
) -> tuple[Float[Tensor, "B M 4"], Float[Tensor, "B M"]]:
    """Return the boxes padded to the model's slots, and 1 where there is one."""
    boxes = torch.zeros(len(rows), MAX_REGIONS, 4)
    for row, found in enumerate(rows):
        if found:
            boxes[row, : len(found)] = torch.tensor(found)
    return boxes, _padded([[1.0] * len(found) for found in rows])


def _padded(rows: Sequence[Sequence[float]]) -> Float[Tensor, "B M"]:
    padded = torch.zeros(len(rows), MAX_REGIONS)
    for row, values in enumerate(rows):
        padded[row, : len(values)] = torch.tensor(values)
    return padded
