"""The fake of Bedrock satisfies boto3: signatures, answers, event streams, tools, exceptions."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import boto3
import httpx2
import pytest
import urllib3.exceptions
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError, ParamValidationError

from shipway.testing.bedrock_server import FakeBedrock
from shipway.testing.bedrock_wire import STATUS_OF
from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.sdks.questions import ARGUMENTS, CITATIONS, PIXEL, SCHEMA

pytestmark = pytest.mark.integration

MODEL = "us.amazon.nova-lite-v1:0"
ARN = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
KEYS = {"AKIDFAKE": "secret/with+signs"}
ASK: dict[str, Any] = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Say three words."}]}]}
TOOLS: dict[str, Any] = {
    "toolConfig": {
        "tools": [{"toolSpec": {"name": "weather", "description": "Of a city.", "inputSchema": {"json": SCHEMA}}}]
    }
}
COUNTS = Usage(input=11, cache_read=5, cache_write=3, output=9)


@pytest.fixture
async def fake() -> AsyncIterator[FakeBedrock]:
    async with FakeBedrock(models=[MODEL, ARN], keys=KEYS) as server:
        yield server


def client_of(fake: FakeBedrock, secret: str = KEYS["AKIDFAKE"], token: str | None = None) -> Any:
    return boto3.session.Session().client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=fake.url,
        aws_access_key_id="AKIDFAKE",
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


@pytest.fixture
async def client(fake: FakeBedrock) -> AsyncIterator[Any]:
    with closing(client_of(fake)) as instance:
        yield instance


async def asked(client: Any, stream: bool, **question: Any) -> Any:
    """The answer, put together from its events where it was streamed."""
    ask = _ask_streamed if stream else _ask_whole
    return await asyncio.to_thread(ask, client, {**ASK, **question})


def _ask_whole(client: Any, question: dict[str, Any]) -> Any:
    return client.converse(**question)


def _ask_streamed(client: Any, question: dict[str, Any]) -> dict[str, Any]:
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    with closing(client.converse_stream(**question)["stream"]) as events:
        for event in events:
            ((kind, value),) = event.items()
            match kind:
                case "messageStart":
                    answer["role"] = value["role"]
                case "contentBlockStart":
                    blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
                case "contentBlockDelta":
                    _add(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
                case "messageStop":
                    answer["stopReason"] = value["stopReason"]
                case "metadata":
                    answer["usage"] = value["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return {**answer, "output": {"message": {"role": answer.get("role"), "content": list(blocks.values())}}}


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "citation" in delta:
        block.setdefault("citations", []).append(delta["citation"])
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        thought = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
        for name, value in delta["reasoningContent"].items():
            thought[name] = thought.get(name, "") + value


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
async def test_text_and_every_class_of_usage_arrive(fake: FakeBedrock, client: Any, stream: bool) -> None:
    fake.script(Reply(text="One two three.", usage=COUNTS))
    answer = await asked(client, stream)
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": "One two three."}]}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {
        "inputTokens": 11,
        "outputTokens": 9,
        "totalTokens": 28,
        "cacheReadInputTokens": 5,
        "cacheWriteInputTokens": 3,
    }
    assert fake.requests[0].usage == fake.requests[0].reported == COUNTS


@both
@pytest.mark.parametrize("model", [MODEL, ARN])
async def test_models_with_colons_and_slashes_are_signed_and_found(fake: FakeBedrock, stream: bool, model: str) -> None:
    with closing(client_of(fake, token="temporary")) as client:
        answer = await asked(client, stream, modelId=model)
    assert answer["stopReason"] == "end_turn"
    assert fake.requests[0].headers["x-amz-security-token"] == "temporary"


@both
async def test_reasoning_comes_before_the_text(fake: FakeBedrock, client: Any, stream: bool) -> None:
    fake.script(Reply(reasoning="Let me see.", text="Yes."))
    thought, text = (await asked(client, stream))["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "Let me see."
    assert thought["reasoningContent"]["reasoningText"]["signature"]
    assert text == {"text": "Yes."}
    # Bedrock does not tell reasoning from the rest.
    assert fake.requests[0].reported == Usage(input=3, output=4)


@both
async def test_tools_are_called_with_their_arguments(fake: FakeBedrock, client: Any, stream: bool) -> None:
    fake.script(Reply(tool_calls=[ToolCall("weather", ARGUMENTS), ToolCall("weather", "{}")]))
    answer = await asked(client, stream, **TOOLS)
    assert answer["stopReason"] == "tool_use"
    assert answer["output"]["message"]["content"] == [
        {"toolUse": {"toolUseId": "tooluse_fake_1", "name": "weather", "input": json.loads(ARGUMENTS)}},
        {"toolUse": {"toolUseId": "tooluse_fake_2", "name": "weather", "input": {}}},
    ]


async def test_results_of_tools_and_images_are_taken(fake: FakeBedrock, client: Any) -> None:
    image = {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}}
    call = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Bonn"}}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}, {"json": {"degrees": 21}}, image]}}
    messages = [
        {"role": "user", "content": [{"text": "What is this?"}, image]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    await asked(client, False, messages=messages, system=[{"text": "Be brief."}], **TOOLS)
    sent = fake.requests[0].json
    assert sent["messages"][0]["content"][1] == {"image": {"format": "png", "source": {"bytes": PIXEL}}}
    assert fake.requests[0].usage == Usage(input=6, output=5)


@both
async def test_stop_sequences_and_limits_end_the_text(fake: FakeBedrock, client: Any, stream: bool) -> None:
    fake.script(Reply(text="One two three."), Reply(text="One two three."))
    stopped = await asked(client, stream, inferenceConfig={"stopSequences": ["three"]})
    assert (stopped["stopReason"], stopped["output"]["message"]["content"]) == ("stop_sequence", [{"text": "One two "}])
    limited = await asked(client, stream, inferenceConfig={"maxTokens": 2})
    assert (limited["stopReason"], limited["output"]["message"]["content"]) == ("max_tokens", [{"text": "One two"}])


@both
async def test_citations_stand_at_the_text(fake: FakeBedrock, client: Any, stream: bool) -> None:
    fake.script(Reply(text="One two.", citations=CITATIONS))
    (block,) = (await asked(client, stream))["output"]["message"]["content"]
    cited = block["citations"] if stream else block["citationsContent"]["citations"]
    assert [(one["location"]["web"]["url"], one["title"], one["sourceContent"][0]["text"]) for one in cited] == [
        (one.url, one.title, one.quote) for one in CITATIONS
    ]
    assert (block["text"] if stream else block["citationsContent"]["content"][0]["text"]) == "One two."


async def test_json_is_said_where_a_schema_asks_for_it(client: Any) -> None:
    schema = {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "answer"}}
    answer = await asked(client, False, outputConfig={"textFormat": {"type": "json_schema", "structure": schema}})
    assert json.loads(answer["output"]["message"]["content"][0]["text"]) == {"answer": "This is a fake answer."}


async def test_tokens_are_counted(client: Any) -> None:
    counted = await asyncio.to_thread(
        client.count_tokens, modelId=MODEL, input={"converse": {"messages": ASK["messages"]}}
    )
    assert counted["inputTokens"] == 3


MODELED = [name for name in STATUS_OF if not name.startswith(("Missing", "Unrecognized", "Invalid", "ModelStream"))]


def test_no_exception_of_the_clients_is_left_out(client: Any) -> None:
    known = {shape.name for shape in client.meta.service_model.error_shapes}
    assert {*MODELED, "ModelStreamErrorException"} == known


@both
@pytest.mark.parametrize("name", MODELED)
async def test_every_exception_is_the_clients_own(fake: FakeBedrock, client: Any, name: str, stream: bool) -> None:
    fake.script(Reply(error_type=name, status=STATUS_OF[name]))
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        await asked(client, stream)
    assert caught.value.response["Error"] == {
        "Code": name,
        "Message": f"The fake was told to answer {STATUS_OF[name]}.",
    }
    assert caught.value.response["ResponseMetadata"]["RequestId"] == "req_fake_1"


@pytest.mark.parametrize(
    "name",
    [
        "InternalServerException",
        "ModelStreamErrorException",
        "ValidationException",
        "ThrottlingException",
        "ServiceUnavailableException",
    ],
)
async def test_exception_inside_a_stream_is_raised(fake: FakeBedrock, client: Any, name: str) -> None:
    fake.script(Reply(error_after=3, error_type=name))
    with pytest.raises(EventStreamError) as caught:
        await asked(client, True)
    assert caught.value.response["Error"] == {"Code": name[0].lower() + name[1:], "Message": "Try again."}


async def test_what_the_fake_itself_refuses(fake: FakeBedrock, client: Any) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="model identifier is invalid"):
        await asked(client, False, modelId="other")
    with closing(client_of(fake, secret="wrong")) as stranger, pytest.raises(ClientError, match="InvalidSignature"):
        await asked(stranger, False)
    with pytest.raises(client.exceptions.ValidationException, match="must start with a user message"):
        await asked(client, False, messages=[{"role": "assistant", "content": [{"text": "Hi."}]}])
    with pytest.raises(client.exceptions.ValidationException, match="alternate"):
        await asked(client, False, messages=ASK["messages"] * 2)
    with pytest.raises(ParamValidationError):
        await asked(client, False, messages=[{"role": "nobody"}])


async def test_an_api_key_is_a_bearer_token() -> None:
    # boto3 sends one only over TLS.
    body = {"messages": ASK["messages"]}
    async with FakeBedrock(api_key="right") as fake, httpx2.AsyncClient(base_url=fake.url) as http:
        known = await http.post("/model/m/converse", json=body, headers={"authorization": "Bearer right"})
        stranger = await http.post("/model/m/converse", json=body, headers={"authorization": "Bearer wrong"})
    assert (known.status_code, stranger.status_code) == (200, 403)


async def test_cut_stream_is_noticed_by_an_exception_of_the_http_library(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply(cut_after=3))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        await asked(client, True)
    assert fake.requests[0].reported is None


async def test_stream_that_ends_in_order_but_early_is_not_noticed(fake: FakeBedrock, client: Any) -> None:
    fake.script(Reply(text="One two three.", end_after=3))
    answer = await asked(client, True)
    assert answer["output"]["message"]["content"] == [{"text": "One two"}]
    assert "stopReason" not in answer


TITAN, COHERE = "amazon.titan-embed-text-v2:0", "cohere.embed-v4:0"


async def _embedded(client: Any, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The answer of a model, and how many tokens the response says went in."""
    answer = await asyncio.to_thread(client.invoke_model, modelId=model, body=json.dumps(body))
    tokens = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-input-token-count"]
    return json.loads(answer["body"].read()), int(tokens)


