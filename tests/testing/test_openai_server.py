"""The fake OpenAI server does what its script says, as the official client and a bare socket see it."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply

MESSAGES = [{"role": "user", "content": "Say three words."}]


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAI]:
    async with FakeOpenAI(models=["chat"], api_key="right") as server:
        yield server


@pytest.fixture
async def client(fake: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="right", max_retries=0) as instance:
        yield instance


async def ask(client: openai.AsyncOpenAI, **options: object) -> openai.types.chat.ChatCompletion:
    return await client.chat.completions.create(model="chat", messages=MESSAGES, **options)  # type: ignore[call-overload,no-any-return]


async def ask_streamed(client: openai.AsyncOpenAI, **options: object) -> list[openai.types.chat.ChatCompletionChunk]:
    stream = await client.chat.completions.create(model="chat", messages=MESSAGES, stream=True, **options)  # type: ignore[call-overload]
    return [chunk async for chunk in stream]


def said(chunks: list[openai.types.chat.ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def exchange(fake: FakeOpenAI, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: fake", "Authorization: Bearer right", *headers]
    return ("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


async def test_unstreamed_chat_has_the_scripted_text_and_counted_usage(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply(text="One two three."))
    answer = await ask(client)
    assert answer.choices[0].message.content == "One two three."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 3)


async def test_streamed_chat_sends_a_chunk_a_token_and_usage_last_when_asked(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply(text="One two three."))
    chunks = await ask_streamed(client, stream_options={"include_usage": True})
    assert [chunk.choices[0].delta.content for chunk in chunks[1:4]] == ["One", " two", " three."]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 6
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_stream_has_no_usage_unless_asked_for(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    assert all(chunk.usage is None for chunk in await ask_streamed(client))


async def test_usage_can_come_on_the_chunk_with_the_finish_reason(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(usage_on="last-content"))
    chunks = await ask_streamed(client, stream_options={"include_usage": True})
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None


async def test_token_limit_cuts_the_text_and_says_length(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(text="One two three."))
    answer = await ask(client, max_tokens=2)
    assert answer.choices[0].message.content == "One two"
    assert answer.choices[0].finish_reason == "length"


async def test_completions_embeddings_and_models_speak_the_clients_format(client: openai.AsyncOpenAI) -> None:
    completion = await client.completions.create(model="chat", prompt="The sky is")
    assert completion.choices[0].text == "This is a fake answer."
    streamed = await client.completions.create(model="chat", prompt="The sky is", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in streamed]) == "This is a fake answer."
    vectors = await client.embeddings.create(
        model="chat", input=["same", "same", "other"], dimensions=4, encoding_format="float"
    )
    first, second, third = (item.embedding for item in vectors.data)
    assert first == second != third
    assert len(first) == 4
    assert [model.id async for model in client.models.list()] == ["chat"]
    assert (await client.models.retrieve("chat")).id == "chat"


async def test_wrong_key_and_unknown_model_are_the_clients_own_errors(fake: FakeOpenAI) -> None:
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="wrong") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
    async with openai.AsyncOpenAI(base_url=fake.base_url, api_key="right") as friend:
        with pytest.raises(openai.NotFoundError) as caught:
            await friend.chat.completions.create(model="chatt", messages=[])
    assert caught.value.code == "model_not_found"


async def test_scripted_status_carries_its_headers_and_leaves_the_connection_usable(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply(status=429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        await ask(client)
    assert caught.value.response.headers["retry-after"] == "7"
    await ask(client)
    assert [request.connection for request in fake.requests] == [1, 1]


async def test_cut_stream_ends_without_the_framings_end(fake: FakeOpenAI) -> None:
    fake.script(Reply(cut_after=2))
    answer = await exchange(fake, post(b'{"model": "chat", "messages": [], "stream": true}'))
    assert answer.count(b"data: ") == 2
    assert not answer.endswith(b"0\r\n\r\n")
    assert fake.requests[0].answered.is_set()
    assert not fake.requests[0].gone.is_set()


async def test_reset_is_seen_as_a_reset(fake: FakeOpenAI) -> None:
    fake.script(Reply(raw=b"", reset=True))
    with pytest.raises(ConnectionResetError):
        await exchange(fake, post(b'{"model": "chat", "messages": []}'))


async def test_cut_document_is_shorter_than_its_declared_length(fake: FakeOpenAI) -> None:
    fake.script(Reply(cut_after=10))
    head, _, body = (await exchange(fake, post(b'{"model": "chat", "messages": []}'))).partition(b"\r\n\r\n")
    assert len(body) == 10
    assert b"content-length: 10\r\n" not in head


async def test_stalled_stream_goes_on_when_resumed(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(text="One two three.", stall_after=2))
    answer = asyncio.create_task(ask_streamed(client))
    await fake.received(1)
    await asyncio.sleep(0.05)
    assert not answer.done()
    fake.resume()
    assert said(await answer) == "One two three."


async def test_departure_of_the_client_is_noted_even_in_a_silent_stream(fake: FakeOpenAI) -> None:
    fake.script(Reply(stall_after=1))
    reader, writer = await asyncio.open_connection("127.0.0.1", fake.port)
    writer.write(post(b'{"model": "chat", "messages": [], "stream": true}'))
    await reader.readuntil(b"data: ")
    writer.close()
    (request,) = await fake.received(1)
    await asyncio.wait_for(request.gone.wait(), 2)
    assert not request.answered.is_set()


async def test_error_event_inside_a_stream_makes_the_client_raise(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(error_after=2))
    with pytest.raises(openai.APIError, match="The server had an error"):
        await ask_streamed(client)


async def test_stream_can_end_in_order_before_it_is_complete(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(text="One two three.", end_after=2))
    chunks = await ask_streamed(client)
    assert said(chunks) == "One"
    assert all(chunk.choices[0].finish_reason is None for chunk in chunks)


async def test_events_cut_across_chunks_and_with_comments_between_read_the_same(
    fake: FakeOpenAI, client: openai.AsyncOpenAI
) -> None:
    fake.script(Reply(text="Größe zählt.", part_bytes=3, insert={1: b": keep-alive\n\n"}))
    assert said(await ask_streamed(client)) == "Größe zählt."


async def test_garbage_is_sent_as_it_is(fake: FakeOpenAI) -> None:
    fake.script(Reply(raw=b"SSH-2.0-OpenSSH_9\r\n"), Reply(body=b"<html>"))
    request = post(b'{"model": "chat", "messages": []}', "Connection: close")
    assert await exchange(fake, request) == b"SSH-2.0-OpenSSH_9\r\n"
    assert (await exchange(fake, request)).endswith(b"\r\n\r\n<html>")


async def test_slow_start_outlasts_the_clients_patience(fake: FakeOpenAI, client: openai.AsyncOpenAI) -> None:
    fake.script(Reply(delay_s=60))
    # Only the answer is waited for briefly: on a busy machine connecting and sending may take longer than that.
    with pytest.raises(openai.APITimeoutError):
        await ask(client, timeout=openai.Timeout(30, read=0.5))
    await asyncio.wait_for(fake.requests[0].gone.wait(), 30)


async def test_chunked_and_pipelined_requests_are_both_read(fake: FakeOpenAI) -> None:
    document = json.dumps({"model": "chat", "messages": MESSAGES}).encode()
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer right\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"5\r\n" + document[:5] + b"\r\n%x\r\n" % len(document[5:]) + document[5:] + b"\r\n0\r\n\r\n"
    answer = await exchange(fake, chunked + post(document, "Connection: close"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [request.body for request in fake.requests] == [document, document]


async def test_malformed_requests_get_errors_of_the_wire_format(fake: FakeOpenAI) -> None:
    close = "Connection: close"
    assert b" 400 Bad Request" in await exchange(fake, post(b"{broken", close))
    assert b" 400 Bad Request" in await exchange(fake, post(b"[]", close))
    wrong_path = post(b"{}", close).replace(b"/v1/chat/completions", b"/v1/nothing")
    assert b" 404 Not Found" in await exchange(fake, wrong_path)
