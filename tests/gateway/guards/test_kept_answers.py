"""Guards beside a cache: what one refuses is not kept, and what is kept is given to nobody whom one refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.guards.conftest import guarded
from tests.gateway.guards.hooks import Hook

CACHE = '[models.chat.cache]\nttl = "1h"\n'
HELLO: dict[str, Any] = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
BODIES = pytest.mark.parametrize("body", [HELLO, {**HELLO, "stream": True}], ids=["whole", "stream"])


async def ask(gateway: RunningGateway, body: object) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json=body)


def found(*answers: httpx.Response) -> list[str | None]:
    return [answer.headers.get("x-shipway-cache") for answer in answers]


@BODIES
async def test_answer_that_a_guard_refuses_is_not_kept(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, body: object
) -> None:
    fake.script(Reply(text="a bad word"), Reply(text="a bad word"))
    hook.refuse_word("bad")
    gateway = await start_gateway(guarded(fake.base_url) + CACHE)
    refused = [await ask(gateway, body) for _ in range(2)]
    assert all("guard_refused" in answer.text for answer in refused)
    good = [await ask(gateway, body) for _ in range(2)]
    assert found(*good) == ["miss", "hit"]
    assert len(fake.requests) == 3


@BODIES
async def test_request_that_a_guard_refuses_gets_no_kept_answer(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook, body: object
) -> None:
    gateway = await start_gateway(guarded(fake.base_url) + CACHE)
    await ask(gateway, body)
    hook.refuse_word("hello")
    refused = await ask(gateway, body)
    assert refused.status_code == 400
    assert found(refused) == [None]


async def test_answer_kept_without_a_guard_is_not_given_once_there_is_one(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    app = guarded(fake.base_url) + CACHE
    gateway = await start_gateway(app.replace('guards = ["g"]\n', ""))
    await ask(gateway, HELLO)
    gateway.app_file.write_text(app)
    await gateway.server.reload()
    assert found(await ask(gateway, HELLO)) == ["miss"]


async def test_guards_of_the_model_of_embeddings_see_what_a_cache_asks_of_it(
    start_gateway: StartGateway, fake: FakeOpenAI, hook: Hook
) -> None:
    semantic = '[models.chat.cache.semantic]\nembeddings = "small"\n'
    small = '[models.small]\nupstreams = ["p/small"]\nguards = ["g"]\n'
    gateway = await start_gateway(guarded(fake.base_url).replace('guards = ["g"]\n', "") + CACHE + semantic + small)
    hook.refuse_word("secret")
    texts = ("hello", "what is the secret of that")
    answers = [await ask(gateway, {"model": "chat", "messages": [{"role": "user", "content": text}]}) for text in texts]
    assert found(*answers) == ["miss", "miss"]
    assert [check.model for check in hook.seen] == ["small"]
    assert [request.path for request in fake.requests] == ["/v1/chat/completions"] * 2
