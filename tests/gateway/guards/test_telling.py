"""What the log and standard error say of guards, and what they never say."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from shipway.gateway.guards import ALLOW, Check, refuse
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import StartGateway
from tests.gateway.guards.conftest import CHECK, guarded
from tests.gateway.guards.hooks import Hook
from tests.gateway.guards.test_whole import HELLO


async def notes(capfd: pytest.CaptureFixture[str]) -> list[list[dict[str, Any]]]:
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    found = [json.loads(line)["Attributes"]["shipway.guards"] for line in capfd.readouterr().out.splitlines()]
    assert all(note.pop("duration") >= 0 for line in found for note in line)
    return found


async def test_a_line_has_each_guard_with_outcome_and_time(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    hook.decide = lambda asked: refuse("secret", "Hush.") if "canary" in asked.texts[0].text else ALLOW
    gateway = await start_gateway(guarded(fake.base_url, f'{CHECK}\nhold = "1ms"'))
    fake.script(Reply(tokens=["a ", "canary"], token_delay_s=0.05))
    await gateway.http.post("/v1/chat/completions", json={**HELLO, "stream": True})
    ((before, after),) = await notes(capfd)
    assert before == {"guard": "g", "when": "before", "outcome": "allowed", "checks": 1}
    assert after == {"guard": "g", "when": "after", "outcome": "refused", "checks": 2, "reason": "secret"}


async def test_what_a_guard_raises_is_told_by_its_place_and_without_its_text(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(asked: Check) -> object:
        raise LookupError(f"canary {asked.texts}")

    hook.decide = fail
    gateway = await start_gateway(guarded(fake.base_url))
    response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    await asyncio.sleep(0.25)
    out, err = capfd.readouterr()
    assert err.startswith("warning: guard g raised LookupError at test_telling.py:")
    assert "canary" not in out + err + response.text + await gateway.metrics()
