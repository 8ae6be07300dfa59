"""Embeddings through the gateway, of providers whose format is another: usage, ids, errors and who is asked next."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import openai
import pytest

from shipway.testing.bedrock_server import FakeBedrock
from shipway.testing.gemini_server import FakeGemini
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.test_models import sdk

TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-v4:0"


@pytest.fixture
async def gemini() -> AsyncIterator[FakeGemini]:
    async with FakeGemini() as fake:
        yield fake


@pytest.fixture
async def bedrock() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock(api_key="sk-upstream") as fake:
        yield fake


def app(*, gemini: str = "http://127.0.0.1:1", bedrock: str = "http://127.0.0.1:1", upstreams: list[str]) -> str:
    return (
        f'name = "app"\n[providers.gemini]\nbase_url = "{gemini}"\napi_key = "env:OPENAI_API_KEY"\n'
        f'[providers.bedrock]\nregion = "x-y-1"\napi_key = "env:OPENAI_API_KEY"\nbase_url = "{bedrock}"\n'
        f"[models.v]\nupstreams = {json.dumps(upstreams)}\n"
    )


async def tokens(gateway: RunningGateway) -> list[tuple[str, str]]:
    """What the metrics say went in: how many reports there were, and their sum."""
    metrics = await gateway.metrics()
    found = re.findall(r'^gen_ai_client_token_usage_(count|sum)\{.*gen_ai_token_type="input".*\} (\S+)$', metrics, re.M)
    return sorted(found)


async def test_an_unknown_count_is_no_usage_and_no_tokens(start_gateway: StartGateway, gemini: FakeGemini) -> None:
    gemini.script(Reply(body=b'{"embeddings":[{"values":[0.5]}]}'))
    gateway = await start_gateway(app(gemini=gemini.base_url, upstreams=["gemini/g"]))
    response = await gateway.http.post("/v1/embeddings", json={"model": "v", "input": "a"})
    assert response.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "model": "v",
    }
    assert await tokens(gateway) == [("count", "0"), ("sum", "0")]


async def test_a_batch_goes_to_cohere_and_its_tokens_are_those_of_the_header(
    start_gateway: StartGateway, bedrock: FakeBedrock
) -> None:
    gateway = await start_gateway(app(bedrock=bedrock.base_url, upstreams=[f"bedrock/{COHERE}"]))
    async with sdk(gateway) as client:
        vectors = await client.embeddings.create(model="v", input=["one two", "three"], dimensions=256)
    assert ([len(one.embedding) for one in vectors.data], vectors.usage.prompt_tokens) == ([256, 256], 3)
    assert await tokens(gateway) == [("count", "1"), ("sum", "3")]


@pytest.mark.parametrize("count", [b"", b"-1", b"x", b"\xb2", b"9" * 5000])
async def test_a_header_that_is_no_count_is_unknown(
    start_gateway: StartGateway, bedrock: FakeBedrock, count: bytes
) -> None:
    body = b'{"embeddings":[[0.5]]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-bedrock-input-token-count: %b\r\n" % count
    bedrock.script(Reply(raw=b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)))
    gateway = await start_gateway(app(bedrock=bedrock.base_url, upstreams=[f"bedrock/{COHERE}"]))
    response = await gateway.http.post("/v1/embeddings", json={"model": "v", "input": "a"})
    assert (response.status_code, "usage" in response.json()) == (200, False)


async def test_the_next_upstream_is_asked_in_its_own_format(
    start_gateway: StartGateway, gemini: FakeGemini, bedrock: FakeBedrock
) -> None:
    gemini.script(Reply(status=500), Reply(body=b'{"embeddings":[]}'), Reply(body=b"<html>"))
    source = app(gemini=gemini.base_url, bedrock=bedrock.base_url, upstreams=["gemini/g", f"bedrock/{TITAN}"])
    gateway = await start_gateway(source)
    async with sdk(gateway) as client:
        for _ in range(3):
            vectors = await client.embeddings.create(model="v", input="one two")
            assert (len(vectors.data[0].embedding), vectors.usage.prompt_tokens) == (1024, 2)
    assert len(bedrock.requests) == 3


async def test_an_upstream_without_embeddings_is_passed_over(
    start_gateway: StartGateway, gemini: FakeGemini, bedrock: FakeBedrock
) -> None:
    source = app(gemini=gemini.base_url, bedrock=bedrock.base_url, upstreams=["bedrock/amazon.nova", "gemini/g"])
    gateway = await start_gateway(source)
    async with sdk(gateway) as client:
        assert len((await client.embeddings.create(model="v", input="a")).data) == 1
    assert bedrock.requests == []
    alone = await start_gateway(app(bedrock=bedrock.base_url, upstreams=["bedrock/amazon.nova"]))
    async with sdk(alone) as client:
        with pytest.raises(openai.BadRequestError, match=r"does not offer this operation \(embeddings\)"):
            await client.embeddings.create(model="v", input="a")


async def test_a_text_that_is_too_long_is_named(start_gateway: StartGateway, gemini: FakeGemini) -> None:
    text = "The input token count (3000) exceeds the maximum number of tokens allowed (2048)."
    gemini.script(Reply(status=400, error_message=text))
    gateway = await start_gateway(app(gemini=gemini.base_url, upstreams=["gemini/g"]))
    async with sdk(gateway) as client:
        with pytest.raises(openai.BadRequestError, match="A text is longer than the model takes") as caught:
            await client.embeddings.create(model="v", input="a")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


async def test_what_may_be_dropped_is_left_out_and_listed(start_gateway: StartGateway, gemini: FakeGemini) -> None:
    source = app(gemini=gemini.base_url, upstreams=["gemini/g"]) + 'may_drop = ["user"]\n'
    gateway = await start_gateway(source)
    response = await gateway.http.post("/v1/embeddings", json={"model": "v", "input": "a", "user": "u"})
    assert (response.status_code, response.headers["x-shipway-dropped"]) == (200, "user")


async def test_cached_vectors_are_given_again(start_gateway: StartGateway, gemini: FakeGemini) -> None:
    source = app(gemini=gemini.base_url, upstreams=["gemini/g"]) + '[models.v.cache]\nttl = "1m"\nsize = "10MB"\n'
    gateway = await start_gateway(source)
    answers = [await gateway.http.post("/v1/embeddings", json={"model": "v", "input": "a"}) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert len(gemini.requests) == 1


async def test_openai_gets_the_same_fields_untouched(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    gateway = await start_gateway(
        f'name = "app"\n[providers.p]\nkind = "openai"\nbase_url = "{fake.base_url}"\n[models.v]\nupstreams = ["p/e"]\n'
    )
    sent = {"model": "v", "input": [[1, 2], [3]], "user": "u", "input_type": "query"}
    assert (await gateway.http.post("/v1/embeddings", json=sent)).status_code == 200
    assert fake.requests[0].json == {**sent, "model": "e"}
