"""What an evaluation on the synthetic world measures."""

from dataclasses import dataclass
from typing import Any

from gligen.presets import Preset

TABLES = (
    "boxes",
    "open_set",
    "tau",
    "presets",
    "inpainting",
    "images",
    "keypoints",
    "semantic",
    "canny",
    "ablations",
)
NUM_LAYOUTS = 500


@dataclass(frozen=True)
class Ablation:
    """A model that is compared with the one under test."""

    label: str  # as the report calls it
    source: str  # an adapter, or whatever else `load_pipeline` takes
    base: str | None = None  # what the adapter is put on

    @property
    def series(self) -> str:
        """Name of the series of its pictures, fit for a folder."""
        return "ablation-" + "".join(c if c.isalnum() else "-" for c in self.label.lower())

    @classmethod
    def from_text(cls, text: str, base: str | None = None) -> "Ablation":
        """Read LABEL=ADAPTER[:BASE]; without a BASE of its own it is put on `base`.

        Raises:
            ValueError: the text is not of that form.
        """
        label, equals, place = text.partition("=")
        source, _, own_base = place.partition(":")
        if not (label.strip() and equals and source):
            raise ValueError(
                f"An ablation is given as LABEL=ADAPTER or LABEL=ADAPTER:BASE, not {text!r}."
            )
        return cls(label.strip(), source, own_base or base)


@dataclass(frozen=True)
class WorldOptions:
    """What is measured, and how the pictures are made.

    Raises:
        ValueError: a number lies outside its range, a table is unknown, or two ablations share a
            label.
    """

    num_layouts: int = NUM_LAYOUTS
    # None, here and below: as `GligenPipeline` paints when it is not told
    steps: int | None = None
    sampler: str | None = None
    guidance_scale: float | None = None
    tau: float | None = None  # share of the steps with grounding
    batch_size: int = 25  # pictures made together
    tables: tuple[str, ...] | None = None  # of TABLES; None: all that the model has kinds for
    ablations: tuple[Ablation, ...] = ()
    preset: str | None = None  # of gligen.presets; the table of presets has all of them

    def __post_init__(self):
        for name in ("num_layouts", "steps", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more.")
        if self.tau is not None and not 0 < self.tau <= 1:
            raise ValueError(
                f"tau is {self.tau:g}; it must be above 0 and at most 1. Grounding off (0) is "
                "measured anyway."
            )
        if self.preset is not None:
            Preset.from_text(self.preset)
        unknown = sorted(set(self.tables or ()) - set(TABLES))
        if unknown or self.tables == ():
            raise ValueError(
                f"There is no table {unknown[0] if unknown else ''!r}; the tables are "
                f"{', '.join(TABLES)}."
            )
        names = [ablation.series for ablation in self.ablations]
        for ablation in self.ablations:
            if names.count(ablation.series) > 1:
                raise ValueError(
                    f"Two ablations are labelled {ablation.label!r}; give each its own label."
                )

    def call_arguments(self, tau: float | None) -> dict[str, Any]:
        """Return the arguments of a pipeline call; what is None is left to its own defaults."""
        given = {
            "num_inference_steps": self.steps,
            "sampler": self.sampler,
            "preset": self.preset,
            "guidance_scale": self.guidance_scale,
            "gligen_scheduled_sampling_beta": self.tau if tau is None else tau,
        }
        return {name: value for name, value in given.items() if value is not None}
