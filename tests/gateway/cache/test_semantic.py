"""Kept answers for questions of nearly the same meaning: who gets one, what must be the same, and what a bad vector does."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from shipway.errors import MissingExtraError, UsageError
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import SECOND_KEY, RunningGateway, StartGateway, model_app
from tests.gateway.embeddings import FakeEmbeddings

CHAT = "/v1/chat/completions"
FIRST = "How do I reset my password?"
LIKE = "I forgot the password, what can I do to get a new one?"
UNLIKE = "Which plans are there?"
FAR = (0.0, 1.0, 0.0)


@pytest.fixture
async def embeddings() -> AsyncIterator[FakeEmbeddings]:
    async with FakeEmbeddings() as server:
        server.vectors[UNLIKE] = FAR
        yield server


def semantic_app(fake: FakeOpenAI, *embeddings: FakeOpenAI, extra: str = "", more: str = "") -> str:
    """An app file with a model `chat` at *fake*, whose questions *embeddings* make vectors of."""
    upstreams = ", ".join(f'"e{at}/m"' for at in range(len(embeddings)))
    providers = "".join(
        f'[providers.e{at}]\nkind = "openai"\nbase_url = "{one.base_url}"\n' for at, one in enumerate(embeddings)
    )
    cache = '[models.chat.cache]\nttl = "1h"\n[models.chat.cache.semantic]\nembeddings = "small"\ntimeout = "2s"\n'
    return model_app(fake, extra=f"{cache}{extra}[models.small]\nupstreams = [{upstreams}]\n{providers}{more}")


def question(text: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "chat", "messages": [{"role": "user", "content": text}], **fields}


async def ask(gateway: RunningGateway, body: object, path: str = CHAT, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.http.post(path, json=body, headers=named)


def found(*responses: httpx.Response) -> list[tuple[str | None, str | None]]:
    names = ("x-shipway-cache", "x-shipway-cache-similarity")
    return [(one.headers.get(names[0]), one.headers.get(names[1])) for one in responses]


MISS = ("miss", None)


async def test_question_of_the_same_meaning_is_answered_without_the_model(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    embeddings.vectors[LIKE] = (0.975, 0.22220486, 0.0)
    gateway = await start_gateway(semantic_app(fake, embeddings))
    first, like, same, unlike = [await ask(gateway, question(text)) for text in (FIRST, LIKE, FIRST, UNLIKE)]
    assert found(first, like, same, unlike) == [MISS, ("hit", "0.975"), ("hit", None), MISS]
    assert like.content == first.content
    assert like.headers["age"] == "0"
    assert len(fake.requests) == 2


async def test_nothing_is_compared_before_there_is_something_to_compare_with(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    assert embeddings.asked == []
    await ask(gateway, question(UNLIKE))
    await ask(gateway, question(LIKE))
    assert embeddings.asked == [[UNLIKE, FIRST], [LIKE]]


async def test_another_tenant_never_gets_an_answer_however_alike_the_question(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    other = f"Bearer {SECOND_KEY}"
    answers = [await ask(gateway, question(text), authorization=other) for text in (LIKE, FIRST)]
    assert found(*answers) == [MISS, ("hit", "1.000")]
    assert len(fake.requests) == 2


SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5},
        {"max_tokens": 10},
        {"stream": True},
        {"user": "someone"},
        {"seed": None},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
        {"messages": [SYSTEM, {"role": "user", "content": LIKE}]},
        {
            "messages": [
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                *question(LIKE)["messages"],
            ]
        },
        {"messages": [{"role": "user", "content": LIKE, "name": "bob"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": LIKE}]}]},
    ],
    ids=json.dumps,
)
async def test_all_but_the_last_text_must_be_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, fields: Mapping[str, Any]
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    assert found(await ask(gateway, {**question(LIKE), **fields})) == [MISS]
    assert embeddings.asked == []


async def test_headers_that_choose_an_api_must_be_the_same(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    assert found(await ask(gateway, question(LIKE), openai_beta="x=1")) == [MISS]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What are the effects of 200 mg of it?", "What effects should I expect when I take 800 mg of it?"),
        ("Which foods have gluten?", "What are the foods that do not have any gluten?"),
        ("What is the capital of Austria?", "Please tell me which city is the capital of Australia"),
        ("Change euros to dollars", "Change dollars to euros"),
        ("How do I turn it on?", "How do I turn it off?"),
    ],
)
async def test_what_models_of_embeddings_confuse_is_asked(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, one: str, other: str
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    assert found(await ask(gateway, question(one)), await ask(gateway, question(other))) == [MISS, MISS]


async def test_threshold_decides(start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings) -> None:
    embeddings.vectors[LIKE] = (0.9, 0.43588989, 0.0)
    app = semantic_app(fake, embeddings, extra="threshold = 0.91\n")
    gateway = await start_gateway(app)
    await ask(gateway, question(FIRST))
    assert found(await ask(gateway, question(LIKE), cache_control="max-age=60")) == [MISS]
    gateway.app_file.write_text(app.replace("0.91", "0.9"))
    await gateway.server.reload()
    assert found(await ask(gateway, question("I lost the password, is there a way to have another?"))) == [
        ("hit", "1.000")
    ]


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}


async def test_threshold_of_one_takes_the_same_vector_alone(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    third = "My password is gone, where do I find a new one?"
    embeddings.vectors |= {FIRST: (0.1, 0.2, 0.3), LIKE: (1.0, 2.0, 3.0), third: (1.0, 2.0, 3.02)}
    gateway = await start_gateway(semantic_app(fake, embeddings, extra="threshold = 1.0\n"))
    answers = [await ask(gateway, question(text)) for text in (FIRST, LIKE, third)]
    assert found(*answers) == [MISS, ("hit", "1.000"), MISS]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [PICTURE, {"type": "text", "text": LIKE}]}],
        [{"role": "assistant", "content": "x"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": "word " * 110}],
        [],
    ],
    ids=lambda messages: json.dumps(messages)[:60],
)
async def test_what_is_no_short_text_of_the_user_is_not_compared(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, messages: list[object]
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    answers = [await ask(gateway, {"model": "chat", "messages": messages, "n": 1}) for _ in range(2)]
    assert found(*answers) == [MISS, ("hit", None)]
    assert embeddings.asked == []


async def test_of_several_texts_the_last_is_the_question(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    def about(context: str, text: str) -> dict[str, Any]:
        return question([{"type": "text", "text": context}, {"type": "text", "text": text}])

    gateway = await start_gateway(semantic_app(fake, embeddings))
    bodies = [about("manual A", FIRST), about("manual A", LIKE), about("manual B", LIKE)]
    assert found(*[await ask(gateway, body) for body in bodies]) == [MISS, ("hit", "1.000"), MISS]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", lambda text: {**question(text), "max_tokens": 9}),
        ("/v1/responses", lambda text: {"model": "chat", "input": text}),
        ("/v1/responses", lambda text: {"model": "chat", "input": question(text)["messages"]}),
    ],
)
async def test_other_dialects_ask_questions_too(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, path: str, body: Any
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    answers = [await ask(gateway, body(text), path) for text in (FIRST, LIKE)]
    assert [one.status_code for one in answers] == [200, 200]
    assert found(*answers) == [MISS, ("hit", "1.000")]


async def test_stream_is_given_again_to_the_byte(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    fake.script(Reply(text="é ü 漢字 done", part_bytes=7))
    gateway = await start_gateway(semantic_app(fake, embeddings))
    first, like = [await ask(gateway, question(text, stream=True)) for text in (FIRST, LIKE)]
    assert found(first, like) == [MISS, ("hit", "1.000")]
    assert like.content == first.content
    assert like.content.endswith(b"data: [DONE]\n\n")


async def test_vectors_as_base64_are_read(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    embeddings.base64 = True
    gateway = await start_gateway(semantic_app(fake, embeddings))
    answers = [await ask(gateway, question(text)) for text in (FIRST, UNLIKE, LIKE)]
    assert found(*answers) == [MISS, MISS, ("hit", "1.000")]


def _embedding(*vectors: object) -> Reply:
    data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    return Reply(body=json.dumps({"data": data}).encode())


@pytest.mark.parametrize(
    "fault",
    [
        Reply(status=500),
        Reply(status=400),
        Reply(raw=b""),
        Reply(cut_after=5),
        Reply(body=b"<html>"),
        Reply(body=b'{"data":"none"}'),
        _embedding(),
        _embedding([1.0]),
        _embedding([], []),
        _embedding([1.0, 0.0], [1.0, 0.0, 0.0]),
        _embedding([0.0, 0.0], [1.0, 0.0]),
        Reply(body=b'{"data":[{"index":0,"embedding":[NaN]},{"index":1,"embedding":[1.0]}]}'),
        _embedding("AAAAfw==", "AACAPw=="[:-1]),
        _embedding("AADAfwAAwH8=", "AADAfwAAwH8="),
        _embedding([1.0] * 8193, [1.0] * 8193),
        Reply(body=b'{"data":[{"index":0,"embedding":[1.0]},{"index":0,"embedding":[1.0]}]}'),
    ],
    ids=lambda fault: str(fault.status if fault.body is None else fault.body[:50]),
)
async def test_vector_that_is_none_makes_a_miss(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, fault: Reply
) -> None:
    embeddings.script(fault)
    gateway = await start_gateway(semantic_app(fake, embeddings))
    answers = [await ask(gateway, question(text)) for text in (FIRST, LIKE, "Is there a way to set the password anew?")]
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert found(*answers) == [MISS, MISS, ("hit", "1.000")]
    text = await gateway.metrics()
    assert 'shipway_cache_embedding_faults_total{gen_ai_request_model="chat",fault="error"} 1\n' in text


async def test_slow_vector_makes_a_miss_in_time_and_then_is_not_waited_for(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    embeddings.default = Reply(delay_s=30)
    gateway = await start_gateway(semantic_app(fake, embeddings).replace('timeout = "2s"', 'timeout = "100ms"'))
    began_s = time.monotonic()
    answers = [await ask(gateway, question(f"{FIRST} {'x' * at}")) for at in range(8)]
    assert found(*answers) == [MISS] * 8
    assert 0.3 <= time.monotonic() - began_s < 2
    text = await gateway.metrics()
    assert 'embedding_faults_total{gen_ai_request_model="chat",fault="timeout"} 3\n' in text
    assert 'embedding_faults_total{gen_ai_request_model="chat",fault="skipped"} 4\n' in text
    embeddings.default = Reply()
    direct = await ask(gateway, {"model": "small", "input": ["x"]}, "/v1/embeddings")
    assert direct.status_code == 200, "who is too slow for a cache is not ill for others"


async def test_model_of_embeddings_fails_over_as_any_other(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    async with FakeOpenAI(default=Reply(status=500)) as broken:
        gateway = await start_gateway(semantic_app(fake, broken, embeddings))
        answers = [await ask(gateway, question(text)) for text in (FIRST, LIKE)]
        assert len(broken.requests) == 1
    assert found(*answers) == [MISS, ("hit", "1.000")]


async def test_vectors_of_two_upstreams_are_never_compared(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    async with FakeEmbeddings() as second:
        gateway = await start_gateway(semantic_app(fake, embeddings, second))
        await ask(gateway, question(FIRST))
        await ask(gateway, question(UNLIKE))
        embeddings.default = Reply(status=500)
        assert found(await ask(gateway, question(LIKE))) == [MISS]
        assert second.asked == [[LIKE]]
        again = await ask(gateway, question("Is there a way to set the password anew?"))
        assert found(again) == [("hit", "1.000")]


async def test_another_model_of_embeddings_begins_anew(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    app = semantic_app(fake, embeddings)
    gateway = await start_gateway(app)
    await ask(gateway, question(FIRST))
    await ask(gateway, question(UNLIKE))
    gateway.app_file.write_text(app.replace('"e0/m"', '"e0/other"'))
    await gateway.server.reload()
    assert found(await ask(gateway, question(LIKE)), await ask(gateway, question(FIRST))) == [MISS, ("hit", None)]
    gateway.app_file.write_text(app)
    await gateway.server.reload()
    assert found(await ask(gateway, question("Is there a way to set the password anew?"))) == [("hit", "1.000")]


async def test_answer_that_the_store_has_lost_is_not_given(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    app = semantic_app(fake, embeddings).replace('ttl = "1h"\n', 'ttl = "200ms"\n')
    gateway = await start_gateway(app)
    await ask(gateway, question(FIRST))
    await asyncio.sleep(0.25)
    answers = [await ask(gateway, question(text)) for text in (LIKE, "Is there a way to set the password anew?")]
    assert found(*answers) == [MISS, ("hit", "1.000")]
    assert len(fake.requests) == 2


async def test_client_may_want_another_answer_than_a_similar_one(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    answers = [
        await ask(gateway, question(LIKE), cache_control="no-store"),
        await ask(gateway, question(LIKE), cache_control="no-cache"),
        await ask(gateway, question(LIKE)),
    ]
    assert found(*answers) == [("bypass", None), ("bypass", None), ("hit", None)]
    assert embeddings.asked == []


async def test_identical_requests_at_once_ask_for_one_vector(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    embeddings.default = Reply(delay_s=0.2)
    answers = await asyncio.gather(*[ask(gateway, question(LIKE)) for _ in range(5)])
    assert found(*answers) == [("hit", "1.000")] * 5
    assert embeddings.asked == [[LIKE, FIRST]]
    text = await gateway.metrics()
    assert 'shipway_cache_lookups_total{gen_ai_request_model="chat",result="similar"} 1\n' in text
    assert 'shipway_cache_lookups_total{gen_ai_request_model="chat",result="shared"} 4\n' in text


async def test_client_that_leaves_while_its_vector_is_made_leaves_nothing_behind(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings
) -> None:
    gateway = await start_gateway(semantic_app(fake, embeddings))
    await ask(gateway, question(FIRST))
    embeddings.default = Reply(delay_s=1.0)
    with pytest.raises(httpx.ReadTimeout):
        await gateway.http.post(CHAT, json=question(LIKE), timeout=0.2)
    await asyncio.sleep(0.05)
    embeddings.default = Reply()
    began_s = time.monotonic()
    assert found(await ask(gateway, question(LIKE))) == [("hit", "1.000")]
    assert time.monotonic() - began_s < 0.5
    assert 'shipway_upstream_requests_in_flight{upstream="e0/m"} 0.0\n' in await gateway.metrics()


async def test_model_that_makes_no_vectors_is_refused_at_the_start(
    start_gateway: StartGateway, fake: FakeOpenAI
) -> None:
    app = semantic_app(fake, fake).replace(
        '[providers.e0]\nkind = "openai"', '[providers.e0]\nkind = "anthropic"\napi_key = "env:OPENAI_API_KEY"'
    )
    with pytest.raises(UsageError) as caught:
        await start_gateway(app)
    assert caught.value.message == (
        "models.chat.cache.semantic.embeddings: no upstream of 'small' answers /v1/embeddings"
    )


async def test_numpy_is_asked_for_by_its_extra(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    await start_gateway(model_app(fake, extra='[models.chat.cache]\nttl = "1h"\n'))
    with pytest.raises(MissingExtraError) as caught:
        await start_gateway(semantic_app(fake, embeddings))
    assert caught.value.hint == "pip install 'shipway[semantic]'"


async def test_metrics_and_the_log_tell_what_vectors_cost_and_how_near_questions_are(
    start_gateway: StartGateway, fake: FakeOpenAI, embeddings: FakeEmbeddings, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    embeddings.vectors[LIKE] = (0.975, 0.22220486, 0.0)
    gateway = await start_gateway(semantic_app(fake, embeddings))
    for text in (FIRST, LIKE):
        await ask(gateway, question(text), x_request_id="mine")
    text = await gateway.metrics()
    for line in (
        'shipway_cache_lookups_total{gen_ai_request_model="chat",result="similar"} 1',
        'shipway_cache_similarity_ratio_bucket{gen_ai_request_model="chat",le="0.97"} 0',
        'shipway_cache_similarity_ratio_bucket{gen_ai_request_model="chat",le="0.98"} 1',
        'gen_ai_client_token_usage_sum{gen_ai_operation_name="embeddings",gen_ai_provider_name="e0",'
        'gen_ai_request_model="small",gen_ai_token_type="input"} 14',
        'shipway_cache_embedding_faults_total{gen_ai_request_model="chat",fault="timeout"} 0',
    ):
        assert line + "\n" in text
    assert 'shipway_cache_vector_bytes{gen_ai_request_model="chat"} ' in text
    await asyncio.sleep(0.25)  # more than the log waits before it writes
    lines = [json.loads(line)["Attributes"] for line in capfdbinary.readouterr().out.splitlines()]
    names = ("url.path", "request_id", "gen_ai.request.model", "shipway.asked_for", "cache", "cache_similarity")
    assert [tuple(line.get(name) for name in names) for line in lines] == [
        (CHAT, "mine", "chat", None, "miss", None),
        ("/v1/embeddings", "mine", "small", "chat", None, None),
        (CHAT, "mine", "chat", None, "similar", 0.975),
    ]
    assert [line.get("gen_ai.usage.input_tokens") for line in lines[1:]] == [14, None]
