"""A gateway between the SDKs and one fake, in the test's own event loop."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from shipway.testing.fake_server import FakeServer
from shipway.testing.openai_server import FakeOpenAI
from tests.integration.matrix.places import ENVIRON, MODEL, Place

KEY = "sk-caller"
_TOKENS = re.compile(r'^gen_ai_client_token_usage_sum\{.*gen_ai_token_type="(input|output)".*\} (\S+)$', re.MULTILINE)
_CLASSES = re.compile(r'^shipway_tokens_total\{.*class="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass
class Setting:
    """What a test has: the gateway's model `m` is answered by *fake*, and `pair` by *fake* and then *spare*."""

    server: GatewayServer
    fake: FakeServer
    spare: FakeOpenAI

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def tokens(self) -> dict[str, float]:
        """What the metrics say was used, by `input` and `output`."""
        return {kind: float(value) for kind, value in _TOKENS.findall(await self._metrics())}

    async def classes(self) -> dict[str, float]:
        """What the metrics say was used, by the classes that are not 0."""
        counts = _CLASSES.findall(await self._metrics())
        return {name: count for name, value in counts if (count := float(value))}

    async def count(self, series: str) -> float:
        """The value of one series, written as in the scrape; 0.0 where it is not in it."""
        found = re.search(rf"^{re.escape(series)} (.+)$", await self._metrics(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    async def _metrics(self) -> str:
        async with httpx.AsyncClient(verify=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.server.admin_port}/metrics")).text


def app_file(
    place: Place, fake: FakeServer, spare: FakeOpenAI, may_drop: Sequence[str] = (), patience: str = "300ms"
) -> str:
    address = "" if place.local else f'base_url = "{getattr(fake, place.url)}"\n'
    return (
        f'name = "app"\n[providers.first]\n{address}{place.settings}'
        f'[providers.spare]\nkind = "openai"\nbase_url = "{spare.base_url}"\n'
        f'[models.m]\nupstreams = ["first/{place.model}"]\nmay_drop = {list(may_drop)}\n'
        f'[models.pair]\nupstreams = ["first/{place.model}", "spare/{MODEL}"]\n'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\n[gateway.timeouts]\n'
        f'first_byte = "{patience}"\nfirst_token = "{patience}"\nidle = "{patience}"\n'
    )


@asynccontextmanager
async def setting(
    place: Place, folder: Path, may_drop: Sequence[str] = (), patience: str = "300ms"
) -> AsyncIterator[Setting]:
    """*patience*: how long the gateway waits for whatever it waits for."""
    async with place.fake() as fake, FakeOpenAI(models=[MODEL]) as spare:
        (folder / "shipway.toml").write_text(app_file(place, fake, spare, may_drop, patience))
        environ = {"SHIPWAY_API_KEYS": KEY, **ENVIRON}
        # As `shipway up` tells of the models that it runs.
        allotted = AllottedAddresses(models={f"first/{MODEL}": (getattr(fake, place.url),)} if place.local else {})
        options = ServeOptions(port=0, admin_port=0, weights=folder / "weights.json")
        server = GatewayServer(load_app(folder), environ, allotted, options)
        await server.start()
        try:
            yield Setting(server, fake, spare)
        finally:
            await server.drain()
