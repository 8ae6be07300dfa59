"""Legacy completions and counts of tokens, asked of providers of other dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipway.gateway.dialects import token_counts
from shipway.gateway.dialects.conversation import Reasoning, Text
from shipway.gateway.dialects.events import Answer, Envelope, fold, unfold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.dialects.usage import TokenUsage
from shipway.gateway.refusals import Refused

ENVELOPE = Envelope("1", "m", 7)
ANSWER = Answer((Reasoning("Hm."), Text("Once upon a time")), "length", usage=TokenUsage(3, output=4))


def encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def test_a_prompt_is_a_users_turn_and_its_answer_a_text() -> None:
    caller, upstream = open_dialect("completions"), open_dialect("anthropic")
    body = encoded({"model": "m", "prompt": "Tell", "max_tokens": 4, "n": 1, "echo": False})
    sent = json.loads(upstream.write_request(caller.read_request(body, Losses()), "claude", Losses()))
    assert sent == {"model": "claude", "messages": [{"role": "user", "content": "Tell"}], "max_tokens": 4}
    told = json.loads(caller.write_answer(upstream.read_answer(upstream.write_answer(ANSWER, ENVELOPE)), ENVELOPE))
    assert told == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "text": "Once upon a time", "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }


def test_one_prompt_may_be_in_a_list_and_what_says_nothing_is_left_out() -> None:
    neutral = {
        "suffix": "",
        "logprobs": None,
        "echo": False,
        "best_of": 1,
        "stream_options": {"include_obfuscation": True},
    }
    losses = Losses()
    conversation = open_dialect("completions").read_request(encoded({"model": "m", "prompt": ["a"], **neutral}), losses)
    assert conversation.turns[0].parts == (Text("a"),)
    assert losses.dropped == []


def test_what_is_written_is_read_back_whole_and_streamed() -> None:
    dialect = open_dialect("completions")
    expected = Answer((Text("Once upon a time"),), "length", usage=TokenUsage(3, output=4), id="cmpl-1", model="m")
    assert dialect.read_answer(dialect.write_answer(ANSWER, ENVELOPE)) == expected
    writer, framing, parser = dialect.stream_writer(ENVELOPE), dialect.framing(), dialect.stream_parser()
    written = b"".join([writer.write(event) for event in unfold(ANSWER)])
    events = [event for name, data in framing.feed(written) for event in parser.read(name, data)]
    assert fold(events) == Answer(expected.parts, "length", usage=expected.usage)


@pytest.mark.parametrize("document", [{"choices": []}, {"choices": [{"text": "a"}] * 2}, {"error": {}}, {}])
def test_several_choices_and_errors_are_no_answer(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not one choice"):
        open_dialect("completions").read_answer(encoded(document))


def test_a_streamed_completion_ends_with_usage_and_done() -> None:
    upstream = open_dialect("gemini")
    writer = upstream.stream_writer(ENVELOPE)
    stream = TranslatedStream(upstream, open_dialect("completions"), ENVELOPE)
    received = stream.pass_on(b"".join([writer.write(event) for event in unfold(ANSWER)])) + (stream.finish() or b"")
    *chunks, done = received.decode().strip().split("\n\n")
    told = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    assert "".join(choice["text"] for chunk in told for choice in chunk["choices"]) == "Once upon a time"
    assert (told[-1]["usage"]["total_tokens"], done) == (7, "data: [DONE]")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        *[({"prompt": prompt}, "prompt") for prompt in (["a", "b"], [], [1, 2], [[1, 2]], ["a", 1], 7)],
        ({"suffix": "x"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"logprobs": 0}, "logprobs"),
        ({"n": 2}, "n"),
        ({"best_of": 2}, "best_of"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
    ],
)
def test_what_a_completion_cannot_say_elsewhere_is_refused_by_name(more: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        open_dialect("completions").read_request(encoded({"model": "m", "prompt": "x"} | more), Losses())
    assert refused.value.refusal.param == field


COUNTED = encoded({"model": "m", "system": "s", "messages": [{"role": "user", "content": "Hello"}]})


@pytest.mark.parametrize(
    ("name", "asked", "answer"),
    [
        (
            "bedrock",
            {
                "input": {
                    "converse": {
                        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
                        "system": [{"text": "s"}],
                    }
                }
            },
            {"inputTokens": 5},
        ),
        (
            "gemini",
            {
                "generateContentRequest": {
                    "contents": [{"parts": [{"text": "Hello"}], "role": "user"}],
                    "systemInstruction": {"parts": [{"text": "s"}]},
                    "model": "models/x",
                }
            },
            {"totalTokens": 5},
        ),
        (
            "openai_responses",
            {
                "model": "x",
                "instructions": "s",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
            },
            {"object": "response.input_tokens", "input_tokens": 5},
        ),
    ],
)
def test_tokens_are_counted_by_the_provider(name: str, asked: dict[str, Any], answer: dict[str, Any]) -> None:
    conversation = token_counts.read_request(COUNTED, Losses())
    assert json.loads(token_counts.write_request(conversation, name, "x", Losses())) == asked
    assert token_counts.write_answer(token_counts.read_answer(encoded(answer))) == b'{"input_tokens":5}'


def test_what_bedrock_does_not_count_is_refused_by_name_or_reported() -> None:
    form = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}
    body = encoded(json.loads(COUNTED) | form)
    with pytest.raises(Refused) as refused:
        token_counts.write_request(token_counts.read_request(body, Losses()), "bedrock", "x", Losses())
    assert refused.value.refusal.param == "output_config.format"
    losses = Losses({"output_config.format"})
    token_counts.write_request(token_counts.read_request(body, losses), "bedrock", "x", losses)
    assert losses.dropped == ["output_config.format"]


@pytest.mark.parametrize("name", ["openai_chat", "anthropic", "bedrock", "gemini", "openai_responses"])
def test_a_turn_of_nothing_but_foreign_thoughts_is_left_out(name: str) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "elsewhere"}
    origin = "openai" if name in ("anthropic", "bedrock") else "anthropic"
    thought["signature"] = f"{origin}:x"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought]}]
    losses = Losses()
    conversation = open_dialect("anthropic").read_request(encoded({"model": "m", "messages": turns}), losses)
    sent = json.loads(open_dialect(name).write_request(conversation, "m", losses))
    assert len(sent.get("messages") or sent.get("contents") or sent["input"]) == 1
    assert losses.dropped == ["messages[1].content[0]"]


@pytest.mark.parametrize("body", [b'{"input_tokens":-1}', b'{"totalTokens":"5"}', b'{"inputTokens":1e300}', b"{}"])
def test_a_count_that_makes_no_sense_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="no count"):
        token_counts.read_answer(body)
