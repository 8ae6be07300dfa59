"""The snapshot: all that the data plane reads of the app file, compiled (`compiling`) into a value that never changes.

A request takes the current snapshot when it begins and keeps it to its end, so a swap never shows it two versions. What
lives longer than a snapshot (connections, breakers, limits under way) is in `endpoints` and `limits`, which it refers to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shipway.cost.prices import Prices
from shipway.gateway.admission import Admission
from shipway.gateway.cache.model_cache import ModelCache
from shipway.gateway.guards.guard import Guard, ModelGuards
from shipway.gateway.health_checks import Check
from shipway.gateway.latency import PeakEwma
from shipway.gateway.providers.provider import Provider
from shipway.gateway.releases import Split
from shipway.gateway.routing import RouteTable
from shipway.gateway.upstreams import Endpoint
from shipway.security.rate_limiting.gcra import GcraTable, Quota

if TYPE_CHECKING:
    from shipway.gateway.delivery import Delivery

ONLY: Final = ""
"""The release of a target that has no named ones."""


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """A provider's model: what it is called there, what of a request it may go without, whether it is asked for the usage of
    streams whose callers do not ask, and what its tokens cost.

    Attributes:
        prices: None where they are unknown.
    """

    label: str
    model: str
    provider: Provider = field(repr=False)
    may_drop: frozenset[str] = frozenset()
    stream_usage: bool = False
    prices: Prices | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One endpoint of one upstream, as the balancing policies see it."""

    upstream: UpstreamTarget
    endpoint: Endpoint
    weight: float
    timed: bool = False
    """Whether the policy asks how fast it answers."""
    deliveries: dict[tuple[bytes, bool], Delivery] = field(default_factory=dict, repr=False)
    """How calls are delivered to it, by path and whether a stream is wanted: worked out once, when first needed."""

    @property
    def in_flight(self) -> int:
        return self.endpoint.in_flight

    @property
    def latency(self) -> PeakEwma:
        return self.endpoint.latency

    @property
    def affinity_seed(self) -> int:
        return self.endpoint.affinity_seed


@dataclass(frozen=True, slots=True)
class Group:
    """Candidates that are equals: one is chosen by *policy*, the others are for when it fails."""

    candidates: tuple[Candidate, ...]
    policy: str


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    name: str
    releases: Mapping[str, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class ModelTarget:
    name: str
    releases: Mapping[str, tuple[Group, ...]]
    """By release, the groups that are tried in order."""
    cache: ModelCache | None = None
    guards: ModelGuards | None = None


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds granted to an upstream."""

    connect_s: float
    first_byte_s: float
    first_token_s: float
    heartbeat_s: float
    idle_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class CountedObjectives:
    """Objectives by which the gateway itself tells good from bad, as no bucket of a histogram ends at their limits.

    Attributes:
        cost_pico_usd: What a call costs at most.
        good_score: From which score on an answer is good.
    """

    cost_pico_usd: int | None = None
    good_score: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: int
    routes: RouteTable[ServiceTarget]
    services: Mapping[str, ServiceTarget]
    models: Mapping[str, ModelTarget]
    splits: Mapping[str, Split]
    """How targets with several releases share their sessions, by `models.NAME` and `services.NAME`."""
    admission: Admission
    deadlines: Deadlines
    max_body_bytes: int
    session_header: bytes
    """Lower-case name of the header that names a conversation."""
    checks: tuple[Check, ...]
    objectives: CountedObjectives = CountedObjectives()

    def candidates(self) -> Iterator[Candidate]:
        for model in self.models.values():
            for groups in model.releases.values():
                for group in groups:
                    yield from group.candidates

    def guards(self) -> set[Guard]:
        """Every guard that could be asked."""
        return {guard for model in self.models.values() if model.guards is not None for guard in model.guards.all()}

    def providers(self) -> set[Provider]:
        """Every provider that a request could be sent to."""
        return {candidate.upstream.provider for candidate in self.candidates()}

    def releases(self) -> frozenset[str]:
        """The names of all releases of services and models."""
        of_targets = [one.releases.keys() for one in self.models.values()]
        of_targets += [one.releases.keys() for one in self.services.values()]
        return frozenset(name for names in of_targets for name in names if name != ONLY)

    def priced(self) -> Iterator[tuple[str, str, str]]:
        """Model, release and upstream wherever the upstream's prices are known."""
        for model in self.models.values():
            for release, groups in model.releases.items():
                upstreams = (candidate.upstream for group in groups for candidate in group.candidates)
                yield from ((model.name, release, one.label) for one in upstreams if one.prices is not None)

    def caches(self) -> list[ModelCache]:
        """The caches of all models that have one."""
        return [model.cache for model in self.models.values() if model.cache is not None]

    def endpoints(self) -> set[Endpoint]:
        """Every endpoint that a request could be sent to."""
        of_services = {one for service in self.services.values() for all in service.releases.values() for one in all}
        of_guards = {guard.endpoint for guard in self.guards() if guard.endpoint is not None}
        return of_services | of_guards | {candidate.endpoint for candidate in self.candidates()}


@dataclass(frozen=True)
class AllottedAddresses:
    """Base URLs that whoever runs the gateway gave to services and upstreams, instead of those in the app file."""

    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)


class LiveLimits:
    """The state of limits, kept across snapshots for as long as the limit stays the same."""

    def __init__(self) -> None:
        self._tables: dict[Quota, GcraTable] = {}

    def table(self, quota: Quota) -> GcraTable:
        """The table of *quota*, and of no other from now on."""
        table = self._tables.get(quota) or GcraTable(quota)
        self._tables = {quota: table}
        return table

    def trim(self, now_s: float) -> None:
        for table in self._tables.values():
            table.trim(now_s)
