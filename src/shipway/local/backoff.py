"""How long to wait before a crashed child is started again. Pure: whoever restarts keeps the count and the clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, bounded, and forgetful: a child that ran well for `healthy_s` starts from `first_s` again.

    Without jitter: it spreads out many clients of one server, and here each child waits for itself alone.
    """

    first_s: float = 0.5
    factor: float = 2.0
    longest_s: float = 15.0
    healthy_s: float = 30.0

    def failures_after(self, failures: int, ready_for_s: float) -> int:
        """The count of failures in a row once a child that was ready for *ready_for_s* (0: never) has ended."""
        return 1 if ready_for_s >= self.healthy_s else failures + 1

    def delay_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row; 0 failures wait for nothing."""
        if failures <= 0:
            return 0.0
        # The exponent is bounded too: after days of crashes the power alone would overflow.
        return min(self.longest_s, self.first_s * self.factor ** min(failures - 1, 64))
