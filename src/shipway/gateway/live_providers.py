"""The providers that snapshots refer to, kept while their settings stay the same, so that a reload loses no credential."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from shipway.gateway.providers import open_provider
from shipway.gateway.providers.credentials import Held
from shipway.gateway.providers.provider import Provider, Settings

FIRST_CREDENTIAL_S = 5.0
"""How long the start waits for credentials that must be fetched; without them the gateway starts too, and goes on asking."""


class LiveProviders:
    """Makes providers and renews what they hold."""

    def __init__(self) -> None:
        self._made: list[tuple[str, Settings, Provider]] = []
        self._renewals: dict[Held[Any], asyncio.Task[None]] = {}

    def get(self, kind: str, settings: Settings) -> Provider:
        """The provider of *kind* with *settings*. Raises: as `open_provider`."""
        for known_kind, known, provider in self._made:
            if known_kind == kind and known == settings:
                return provider
        provider = open_provider(kind, settings)
        self._made.append((kind, settings, provider))
        return provider

    def keep_only(self, used: Iterable[Provider]) -> None:
        """Forget the others, and from now on renew what *used* ones hold. Needs a running event loop."""
        keep = {id(provider) for provider in used}
        self._made = [one for one in self._made if id(one[2]) in keep]
        held = {provider.held for _, _, provider in self._made if provider.held is not None}
        for gone in self._renewals.keys() - held:
            self._renewals.pop(gone).cancel()
        loop = asyncio.get_running_loop()
        for new in held - self._renewals.keys():
            self._renewals[new] = loop.create_task(new.keep_fresh())

    async def wait_for_first(self) -> None:
        """Until each credential was fetched, or failed to be, once."""
        waiting = [held.tried.wait() for held in self._renewals]
        if waiting:
            try:
                await asyncio.wait_for(asyncio.gather(*waiting), FIRST_CREDENTIAL_S)
            except TimeoutError:
                pass

    def stop(self) -> None:
        for renewal in self._renewals.values():
            renewal.cancel()
        self._renewals.clear()
