"""What an evaluation on COCO or LVIS layouts measures."""

from dataclasses import dataclass
from pathlib import Path

from gligen.kinds import TEXT_BOX, kind_named
from gligen.layout import MAX_REGIONS

MODES = ("on", "off", "mirrored", "real")
SQUASH, CROP = "squash", "crop"
ASKED, ALL = "asked", "all"

# Sizes of inpainted objects, as shares of the picture: those of the paper's table 4.
HOLE_SIZES = ((0.01, 0.03), (0.05, 0.10), (0.30, 0.50))


@dataclass(frozen=True)
class Choice:
    """Which layouts are judged.

    The defaults of the three filters are those of layout-to-image work on COCO since Johnson et
    al., "Image Generation from Scene Graphs" (2018), which LostGAN and LAMA took over. They counted
    objects and stuff; here it is what the file of boxes holds.

    Raises:
        ValueError: a number lies outside its range.
    """

    instances: Path  # boxes, in COCO's form
    captions: tuple[Path, ...] = ()  # without any, the phrases stand in
    images: Path | None = None  # folder of the pictures that the boxes are of, where needed
    min_objects: int = 3
    max_objects: int = 8
    min_area: float = 0.02  # share of the picture below which an object is left out
    limit: int | None = None  # layouts drawn from all that qualify; None: all
    seed: int = 0  # of that draw, and of the draw of one caption among several
    frame: str = SQUASH  # SQUASH: the whole picture becomes a square; CROP: its centre does

    def __post_init__(self):
        if not 1 <= self.min_objects <= self.max_objects <= MAX_REGIONS:
            raise ValueError(
                f"From {self.min_objects} to {self.max_objects} objects are asked for; it must be "
                f"at least 1, at most {MAX_REGIONS} (the slots of the model), the smaller first."
            )
        if not 0 <= self.min_area < 1:
            raise ValueError(f"min_area is {self.min_area}; it must be from 0 to below 1.")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is {self.limit}; it must be 1 or more.")
        if self.frame not in (SQUASH, CROP):
            raise ValueError(f"The frame is {self.frame!r}; it must be {SQUASH!r} or {CROP!r}.")


@dataclass(frozen=True)
class Painting:
    """How pictures are made from layouts.

    Raises:
        ValueError: a number lies outside its range, or kind and modes do not go together.
    """

    model: str = "official"
    base: str | None = None
    kind: str = "generation_text_box"
    modes: tuple[str, ...] = ("on",)  # of generation; inpainting has the sizes of holes instead
    steps: int = 50
    sampler: str = "plms"
    guidance_scale: float = 7.5
    tau: float | None = None  # share of the steps with grounding; None: as usual for the kind
    batch_size: int = 8  # pictures made together
    dtype: str | None = None  # None: float16 on CUDA, else float32

    def __post_init__(self):
        if kind_named(self.kind).modality != TEXT_BOX:
            raise ValueError(
                f"The kind is {self.kind}; layouts of COCO and LVIS are painted by "
                "generation_text_box or inpainting_text_box."
            )
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        if self.tau is not None and not 0 < self.tau <= 1:
            raise ValueError(
                f"tau is {self.tau}; it must be above 0 and at most 1. Without grounding is the "
                'mode "off".'
            )
        if not self.modes or set(self.modes) - set(MODES):
            raise ValueError(f"The modes are {', '.join(MODES)}; {self.modes!r} was given.")
        if self.is_inpainting and self.modes != ("on",):
            raise ValueError(
                f"Inpainting has no modes, but {self.modes!r} was given; leave --modes out."
            )

    @property
    def is_inpainting(self) -> bool:
        """Whether holes are filled in real pictures."""
        return kind_named(self.kind).is_inpainting


@dataclass(frozen=True)
class Judging:
    """Who looks at the pictures.

    Raises:
        ValueError: a number lies outside its range.
    """

    detector: str | None = None  # of transformers: a folder or a hub id; None: no AP
    clip: str | None = None  # likewise; None: no CLIP score
    real: Path | None = None  # folder of real pictures for FID; None: no FID
    queries: str = ASKED  # of open-vocabulary detectors: the picture's own categories, or ALL
    queries_at_once: int = 40  # Grounding DINO reads 256 tokens
    threshold: float = 0.001  # detections below are not kept; AP needs the weak ones too

    def __post_init__(self):
        if self.queries not in (ASKED, ALL):
            raise ValueError(f"queries is {self.queries!r}; it must be {ASKED!r} or {ALL!r}.")
        if self.queries_at_once < 1:
            raise ValueError(f"queries_at_once is {self.queries_at_once}; it must be 1 or more.")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"The threshold is {self.threshold}; it must be from 0 to below 1.")
