"""Time that passes only when somebody waits."""

from shipway.deploy.clock import Clock

START_S = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""


class FakeClock:
    """Give `clock` to what is tested; `sleep` and `advance` move it."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.clock = Clock(wall_s=lambda: self.now_s, monotonic_s=lambda: self.now_s, sleep=self.advance)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
