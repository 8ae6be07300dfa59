"""Live upstreams: what the gateway knows of the addresses it forwards to, kept across snapshots.

A snapshot names addresses; the pools and counters behind them belong to the process, so a reload keeps warm
connections.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from shipway.gateway.breaker import Breaker
from shipway.gateway.http1.outbox import Outbox
from shipway.gateway.http1.pool import Origin, Pool
from shipway.gateway.latency import PeakEwma


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
    """One address with its connections, its breaker and what is under way on it."""

    __slots__ = ("address", "authority", "breaker", "in_flight", "latency", "pool", "weight")

    def __init__(self, address: Address, pool: Pool) -> None:
        self.address = address
        self.authority = address.origin.authority()
        self.pool = pool
        self.in_flight = 0
        self.weight = 1.0
        self.breaker = Breaker()
        self.latency = PeakEwma()


class Endpoints:
    """Every endpoint of the process, by address."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._by_address: dict[Address, Endpoint] = {}
        self._pools: dict[Origin, Pool] = {}
        self._tls: ssl.SSLContext | None = None

    def get(self, url: str) -> Endpoint:
        """The endpoint of a base URL, made when first asked for. Raises: ValueError for a URL that cannot be used."""
        address = Address.parse(url)
        endpoint = self._by_address.get(address)
        if endpoint is None:
            pool = self._pools.get(address.origin)
            if pool is None:
                pool = self._pools[address.origin] = Pool(
                    address.origin, self._outbox, tls=self._context() if address.origin.tls else None
                )
            endpoint = self._by_address[address] = Endpoint(address, pool)
        return endpoint

    def trim(self, now_s: float) -> None:
        for pool in self._pools.values():
            pool.trim(now_s)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
