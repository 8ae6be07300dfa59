"""The official SDK through the gateway: sync and async, streamed and not, with tools and without; a fake and a real llama.cpp."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import openai
import pytest

from shipway.testing.openai_server import FakeOpenAI, Reply
from shipway.testing.running_app import RunningApp
from tests.integration.gateway_process import KEY, running_gateway

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # a busy machine makes the model very slow

T = TypeVar("T")
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Bonn", "Oslo"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
QUESTION = {
    "model": "chat",
    "messages": [{"role": "user", "content": "How is the weather in Bonn?"}],
    "temperature": 0,
    "max_tokens": 24,
}
WITH_TOOL = {**QUESTION, "tools": [TOOL], "tool_choice": "required"}
CALL = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}


@dataclass
class Said:
    """An answer, put together from its parts where it was streamed."""

    text: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)
    """By index: name and arguments."""
    reason: str | None = None
    tokens: int | None = None
    parts: int = 0

    def add(self, chunk: Any) -> None:
        self.parts += 1
        if chunk.usage is not None:
            self.tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            self.text += choice.delta.content or ""
            self.reason = choice.finish_reason or self.reason
            for call in choice.delta.tool_calls or ():
                said = self.calls.setdefault(call.index, ["", ""])
                said[0] += call.function.name or ""
                said[1] += call.function.arguments or ""


def whole(answer: Any) -> Said:
    """The same of an answer that came whole."""
    choice = answer.choices[0]
    calls = {at: [one.function.name, one.function.arguments] for at, one in enumerate(choice.message.tool_calls or ())}
    return Said(choice.message.content or "", calls, choice.finish_reason, answer.usage.completion_tokens, 1)


@dataclass(frozen=True)
class Place:
    """A gateway, and how what is behind it is told what to say; a real model says what it wants."""

    url: str
    key: str
    tell: Callable[[Reply], object] | None = None

    def ask(self, *, asynchronous: bool, stream: bool, **question: Any) -> Said:
        options: dict[str, Any] = {"base_url": f"{self.url}/v1", "api_key": self.key, "max_retries": 0, "timeout": 120}
        if stream:
            question |= {"stream": True, "stream_options": {"include_usage": True}}
        if asynchronous:
            return asyncio.run(_ask_asynchronously(options, question))
        with openai.OpenAI(**options) as client:
            answer: Any = client.chat.completions.create(**question)
            if not stream:
                return whole(answer)
            said = Said()
            for chunk in answer:
                said.add(chunk)
            return said


async def _ask_asynchronously(options: dict[str, Any], question: dict[str, Any]) -> Said:
    async with openai.AsyncOpenAI(**options) as client:
        answer: Any = await client.chat.completions.create(**question)
        if not question.get("stream"):
            return whole(answer)
        said = Said()
        async for chunk in answer:
            said.add(chunk)
        return said


class _Loop:
    """An event loop in a thread, for the fake that outlives each test's own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def fake_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A gateway before a fake that says what a test tells it."""
    thread = _Loop()
    fake = FakeOpenAI()
    thread.run(fake.__aenter__())
    app = (
        f'name = "app"\n[providers.p]\nkind = "openai"\nbase_url = "{fake.base_url}"\n[models.chat]\n'
        'upstreams = ["p/m"]\n[gateway]\ndrain = "1s"\n'
    )
    try:
        with running_gateway(tmp_path_factory.mktemp("gateway"), app) as gateway:
            yield Place(gateway.url, KEY, lambda reply: thread.loop.call_soon_threadsafe(fake.script, reply))
    finally:
        thread.run(fake.__aexit__(None, None, None))
        thread.end()


@pytest.fixture(params=["fake", "llama.cpp"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "fake":
        found: Place = request.getfixturevalue("fake_place")
        return found
    app: RunningApp = request.getfixturevalue("simple_api")
    return Place(app.url, app.key)


both_ways = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both_ways
@whole_and_streamed
def test_answer_has_text_a_reason_and_usage(place: Place, asynchronous: bool, stream: bool) -> None:
    said = place.ask(asynchronous=asynchronous, stream=stream, **QUESTION)
    assert len(said.text.split()) > 3
    assert said.reason in {"stop", "length"}
    assert said.tokens
    assert said.calls == {}
    assert said.parts > 3 if stream else said.parts == 1


@both_ways
@whole_and_streamed
def test_tools_are_offered_and_a_call_of_one_arrives_whole(place: Place, asynchronous: bool, stream: bool) -> None:
    if place.tell is not None:
        place.tell(_tool_stream() if stream else _tool_answer())
    said = place.ask(asynchronous=asynchronous, stream=stream, **WITH_TOOL)
    if place.tell is None and not said.calls:  # so small a model may answer in words, whatever is required of it
        assert said.reason in {"stop", "length"}
        assert said.text
        return
    assert said.reason == "tool_calls"
    (called,) = said.calls.values()
    assert called[0] == "weather"
    assert json.loads(called[1])["city"] in {"Bonn", "Oslo"}


@both_ways
@whole_and_streamed
def test_result_of_a_tool_is_taken_and_answered(place: Place, asynchronous: bool, stream: bool) -> None:
    messages = [
        *QUESTION["messages"],  # type: ignore[misc]  # a list, among the question's other values
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": '{"sky":"blue","degrees":21}'},
    ]
    said = place.ask(asynchronous=asynchronous, stream=stream, **{**QUESTION, "messages": messages, "tools": [TOOL]})
    assert said.reason in {"stop", "length", "tool_calls"}
    assert said.text or said.calls


@both_ways
def test_mistakes_of_the_caller_are_the_sdks_own_exceptions(place: Place, asynchronous: bool) -> None:
    with pytest.raises(openai.NotFoundError):
        place.ask(asynchronous=asynchronous, stream=False, **{**QUESTION, "model": "unknown"})
    stranger = Place(place.url, "sk-wrong")
    with pytest.raises(openai.AuthenticationError):
        stranger.ask(asynchronous=asynchronous, stream=True, **QUESTION)


def _tool_answer() -> Reply:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
        "finish_reason": "tool_calls",
    }
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    document = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return Reply(body=json.dumps(document).encode(), headers={"content-type": "application/json"})


def _tool_stream() -> Reply:
    """The call as OpenAI streams it: first its name, then its arguments in parts."""
    function: dict[str, Any] = {"name": "weather", "arguments": ""}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [{**CALL, "index": 0, "function": function}]}]
    deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in ('{"ci', 'ty":"Bo', 'nn"}')]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    stamp = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [f"data: {json.dumps({**stamp, 'choices': [choice]})}\n\n" for choice in choices]
    return Reply(body="".join([*events, "data: [DONE]\n\n"]).encode(), headers={"content-type": "text/event-stream"})
