"""The ten kinds of GLIGEN models: what each is grounded on, and what a layout for it may hold.

Kinds differ in their modality (what becomes grounding tokens) and their task (a new picture, or
holes of a given one). Weights are told apart in `gligen.weights.checkpoints`.
"""

from dataclasses import dataclass

from gligen.layout import MAX_REGIONS, Layout

TEXT_BOX, TEXT_IMAGE_BOX, KEYPOINT, MAP = "text_box", "text_image_box", "keypoint", "map"
GENERATION, INPAINTING = "generation", "inpainting"

# How the new layers are made. The first of each is every released model's; the others are the
# paper's ablations, which are trained here to compare with.
CROSS_ATTENTION, MLP_BOXES = "gated_cross_attention", "mlp"
FUSERS = ("gated_self_attention", CROSS_ATTENTION)
BOX_EMBEDDINGS = ("fourier", MLP_BOXES)


@dataclass(frozen=True)
class Kind:
    """One kind of model."""

    name: str  # as command line, settings and adapter files call it
    title: str  # for people
    modality: str  # TEXT_BOX, TEXT_IMAGE_BOX, KEYPOINT or MAP
    task: str  # GENERATION or INPAINTING
    usual_tau: float  # share of the steps with grounding, as the authors ran it
    map_channels: int = 0  # channels of the map that the downsampler reads; 0: no map

    @property
    def is_inpainting(self) -> bool:
        """Whether it fills holes of a given picture."""
        return self.task == INPAINTING

    @property
    def takes_regions(self) -> bool:
        """Whether it is grounded on boxes."""
        return self.modality in (TEXT_BOX, TEXT_IMAGE_BOX)


_TABLE = (
    Kind("generation_text_box", "phrases in boxes", TEXT_BOX, GENERATION, 0.3),
    Kind("inpainting_text_box", "inpainting, phrases in boxes", TEXT_BOX, INPAINTING, 0.3),
    Kind(
        "generation_text_image_box",
        "phrases and reference pictures in boxes, style",
        TEXT_IMAGE_BOX,
        GENERATION,
        1.0,
    ),
    Kind(
        "inpainting_text_image_box",
        "inpainting, phrases and reference pictures in boxes",
        TEXT_IMAGE_BOX,
        INPAINTING,
        1.0,
    ),
    Kind("keypoint", "human keypoints", KEYPOINT, GENERATION, 0.3),
    Kind("hed", "soft edges (HED)", MAP, GENERATION, 0.9, 1),
    Kind("canny", "Canny edges", MAP, GENERATION, 0.9, 1),
    Kind("depth", "depth map", MAP, GENERATION, 0.7, 1),
    Kind("normal", "surface normals", MAP, GENERATION, 0.7, 3),
    Kind("semantic", "semantic map of 152 ADE20K classes", MAP, GENERATION, 0.7, 152),
)
_BY_NAME = {kind.name: kind for kind in _TABLE}
KINDS = tuple(_BY_NAME)


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        ValueError: there is no such kind.
    """
    if name not in _BY_NAME:
        raise ValueError(f"There is no kind {name!r}; the kinds are {', '.join(KINDS)}.")
    return _BY_NAME[name]


def check_layout(layout: Layout, kind: Kind) -> None:
    """Refuse a layout with something in it that a model of this kind cannot follow.

    Raises:
        ValueError: the sentence says what it is, and which kind can.
    """
    model = f"This model ({kind.name})"
    if layout.regions and not kind.takes_regions:
        raise ValueError(
            f"{model} does not read boxes, and the layout has {len(layout.regions)}; remove them, "
            "or load the kind generation_text_box."
        )
    if layout.persons and kind.modality != KEYPOINT:
        raise ValueError(
            f"{model} does not read keypoints; remove them, or load the kind keypoint."
        )
    if layout.map is not None and kind.modality != MAP:
        raise ValueError(
            f"{model} does not read a map; leave it out, or load one of the kinds "
            f"{', '.join(k.name for k in _TABLE if k.modality == MAP)}."
        )
    if kind.modality == TEXT_IMAGE_BOX:
        used = len(layout.regions) + (layout.style is not None)
        if used > MAX_REGIONS:
            raise ValueError(
                f"The style picture takes one of the model's {MAX_REGIONS} slots, so there can be "
                f"at most {MAX_REGIONS - 1} regions beside it; the layout has "
                f"{len(layout.regions)}."
            )
        return
    if layout.style is not None:
        raise ValueError(
            f"{model} does not read a style picture; leave it out, or load the kind "
            "generation_text_image_box."
        )
    for number, region in enumerate(layout, start=1):
        if region.image is not None:
            raise ValueError(
                f"Region {number} has a reference picture, which this model ({kind.name}) does not "
                f"read; remove it, or load the kind {kind.task}_text_image_box."
            )
        if not region.phrase and not kind.is_inpainting:
            raise ValueError(
                f"Region {number} has no phrase; say what to draw there, or remove the region."
            )
