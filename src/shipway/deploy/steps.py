"""The steps that a plan is made of: values that say what they do, are written to the journal, and can be done twice.

A target does `Install` to `Remove`. `Shift`, `Hold` and `Drain` are done on the gateway, `Commit` in the state.
"""

import msgspec

from shipway.deploy.releases import release_name
from shipway.spec.units import format_seconds


class _Step(msgspec.Struct, frozen=True, tag_field="step"):
    pass


class Install(_Step, frozen=True, tag="install"):
    """Bring what *release* needs to the target: images, files, secrets. Starts nothing."""

    release: int

    def describe(self) -> str:
        return f"bring {release_name(self.release)} to the target"


class Start(_Step, frozen=True, tag="start"):
    """Have exactly *replicas* of one service of *release* run; those that died or are ill are replaced."""

    release: int
    service: str
    replicas: int

    def describe(self) -> str:
        times = f" ({self.replicas} replicas)" if self.replicas > 1 else ""
        return f"start {self.service} {release_name(self.release)}{times}"


class Verify(_Step, frozen=True, tag="verify"):
    """Wait until every replica of *release* is healthy. Raises NotReadyError, with the last lines of its log."""

    release: int
    within_s: float

    def describe(self) -> str:
        return f"verify that {release_name(self.release)} is healthy, within {format_seconds(self.within_s)}"


class Gateway(_Step, frozen=True, tag="gateway"):
    """Have the gateway run *image* with a configuration that names the releases in *front*, the first one leading.

    Another image replaces the gateway without losing a request; another front is a reload. No image: no gateway.
    """

    image: str | None
    front: tuple[int, ...]

    def describe(self) -> str:
        if self.image is None:
            return "remove the gateway"
        names = [release_name(number) for number in self.front]
        others = " and ".join(filter(None, (", ".join(names[1:-1]), names[-1]))) if names[1:] else ""
        also = f", {others} beside it" if others else ""
        return f"configure the gateway for {names[0]}{also}"


class Stop(_Step, frozen=True, tag="stop"):
    """Stop and remove the replicas of one service of *release*, which has been drained."""

    release: int
    service: str

    def describe(self) -> str:
        return f"stop {self.service} {release_name(self.release)}"


class Remove(_Step, frozen=True, tag="remove"):
    """Remove what *release* needs from the target, but what other installed releases need too."""

    release: int

    def describe(self) -> str:
        return f"remove {release_name(self.release)} from the target"


class Shift(_Step, frozen=True, tag="shift"):
    """Give the releases these shares of all sessions, which sum to 1."""

    shares: dict[int, float]

    def describe(self) -> str:
        return "traffic: " + ", ".join(
            f"{release_name(n)} {share * 100:.4g} %" for n, share in sorted(self.shares.items())
        )


class Hold(_Step, frozen=True, tag="hold"):
    """Watch *release* beside *baseline* at the present shares before going on.

    Attributes:
        judged: Whether a verdict is asked; without it only outright failure ends the rollout.
        conclusive: Whether only a verdict to promote lets it go on, as before the last step of a canary.
        min_s: At least so long.
        min_requests: At least so many requests to *release*.
        deadline_s: So long after the rollout began, only a verdict to promote keeps it from being rolled back.
        settle_s: So long after the shares changed, what ends may have begun before: no reason to promote.
    """

    release: int
    baseline: int | None
    judged: bool
    conclusive: bool
    min_s: float
    min_requests: int
    deadline_s: float
    settle_s: float = 0.0

    def describe(self) -> str:
        name, least = release_name(self.release), format_seconds(self.min_s)
        if not self.judged:
            return f"watch {name} for {least}"
        wanted = f"at least {least} and {self.min_requests} requests"
        until = " until there is a verdict" if self.conclusive else ""
        return f"judge {name}{until}: {wanted}"


class Drain(_Step, frozen=True, tag="drain"):
    """Wait until the gateway has no request under way to *release*, but no longer than *within_s*."""

    release: int
    within_s: float

    def describe(self) -> str:
        return f"drain {release_name(self.release)}, at most {format_seconds(self.within_s)}"


class Commit(_Step, frozen=True, tag="commit"):
    """Note that the environment is at *release* now, and which releases can be returned to.

    Attributes:
        left: What an abort restores of releases that were left for an earlier one; None: it follows from the move.
    """

    release: int | None
    retained: tuple[int, ...]
    left: tuple[int, ...] | None = None

    def describe(self) -> str:
        return (
            "nothing is deployed"
            if self.release is None
            else f"note {release_name(self.release)} as the current release"
        )


TargetStep = Install | Start | Verify | Gateway | Stop | Remove
Step = TargetStep | Shift | Hold | Drain | Commit
