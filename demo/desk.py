"""Where everybody who wants a picture has to come by: limits, the line, and who may stop what."""

from dataclasses import dataclass, field

from demo.line import Line
from demo.rate import RateLimit
from demo.session import StopSignals


@dataclass(frozen=True)
class Desk:
    """What all pages and endpoints of one app share to take turns."""

    line: Line = field(default_factory=Line)
    rate: RateLimit = field(default_factory=RateLimit)
    signals: StopSignals = field(default_factory=StopSignals)

    def close(self, seconds: float) -> bool:
        """Let nobody in any more, and end what runs.

        Args:
            seconds: that the run on the device may still take before it is stopped.

        Returns:
            Whether it ended by itself.
        """
        self.line.close()
        if self.line.wait_until_idle(seconds):
            return True
        self.signals.stop_all()
        return False
