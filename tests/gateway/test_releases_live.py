"""Sessions and releases through a running gateway: they stay where they are, and weights move no more than they must."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipway.testing.openai_server import FakeOpenAI
from tests.gateway.conftest import ADMIN, RunningGateway, StartGateway
from tests.gateway.test_failover import CHAT

SESSIONS = [f"session-{at}" for at in range(120)]


def released(old: FakeOpenAI, new: FakeOpenAI, weights: tuple[int, int], extra: str = "") -> str:
    return (
        f'name = "app"\n[providers.old]\nkind = "openai"\nbase_url = "{old.base_url}"\n'
        f'[providers.new]\nkind = "openai"\nbase_url = "{new.base_url}"\n'
        f'[models.chat.releases.v1]\nupstreams = ["old/m"]\nweight = {weights[0]}\n'
        f'[models.chat.releases.v2]\nupstreams = ["new/m"]\nweight = {weights[1]}\n'
        f'[gateway]\ndrain = "1s"\ngrace = "1ms"\n{extra}'
    )


async def release_of(gateway: RunningGateway, headers: Mapping[str, str] | None = None, **more: Any) -> str:
    response = await gateway.http.post("/v1/chat/completions", json={**CHAT, **more}, headers=headers)
    assert response.status_code == 200
    return response.headers["x-shipway-release"]


async def releases(gateway: RunningGateway, header: str = "x-session-id") -> dict[str, str]:
    return {session: await release_of(gateway, {header: session}) for session in SESSIONS}


async def shift(gateway: RunningGateway, v1: float, v2: float) -> None:
    answer = await gateway.admin.put("/v1/weights/models.chat", headers=ADMIN, json={"v1": v1, "v2": v2})
    assert answer.status_code == 200


async def test_sessions_stay_and_weights_move_only_the_share_they_must(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    async with FakeOpenAI() as new:
        gateway = await start_gateway(released(fake, new, (9, 1)))
        first = await releases(gateway)
        assert await releases(gateway) == first
        assert 2 <= list(first.values()).count("v2") <= 30
        assert len(new.requests) == 2 * list(first.values()).count("v2")
        await shift(gateway, 1, 1)
        half = await releases(gateway)
        assert {first[name] for name in SESSIONS if first[name] != half[name]} == {"v1"}
        assert 40 <= list(half.values()).count("v2") <= 80
        await shift(gateway, 9, 1)
        assert await releases(gateway) == first
        await shift(gateway, 0, 1)
        assert set((await releases(gateway)).values()) == {"v2"}


async def test_conversation_without_a_header_stays_as_it_grows(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as new:
        gateway = await start_gateway(released(fake, new, (1, 1)))
        seen = set()
        for at in range(30):
            messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"question {at}"}]
            first = await release_of(gateway, messages=messages)
            seen.add(first)
            for turn in range(2):
                messages += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"and {turn}?"}]
                assert await release_of(gateway, messages=messages, temperature=turn) == first
        assert seen == {"v1", "v2"}


async def test_the_header_that_names_a_session_can_be_another(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    async with FakeOpenAI() as new:
        gateway = await start_gateway(released(fake, new, (1, 1), 'session_header = "X-Thread"\n'))
        assert await releases(gateway, "x-thread") == await releases(gateway, "X-THREAD")
        assert len(set((await releases(gateway)).values())) == 1


async def test_failing_release_is_not_answered_by_another(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    """What a release answers, errors too, is its own: otherwise a canary's faults would hide behind the old one."""
    async with FakeOpenAI() as new:
        gateway = await start_gateway(released(fake, new, (0, 1)).replace(new.base_url, "http://127.0.0.1:9/v1"))
        response = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert (response.status_code, response.headers["x-shipway-release"]) == (503, "v2")
        assert fake.requests == []
