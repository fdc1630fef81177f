"""What an evaluation on the synthetic world measures."""

from dataclasses import dataclass

MODES = ("on", "off", "mirrored")


@dataclass(frozen=True)
class Options:
    """What is measured.

    Raises:
        ValueError: a number is below 1, tau outside (0, 1], or a mode unknown.
    """

    num_layouts: int = 500
    steps: int = 50
    sampler: str = "plms"
    guidance_scale: float = 7.5
    tau: float = 0.3  # share of the steps with grounding, in modes "on" and "mirrored"
    batch_size: int = 25  # pictures made together
    modes: tuple[str, ...] = MODES

    def __post_init__(self):
        for name in ("num_layouts", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        if not 0 < self.tau <= 1:
            raise ValueError(
                f"tau is {self.tau}; it must be above 0 and at most 1. Grounding off (0) is "
                'measured anyway, as the mode "off".'
            )
        unknown = set(self.modes) - set(MODES)
        if unknown or not self.modes:
            raise ValueError(f"The modes are {', '.join(MODES)}; {self.modes!r} was given.")
