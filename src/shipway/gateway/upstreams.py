"""Live upstreams: what the gateway knows of the addresses it forwards to, kept across snapshots.

A snapshot names addresses; the pools and counters behind them belong to the process, so a reload keeps warm
connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from urllib.parse import urlsplit

from shipway.gateway.affinity import seed_of
from shipway.gateway.breaker import Breaker
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.pool import Origin, Pool
from shipway.gateway.latency import PeakEwma
from shipway.gateway.tls import SYSTEM_TRUST, UpstreamTls


@dataclass(frozen=True, slots=True)
class Address:
    """A base URL, split: where to connect and what to put before each path."""

    origin: Origin
    base_path: bytes

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises: ValueError when *url* is not an http(s) URL with a host."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"not an http or https URL: {url}")
        tls = parts.scheme == "https"
        origin = Origin(parts.hostname, parts.port or (443 if tls else 80), tls)
        return cls(origin, parts.path.rstrip("/").encode())


class Endpoint:
    """One address, or one upstream (an account's model) there, with its breaker and what is under way; its
    connections are the origin's."""

    __slots__ = (
        "address",
        "affinity_seed",
        "authority",
        "breaker",
        "healthy",
        "in_flight",
        "latency",
        "limited_until_s",
        "pool",
        "weight",
    )

    def __init__(self, address: Address, pool: Pool) -> None:
        self.address = address
        self.authority = address.origin.authority()
        self.pool = pool
        self.in_flight = 0
        self.weight = 1.0
        self.affinity_seed = seed_of(b"%b%b" % (self.authority, address.base_path))
        self.healthy = True
        """What the last active checks said; always true where there are none."""
        self.breaker = Breaker()
        self.latency = PeakEwma()
        self.limited_until_s = -inf
        """Until when it wants no more requests, on the loop's clock, if it said so with 429."""

    def willing(self, now_s: float) -> bool:
        """Whether it may be asked: checked to be healthy, and its breaker would let a request pass."""
        return self.healthy and self.breaker.would_allow(now_s)

    def told_to_wait(self, now_s: float, wait_s: float, *, limited: bool) -> None:
        """It said for how long it is to be left alone; *limited*: since there were too many requests."""
        self.breaker.told_to_wait(now_s, wait_s)
        if limited:
            self.limited_until_s = now_s + wait_s


class Endpoints:
    """Every endpoint of the process, by address, TLS settings and upstream. So a model or an account that fails or is
    limited does not affect the others at its address."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._endpoints: dict[tuple[Address, UpstreamTls, str], Endpoint] = {}
        self._pools: dict[tuple[Origin, UpstreamTls], Pool] = {}

    def get(self, url: str, tls: UpstreamTls = SYSTEM_TRUST, upstream: str = "") -> Endpoint:
        """The endpoint of a base URL, made when first asked for.

        Raises:
            ValueError: a URL that cannot be used.
            CertificateError: TLS files that cannot be used.
        """
        address = Address.parse(url)
        endpoint = self._endpoints.get((address, tls, upstream))
        if endpoint is None:
            pool = self._pools.get((address.origin, tls))
            if pool is None:
                context = tls.context() if address.origin.tls else None
                pool = self._pools[address.origin, tls] = Pool(address.origin, self._outbox, tls=context)
            endpoint = self._endpoints[address, tls, upstream] = Endpoint(address, pool)
        return endpoint

    def keep_only(self, used: set[Endpoint]) -> None:
        """Forget endpoints that no snapshot names any longer; what is under way on them ends in its own time."""
        self._endpoints = {key: endpoint for key, endpoint in self._endpoints.items() if endpoint in used}
        pools = {endpoint.pool for endpoint in self._endpoints.values()}
        for key, pool in tuple(self._pools.items()):
            if pool not in pools:
                pool.close()
                del self._pools[key]

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(tuple(self._endpoints.values()))

    @property
    def open_connections(self) -> int:
        return sum(pool.open_connections for pool in self._pools.values())

    def trim(self, now_s: float) -> None:
        for pool in self._pools.values():
            pool.trim(now_s)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
