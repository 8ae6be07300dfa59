"""The app in front of a scripted model server: what it asks, what it answers, and what it does when the model fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from summarizer import MAX_CHARACTERS, app

from shipway.testing.asgi_server import serving
from shipway.testing.openai_server import FakeOpenAI, Reply

TEXT = "The roof leaked for two years. It is mended now."
JSON = {"content-type": "application/json"}


@pytest.fixture
async def model() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["chat"], api_key="key-of-the-gateway") as fake:
        yield fake


@pytest.fixture
async def client(model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-gateway")
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as instance:
        yield instance


async def test_unstreamed_summary_is_what_the_model_said(client: httpx.AsyncClient, model: FakeOpenAI) -> None:
    model.script(Reply(text=" The roof is mended. "))
    answer = await client.post("/summarize", json={"text": TEXT})
    assert (answer.status_code, answer.json()) == (200, {"summary": "The roof is mended.", "truncated": False})
    (asked,) = model.requests
    assert TEXT in asked.json["messages"][-1]["content"]
    assert (asked.json["model"], asked.json["temperature"]) == ("chat", 0)


async def test_streamed_summary_arrives_while_the_model_still_writes(
    client: httpx.AsyncClient, model: FakeOpenAI
) -> None:
    model.script(Reply(tokens=["Größe", " zählt."], stall_after=2))
    async with client.stream("POST", "/summarize", json={"text": TEXT, "stream": True}) as answer:
        parts = answer.aiter_text()
        assert await anext(parts) == "Größe"  # the second word is being held back by the fake
        model.resume()
        assert "".join([part async for part in parts]) == " zählt."
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_summary_that_ran_into_its_limit_says_so(client: httpx.AsyncClient, model: FakeOpenAI) -> None:
    model.script(Reply(finish_reason="length"))
    assert (await client.post("/summarize", json={"text": TEXT})).json()["truncated"] is True


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b'{"text": " \\n "}', 422, "The text is empty."),
        (
            b'{"text": "%s"}' % (b"x" * (MAX_CHARACTERS + 1)),
            413,
            "The text has 12,001 characters; at most 12,000 are read.",
        ),
        (b"{}", 422, "body.text: Field required"),
        (b"not json", 422, "body.0: JSON decode error"),
        (b'{"text": "\\ud83d", "stream": "maybe"}', 422, "body.stream: Input should be a valid boolean"),
    ],
)
async def test_unusable_input_is_refused_in_a_sentence_without_asking_the_model(
    client: httpx.AsyncClient, model: FakeOpenAI, content: bytes, status: int, detail: str
) -> None:
    answer = await client.post("/summarize", content=content, headers=JSON)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)
    assert model.requests == []


async def test_half_an_emoji_is_replaced_and_not_a_crash(client: httpx.AsyncClient, model: FakeOpenAI) -> None:
    answer = await client.post("/summarize", content=b'{"text": "cut here: \\ud83d"}', headers=JSON)
    assert answer.status_code == 200
    assert model.requests[0].json["messages"][-1]["content"].endswith("cut here: ?")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(status=500), 502),
        (Reply(status=401), 502),
        (Reply(status=503), 503),
        (Reply(status=429), 503),
        (Reply(body=b"<html>not an API</html>"), 502),
        (Reply(raw=b""), 503),
        (Reply(raw=b"SSH-2.0-OpenSSH_9\r\n"), 503),
        (Reply(cut_after=0), 503),
    ],
)
async def test_failing_model_becomes_a_clean_error(
    client: httpx.AsyncClient, model: FakeOpenAI, reply: Reply, status: int, stream: bool
) -> None:
    model.default = replace(reply, headers={"x-should-retry": "false"})
    answer = await client.post("/summarize", json={"text": TEXT, "stream": stream})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["detail"].startswith("The model")


@pytest.mark.parametrize("stream", [False, True])
async def test_refused_text_is_passed_on_as_too_long(
    client: httpx.AsyncClient, model: FakeOpenAI, stream: bool
) -> None:
    model.script(Reply(status=400))
    answer = await client.post("/summarize", json={"text": TEXT, "stream": stream})
    assert answer.status_code == 413
    assert "too long" in answer.json()["detail"]


@pytest.mark.parametrize("reply", [Reply(cut_after=3), Reply(error_after=3), Reply(end_after=3)])
async def test_stream_cut_by_the_model_is_broken_off_and_not_ended(
    client: httpx.AsyncClient, model: FakeOpenAI, reply: Reply
) -> None:
    model.script(reply)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post("/summarize", json={"text": TEXT, "stream": True})


@pytest.mark.parametrize(
    ("stream", "reply"),
    [(False, Reply(delay_s=30)), (True, Reply(delay_s=30)), (True, Reply(stall_after=0)), (True, Reply(stall_after=2))],
    ids=["unstreamed", "before-the-head", "before-the-first-word", "between-words"],
)
async def test_client_that_leaves_ends_the_models_work(
    client: httpx.AsyncClient, model: FakeOpenAI, stream: bool, reply: Reply
) -> None:
    model.script(reply)
    asking = asyncio.create_task(client.post("/summarize", json={"text": TEXT, "stream": stream}))
    (request,) = await model.received(1)
    asking.cancel()
    await asyncio.wait_for(request.gone.wait(), 5)
    assert len(model.requests) == 1


async def test_page_is_one_file_that_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert '<label for="text">' in answer.text


async def test_health_does_not_depend_on_the_model(client: httpx.AsyncClient, model: FakeOpenAI) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert model.requests == []
