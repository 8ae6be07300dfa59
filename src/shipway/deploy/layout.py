"""What an environment looks like: as observed, as wanted, as it was before. Plans lead from one layout to another."""

import msgspec

_SAME_SHARE = 1e-6
"""Shares come back from the gateway as sums of floats."""


class Layout(msgspec.Struct, frozen=True):
    """Which releases are on a target, which of them run, and who gets the traffic.

    Attributes:
        gateway: Digest of the image that the gateway runs; None when there is no gateway.
        front: The releases that the gateway's configuration names. The first one leads: its routes and limits hold.
        running: For each release its services, with how many replicas run and are not known to be ill.
        installed: Releases whose images, files and secrets are on the target, rising.
        shares: What each release has of all sessions; empty when nothing is shared out.
        is_stale: Whether the gateway has to be configured anew for what belongs to no release: a certificate was renewed.
    """

    gateway: str | None = None
    front: tuple[int, ...] = ()
    running: dict[int, dict[str, int]] = {}
    installed: tuple[int, ...] = ()
    shares: dict[int, float] = {}
    is_stale: bool = False

    @property
    def lead(self) -> int | None:
        return self.front[0] if self.front else None

    def runs(self, release: int, service: str, replicas: int) -> bool:
        return self.running.get(release, {}).get(service, 0) == replicas


def same_shares(one: dict[int, float], other: dict[int, float]) -> bool:
    return all(abs(one.get(name, 0.0) - other.get(name, 0.0)) < _SAME_SHARE for name in {*one, *other})
