"""Faster ways to paint that are not exact: a preset trades a little quality for time, by choice.

What is measured of each stands in docs/results.md. The default, `exact`, changes nothing.
"""

import re
from dataclasses import dataclass, replace

DEEPCACHE = "deepcache"
DEEP_INTERVALS = range(2, 11)
_FORMS = (
    "exact, fast, faster, or deepcache=N with N from "
    f"{DEEP_INTERVALS.start} to {DEEP_INTERVALS.stop - 1}"
)
USUAL_STEPS = 50


@dataclass(frozen=True)
class Preset:
    """What a preset does to a run.

    Sampler and steps are what the run has where the caller names none: an explicit one always
    wins. The other two hold whatever the sampler.
    """

    name: str  # as it is written
    sampler: str | None = None  # one of gligen.samplernames.SAMPLERS; None: that of the caller
    steps: int | None = None  # None: those of the caller
    guided_share: float = 1.0  # of the steps, from the first; the others have no guidance
    # The deep levels of the UNet are evaluated once in so many steps (gligen.deepcache)
    deep_interval: int = 1

    @property
    def keeps_noise_levels(self) -> bool:
        """Whether tau counts noise levels and not steps, because the preset may space them anew."""
        return self.sampler is not None

    @property
    def keeps_deep_features(self) -> bool:
        """Whether the deep levels of the UNet are left out in some steps."""
        return self.deep_interval > 1

    def num_steps(self, asked: int | None) -> int:
        """Return the number of steps where `asked` were asked for; None: none in particular."""
        if asked is not None:
            return asked
        return self.steps or USUAL_STEPS

    @classmethod
    def from_text(cls, text: str) -> "Preset":
        """Return the preset of a name such as "fast" or "deepcache=3".

        Raises:
            ValueError: there is none of that name.
            TypeError: it is not text.
        """
        if not isinstance(text, str):
            raise TypeError(f"The preset is {text!r}; it must be text: {_FORMS}.")
        if text in _NAMED:
            return _NAMED[text]
        interval = re.fullmatch(rf"{DEEPCACHE}=([0-9]{{1,3}})", text)
        if interval is None:
            raise ValueError(f"There is no preset {text!r}; there are: {_FORMS}.")
        if int(interval[1]) not in DEEP_INTERVALS:
            raise ValueError(
                f"The preset {text!r} evaluates the deep levels once in {int(interval[1])} steps; "
                f"it must be once in {DEEP_INTERVALS.start} to {DEEP_INTERVALS.stop - 1}, 3 is "
                "usual, and exact leaves none out."
            )
        return cls(f"{DEEPCACHE}={int(interval[1])}", deep_interval=int(interval[1]))


EXACT = Preset("exact")
FAST = Preset("fast", sampler="dpm++", steps=20)
FASTER = replace(FAST, name="faster", guided_share=0.6)
_NAMED = {preset.name: preset for preset in (EXACT, FAST, FASTER)}
# What the evaluation compares.
PRESETS = ("exact", "fast", "faster", "deepcache=2", "deepcache=3", "deepcache=5")
