"""CPU of a gateway's process for one similar hit, among so many questions of one partition: the call for its vector included."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random

import httpx

from benchmarks.gateway.processes import Running, free_port
from benchmarks.semantic.gateway import KEY
from shipway.testing.answers import Streamed, Whole
from shipway.testing.openai_server import FakeOpenAI, ReceivedRequest, Reply

DIMENSIONS = 384
QUESTIONS = 999
"""Kept, of which one is near to all that are asked afterwards."""


CLIENTS = 16


class Vectors(FakeOpenAI):
    """A vector of its own for each question that is to be kept, and the first one's for any other."""

    def __init__(self) -> None:
        super().__init__()
        random = Random(1)  # noqa: S311 - numbers to count with
        self._random = random
        self._first = [random.gauss(0, 1) for _ in range(DIMENSIONS)]

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        data = [{"index": at, "embedding": self._of(text)} for at, text in enumerate(request.json["input"])]
        return Whole(body=json.dumps({"data": data, "usage": {"prompt_tokens": 9}}).encode())

    def _of(self, text: str) -> list[float]:
        return [self._random.gauss(0, 1) for _ in range(DIMENSIONS)] if text.startswith("keep") else self._first


async def hit_us(rounds: int, asked: int) -> dict[str, float]:
    """Microseconds of a hit for the same request, of one for a similar question, and of a plain call."""
    async with FakeOpenAI() as chat, Vectors() as vectors:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            port = free_port()
            (folder / "shipway.toml").write_text(
                f'name = "bench"\n[providers.chat]\nkind = "openai"\nbase_url = "{chat.base_url}"\n'
                f'[providers.vectors]\nkind = "openai"\nbase_url = "{vectors.base_url}"\n'
                f"[gateway]\nport = {port}\nadmin_port = {free_port()}\n"
                '[models.plain]\nupstreams = ["chat/m"]\n'
                '[models.vectors]\nupstreams = ["vectors/m"]\n'
                '[models.chat]\nupstreams = ["chat/m"]\n[models.chat.cache]\nttl = "1h"\n'
                '[models.chat.cache.semantic]\nembeddings = "vectors"\ntimeout = "5s"\n',
                encoding="utf-8",
            )
            environ = {"SHIPWAY_API_KEYS": KEY, "OPENAI_API_KEY": "none"}
            gateway = Running(
                [sys.executable, "-m", "shipway.gateway", str(folder)], cores="0", folder=folder, environ=environ
            )
            try:
                return await _measured(gateway, f"http://127.0.0.1:{port}", rounds, asked)
            finally:
                gateway.stop()


async def _measured(gateway: Running, url: str, rounds: int, asked: int) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:

        async def ask(model: str, text: str) -> Mapping[str, str]:
            body = {"model": model, "messages": [{"role": "user", "content": text}]}
            return (await client.post("/v1/chat/completions", json=body)).raise_for_status().headers

        for _ in range(100):
            try:
                await ask("plain", "are you there")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
        await ask("chat", "the first question of all")
        for number in range(QUESTIONS):
            await ask("chat", f"keep {_words(number)}")

        async def cost(model: str, round_: int, *, similarity: bool) -> float:
            texts = [f"now {_words(round_ * asked + number)} really" for number in range(asked)]

            async def some(first: int) -> None:
                for text in texts[first::CLIENTS]:
                    headers = await ask(model, text if similarity else "the first question of all")
                    assert ("x-shipway-cache-similarity" in headers) == similarity, headers

            before = gateway.cpu()
            await asyncio.gather(*map(some, range(CLIENTS)))
            return (gateway.cpu() - before).run_ns / asked / 1000

        costs: dict[str, list[float]] = {"call": [], "hit": [], "similar hit": []}
        for round_ in range(rounds):
            costs["call"].append(await cost("plain", round_, similarity=False))
            costs["hit"].append(await cost("chat", round_, similarity=False))
            costs["similar hit"].append(await cost("chat", round_, similarity=True))
    return {name: round(statistics.median(values), 1) for name, values in costs.items()}


def _words(number: int) -> str:
    """Words that no other number has, without a digit in them."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    return f"{letters} x{letters} y{letters}"
