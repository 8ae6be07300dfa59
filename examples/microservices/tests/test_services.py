"""All three services on real ports, with a scripted model server behind: what each does when another one fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from everyday import answerer, retriever, web

from shipway.testing.asgi_server import serving
from shipway.testing.openai_server import FakeOpenAI, Reply

QUESTION = {"question": "Who invented the QR code?"}
NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


@pytest.fixture
async def model() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["chat"]) as fake:
        yield fake


class Services:
    """Starts services on request and keeps them until the test is over."""

    def __init__(self, stack: AsyncExitStack, environ: pytest.MonkeyPatch) -> None:
        self._stack = stack
        self._environ = environ

    async def web(self, *, retriever_url: str | None = None, answerer_url: str | None = None) -> httpx.AsyncClient:
        """Start `web` and the services behind it whose address is not given; returns a client for `web`."""
        urls = {
            "SHIPWAY_URL_RETRIEVER": retriever_url or await self._stack.enter_async_context(serving(retriever.app)),
            "SHIPWAY_URL_ANSWERER": answerer_url or await self._stack.enter_async_context(serving(answerer.app)),
        }
        for name, url in urls.items():
            self._environ.setenv(name, url)
        url = await self._stack.enter_async_context(serving(web.app))
        return await self._stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10))


@pytest.fixture
async def services(model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Services]:
    monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    async with AsyncExitStack() as stack:
        yield Services(stack, monkeypatch)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Read server-sent events the strict way: anything that is not an event of ours fails."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_question_is_answered_from_passages_through_all_three(services: Services, model: FakeOpenAI) -> None:
    model.script(Reply(text="Denso Wave did."))
    answer = await (await services.web()).post("/ask", json=QUESTION)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    names, data = zip(*events(answer.text), strict=True)
    assert names == ("sources", "text", "text", "text", "done")
    assert data[0]["passages"][0]["article"] == "qr-code"
    assert "".join(part["text"] for part in data[1:-1]) == "Denso Wave did."
    asked = model.requests[0].json["messages"][-1]["content"]
    assert "invented in 1994 at Denso Wave" in asked
    assert asked.endswith("Question: Who invented the QR code?")


async def test_request_id_goes_through_all_services_to_the_model_and_back(
    services: Services, model: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="everyday")
    answer = await (await services.web()).post("/ask", json=QUESTION, headers={"x-request-id": "id-42"})
    assert answer.headers["x-request-id"] == "id-42"
    assert model.requests[0].headers["x-request-id"] == "id-42"
    assert {line for line in caplog.messages if "id-42" in line} == {
        "request_id=id-42 /search 200",
        "request_id=id-42 /answer 200",
        "request_id=id-42 /ask 200",
    }


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, 'quo"te'])
async def test_request_id_that_is_missing_or_odd_is_replaced(services: Services, given: str) -> None:
    client = await services.web()
    answer = await client.get("/health", headers={"x-request-id": given})
    assert len(answer.headers["x-request-id"]) == 32


async def test_answer_streams_word_by_word_through_both_hops(services: Services, model: FakeOpenAI) -> None:
    model.script(Reply(text="One two three.", stall_after=2))
    async with (await services.web()).stream("POST", "/ask", json=QUESTION) as answer:
        parts = answer.aiter_text()
        seen = ""
        while '{"text": "One"}' not in seen:  # the second word is being held back by the fake
            seen += await anext(parts)
        assert "two" not in seen
        model.resume()
        rest = "".join([part async for part in parts])
    assert events(rest[rest.index("event") :])[-1] == ("done", {})


async def test_nothing_found_is_said_without_asking_the_model(services: Services, model: FakeOpenAI) -> None:
    answer = await (await services.web()).post("/ask", json={"question": "xyzzy?"})
    assert events(answer.text) == [
        ("sources", {"passages": []}),
        ("text", {"text": "None of the articles is about that."}),
        ("done", {}),
    ]
    assert model.requests == []


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"question": "  "}, "body.question: String should have at least 1 character"),
        ({"question": "x" * 301}, "body.question: String should have at most 300 characters"),
        ({}, "body.question: Field required"),
    ],
)
async def test_unusable_question_is_refused_in_a_sentence(
    services: Services, body: dict[str, str], detail: str
) -> None:
    answer = await (await services.web()).post("/ask", json=body)
    assert (answer.status_code, answer.json()) == (422, {"detail": detail})


async def test_half_an_emoji_is_replaced_and_not_a_crash(services: Services) -> None:
    content = b'{"question": "zipper \\ud83d"}'
    client = await services.web()
    answer = await client.post("/ask", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 200


async def test_unreachable_retriever_is_a_clean_503(services: Services, model: FakeOpenAI) -> None:
    answer = await (await services.web(retriever_url=NOBODY)).post("/ask", json=QUESTION)
    assert (answer.status_code, answer.json()) == (503, {"detail": "The search cannot be reached at the moment."})
    assert answer.headers["retry-after"] == "2"
    assert model.requests == []


async def test_retriever_that_dies_while_it_answers_is_asked_once_more(services: Services) -> None:
    found = b'{"passages": []}'
    answers = [b"", b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(found), found)]

    async def answer_next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        writer.close()

    dying = await asyncio.start_server(answer_next, "127.0.0.1", 0)
    async with dying:
        url = f"http://127.0.0.1:{dying.sockets[0].getsockname()[1]}"
        answer = await (await services.web(retriever_url=url)).post("/ask", json=QUESTION)
    assert answer.status_code == 200
    assert answers == []


async def test_silent_retriever_is_given_up_within_its_deadline(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "RETRIEVER_TIMEOUT", httpx.Timeout(0.1))

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the caller gives up
        writer.close()

    silent = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    async with silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        answer = await (await services.web(retriever_url=url)).post("/ask", json=QUESTION)
    assert answer.status_code == 503


async def test_retriever_that_is_something_else_is_a_clean_502(services: Services, model: FakeOpenAI) -> None:
    answer = await (await services.web(retriever_url=model.base_url)).post("/ask", json=QUESTION)
    assert (answer.status_code, answer.json()) == (502, {"detail": "The search failed."})


async def test_unreachable_answerer_is_a_clean_503(services: Services) -> None:
    answer = await (await services.web(answerer_url=NOBODY)).post("/ask", json=QUESTION)
    assert (answer.status_code, answer.json()) == (503, {"detail": "The answerer cannot be reached at the moment."})


@pytest.mark.parametrize(
    ("reply", "status", "detail"),
    [
        (Reply(status=503), 503, "The model cannot be reached at the moment."),
        (Reply(raw=b""), 503, "The model cannot be reached at the moment."),
        (Reply(status=500), 502, "The question could not be answered."),
        (Reply(status=400), 502, "The question could not be answered."),
        (Reply(body=b"<html>"), 502, "The question could not be answered."),
    ],
)
async def test_failing_model_becomes_a_clean_error_at_the_front(
    services: Services, model: FakeOpenAI, reply: Reply, status: int, detail: str
) -> None:
    model.default = reply
    answer = await (await services.web()).post("/ask", json=QUESTION)
    # An empty body passes as a stream without a word; that is a broken answer too.
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("reply", [Reply(cut_after=3), Reply(error_after=3), Reply(end_after=3)])
async def test_answer_that_breaks_off_ends_with_an_error_and_not_with_done(
    services: Services, model: FakeOpenAI, reply: Reply
) -> None:
    model.script(reply)
    names = [name for name, _ in events((await (await services.web()).post("/ask", json=QUESTION)).text)]
    assert names == ["sources", "text", "text", "error"]


@pytest.mark.parametrize("reply", [Reply(delay_s=30), Reply(stall_after=2)], ids=["before-a-word", "between-words"])
async def test_client_that_leaves_ends_the_work_of_all_three(
    services: Services, model: FakeOpenAI, reply: Reply
) -> None:
    client = await services.web()
    model.script(reply)
    asking = asyncio.create_task(client.post("/ask", json=QUESTION))
    (request,) = await model.received(1)
    asking.cancel()
    await asyncio.wait_for(request.gone.wait(), 5)


async def test_missing_address_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHIPWAY_URL_RETRIEVER", raising=False)
    with pytest.raises(RuntimeError):
        async with serving(web.app):
            pass
