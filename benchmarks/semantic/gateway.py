"""Questions through a gateway whose models have semantic caches, one model a threshold."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO, cast

import httpx

from benchmarks.semantic.questions import Case
from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from shipway.testing.answers import Streamed, Whole
from shipway.testing.openai_server import FakeOpenAI, ReceivedRequest, Reply

KEY = "sk-bench"


class Echo(FakeOpenAI):
    """Answers with the question, so that an answer says what it was given to. While it is *closed* it takes no request."""

    closed = False

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        if self.closed:
            return self.error(replace(reply, status=400))
        return super().answer(request, replace(reply, text=request.json["messages"][-1]["content"]))


@dataclass
class Told:
    """What became of the questions at one threshold.

    Attributes:
        right: Questions in other words that got the answer to theirs.
        crossed: Questions, in their own or other words, that got the answer to another of the set.
        alike, reworded: Questions that need another answer, and got one that was kept.
        by_kind: Those two together, by what differs.
    """

    right: int = 0
    crossed: int = 0
    alike: int = 0
    reworded: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def gateway(
    base_url: str, model: str, key: str, thresholds: list[float]
) -> AsyncIterator[tuple[Echo, httpx.AsyncClient]]:
    """A gateway with a model `chat-THRESHOLD` for each, and what answers for them."""
    async with Echo() as echo:
        models = "".join(
            f'[models."{_name(one)}"]\nupstreams = ["echo/m"]\n[models."{_name(one)}".cache]\nttl = "1h"\n'
            f'[models."{_name(one)}".cache.semantic]\nembeddings = "vectors"\nthreshold = {one}\ntimeout = "60s"\n'
            for one in thresholds
        )
        text = (
            f'name = "bench"\n[providers.echo]\nkind = "openai"\nbase_url = "{echo.base_url}"\n'
            f'[providers.embeddings]\nkind = "openai"\nbase_url = "{base_url}"\napi_key = "env:EMBEDDINGS_KEY"\n'
            f'[models.vectors]\nupstreams = ["embeddings/{model}"]\n{models}'
        )
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w") as log:
            file = Path(folder) / "shipway.toml"
            file.write_text(text, encoding="utf-8")
            environ = {"SHIPWAY_API_KEYS": KEY, "EMBEDDINGS_KEY": key or "none", "OPENAI_API_KEY": "none"}
            server = _writing_to(cast(TextIO, log), file, environ)
            await server.start()
            headers = {"authorization": f"Bearer {KEY}"}
            url = f"http://127.0.0.1:{server.port}/v1"
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
                yield echo, client
            await server.drain()


async def told(echo: Echo, client: httpx.AsyncClient, threshold: float, asked: list[Case]) -> Told:
    """Ask all questions, then the others, of which only a kept answer can be had."""
    result = Told()

    async def answer(text: str) -> str | None:
        """What was given from what is kept, if anything."""
        body = {"model": _name(threshold), "messages": [{"role": "user", "content": text}]}
        response = await client.post("/chat/completions", json=body)
        kept = response.headers.get("x-shipway-cache") == "hit"
        return json.loads(response.content)["choices"][0]["message"]["content"] if kept else None

    echo.closed = False
    for case in asked:
        result.crossed += await answer(case.question) is not None
    echo.closed = True
    for case in asked:
        given = await answer(case.same)
        result.right += given == case.question
        result.crossed += given not in (None, case.question)
        for name, text in (("alike", case.alike), ("reworded", case.reworded)):
            if await answer(text) is not None:
                setattr(result, name, getattr(result, name) + 1)
                result.by_kind[case.kind] = result.by_kind.get(case.kind, 0) + 1
    return result


def _writing_to(log: TextIO, file: Path, environ: Mapping[str, str]) -> GatewayServer:
    with redirect_stdout(log):
        return GatewayServer(load_app(file), environ, AllottedAddresses(), ServeOptions(port=0, admin_port=0))


def _name(threshold: float) -> str:
    return f"chat-{threshold:g}"