async def test_texts_are_embedded_by_titan_and_cohere() -> None:
    async with FakeBedrock(models=[TITAN, COHERE], keys=KEYS) as fake:
        with closing(client_of(fake)) as client:
            one, tokens = await _embedded(client, TITAN, {"inputText": "two words", "dimensions": 256})
            assert (len(one["embedding"]), one["inputTextTokenCount"], tokens) == (256, 2, 2)
            assert one["embedding"] == one["embeddingsByType"]["float"]
            asked = {"texts": ["two words", "x"], "input_type": "search_query", "output_dimension": 256}
            floats, tokens = await _embedded(client, COHERE, asked)
            assert (floats["response_type"], len(floats["embeddings"]), tokens) == ("embeddings_floats", 2, 3)
            named, _ = await _embedded(client, COHERE, {**asked, "embedding_types": ["float"]})
            assert (named["response_type"], named["embeddings"]) == (
                "embeddings_by_type",
                {"float": floats["embeddings"]},
            )
            assert [request.reported for request in fake.requests] == [Usage(input=2), *[Usage(input=3)] * 2]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (TITAN, {"inputText": ""}),
        (TITAN, {"inputText": "x", "dimensions": 3}),
        (TITAN, {"inputText": ["x", "y"]}),
        (COHERE, {"texts": ["x"]}),
        (COHERE, {"texts": ["x"] * 97, "input_type": "clustering"}),
        (MODEL, {"inputText": "x"}),
    ],
)
async def test_what_an_embedding_model_does_not_take_is_refused(model: str, body: dict[str, Any]) -> None:
    async with FakeBedrock(keys=KEYS) as fake:
        with closing(client_of(fake)) as client, pytest.raises(ClientError, match="ValidationException"):
            await _embedded(client, model, body)
