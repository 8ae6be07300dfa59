"""An answer is sent back as it was received, whichever SDK did so, and its provider gets its own thoughts as they were."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from shipway.gateway.dialects.conversation import Citation, Reasoning, Text, ToolCall
from shipway.gateway.dialects.events import Answer, Envelope, unfold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect

QUESTION = {"role": "user", "content": "Weather?"}
ENVELOPE = Envelope("1", "m", 1)
TOOLS = (ToolCall("call_a", "weather", '{"city": "Köln"}'), ToolCall("call_b", "clock", "{}"))
CITED = (
    Text("Let me look."),
    Citation("https://a.example", "A", "a", unit="answer", end=3),
    Citation("https://b.example", "B", "b"),
)


def thoughts(family: str) -> tuple[Reasoning, ...]:
    if family == "gemini":
        return (Reasoning("First.", "c2ln", origin=family),)
    if family == "openai":
        return (Reasoning("First.", "c2ln", origin=family), Reasoning("Second.", "c2ln2", origin=family))
    return (
        Reasoning("First.", "c2ln", origin=family),
        Reasoning(sealed="c2VhbGVk", origin=family),
        Reasoning("Second.", "c2ln2", origin=family),
    )


def answer_of(family: str) -> Answer:
    return Answer((*thoughts(family), *CITED, *TOOLS), "tool_calls")


def client_of(body: bytes, *, stream: bool) -> httpx2.Client:
    kind = "text/event-stream" if stream else "application/json"
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": kind}, content=body))
    )


def written(answer: Answer, caller: str, *, stream: bool) -> bytes:
    dialect = open_dialect(caller)
    if not stream:
        return dialect.write_answer(answer, ENVELOPE)
    writer = dialect.stream_writer(ENVELOPE)
    return b"".join([writer.write(event) for event in unfold(answer)])


def chat(answer: Answer, *, stream: bool) -> dict[str, Any]:
    """The next request, with what the SDK made of the answer."""
    http = client_of(written(answer, "openai_chat", stream=stream), stream=stream)
    with openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client:
        ask: dict[str, Any] = {"model": "m", "messages": [QUESTION]}
        if stream:
            with client.chat.completions.stream(**ask) as events:
                message = events.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**ask).choices[0].message
    results = [{"role": "tool", "tool_call_id": one.id, "content": "ok"} for one in TOOLS]
    return {"model": "m", "messages": [QUESTION, message.model_dump(), *results]}


def responses(answer: Answer, *, stream: bool) -> dict[str, Any]:
    http = client_of(written(answer, "openai_responses", stream=stream), stream=stream)
    with openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client:
        if stream:
            with client.responses.stream(model="m", input="x") as events:
                output: Any = events.get_final_response().output
        else:
            output = client.responses.create(model="m", input="x").output
    results = [{"type": "function_call_output", "call_id": one.id, "output": "ok"} for one in TOOLS]
    return {"model": "m", "input": [QUESTION, *(item.model_dump() for item in output), *results]}


def messages(answer: Answer, *, stream: bool) -> dict[str, Any]:
    http = client_of(written(answer, "anthropic", stream=stream), stream=stream)
    with anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http) as client:
        ask: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [QUESTION]}
        if stream:
            with client.messages.stream(**ask) as events:
                content: Any = events.get_final_message().content
        else:
            content = client.messages.create(**ask).content
    results = [{"type": "tool_result", "tool_use_id": one.id, "content": "ok"} for one in TOOLS]
    turns = [QUESTION, {"role": "assistant", "content": [block.model_dump() for block in content]}]
    return {"model": "m", "max_tokens": 9, "messages": [*turns, {"role": "user", "content": results}]}


CALLERS: dict[str, Callable[..., dict[str, Any]]] = {
    "openai_chat": chat,
    "openai_responses": responses,
    "anthropic": messages,
}
UPSTREAMS = {"anthropic": "anthropic", "bedrock": "anthropic", "gemini": "gemini", "openai_responses": "openai"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_an_sdk_made_of_an_answer_can_be_sent_back(caller: str, upstream: str, stream: bool) -> None:
    family = UPSTREAMS[upstream]
    body = json.dumps(CALLERS[caller](answer_of(family), stream=stream)).encode()
    losses = Losses()
    conversation = open_dialect(caller).read_request(body, losses)
    assert not [path for path in losses.dropped if "reasoning" in path or "thinking" in path]
    sent = open_dialect(upstream).write_request(conversation, "m", losses)
    turn = open_dialect(upstream).read_request(sent, Losses()).turns[1]
    told = [(part.text, part.signature, part.sealed) for part in turn.parts if isinstance(part, Reasoning)]
    assert told == [(part.text, part.signature, part.sealed) for part in thoughts(family)]
    calls = [(part.id, part.name, json.loads(part.arguments)) for part in turn.parts if isinstance(part, ToolCall)]
    assert calls == [(one.id, one.name, json.loads(one.arguments)) for one in TOOLS]


def test_what_an_answer_says_beside_its_text_is_left_out_and_reported() -> None:
    said = json.dumps(chat(answer_of("anthropic"), stream=True)).encode()
    losses = Losses()
    open_dialect("openai_chat").read_request(said, losses)
    assert losses.header_value() == b"messages[].annotations, messages[].tool_calls[].index"
    said = json.dumps(messages(answer_of("anthropic"), stream=False)).encode()
    losses = Losses()
    open_dialect("anthropic").read_request(said, losses)
    assert losses.header_value() == b"messages[].content[].citations"


def test_thoughts_in_details_without_their_text_have_it_from_beside() -> None:
    """As clients have it that put a stream of an earlier version together."""
    assistant = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "First.",
        "reasoning_details": [{"type": "reasoning.text", "signature": "anthropic:c2ln"}],
    }
    body = json.dumps({"model": "m", "messages": [QUESTION, assistant, QUESTION]}).encode()
    turn = open_dialect("openai_chat").read_request(body, Losses()).turns[1]
    assert [(part.text, part.signature) for part in turn.parts if isinstance(part, Reasoning)] == [("First.", "c2ln")]


@pytest.mark.parametrize("stop", ["length", "tool_calls"])
def test_arguments_that_a_limit_cut_are_no_failure(stop: Any) -> None:
    answer = Answer((ToolCall("a", "f", '{"city": "Kö'),), stop)
    if stop != "length":
        with pytest.raises(ValueError, match="JSON"):
            open_dialect("anthropic").write_answer(answer, ENVELOPE)
        return
    said = json.loads(open_dialect("anthropic").write_answer(answer, ENVELOPE))
    assert (said["content"][0]["input"], said["stop_reason"]) == ({}, "max_tokens")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_geminis_proof_comes_back_with_the_calls_alone(stream: bool) -> None:
    asked = chat(answer_of("gemini"), stream=stream)
    calls = [
        {key: call[key] for key in ("id", "type", "function", "extra_content") if key in call}
        for call in asked["messages"][1]["tool_calls"]
    ]
    asked["messages"][1] = {"role": "assistant", "content": None, "tool_calls": calls}
    losses = Losses()
    conversation = open_dialect("openai_chat").read_request(json.dumps(asked).encode(), losses)
    sent = json.loads(open_dialect("gemini").write_request(conversation, "m", losses))
    assert [part.get("thoughtSignature") for part in sent["contents"][1]["parts"]] == ["c2ln", None]
