"""Whatever a caller or an upstream writes that is nearly a document of its dialect is read, or refused as what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.openai_stream import StreamReader
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.texts import answer_pieces, conversation_pieces
from shipway.gateway.model_api import PATHS
from shipway.gateway.passed_stream import PassedStream
from shipway.gateway.refusals import Refused
from tests.gateway.dialects.recorded.bedrock import frame
from tests.gateway.dialects.test_exchanges import exchanged
from tests.gateway.dialects.test_recorded import CALLERS, EXCHANGES, told

ENVELOPE = Envelope("1", "m", 1)
FAST = settings(max_examples=60)
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 2**63, 2**64, 10**30, 1e308),
    *("", "x", "\x00", "é", "\ud83d", "a" * 300, "\r\nX-Injected: 1", "../.."),
    *("data:", "data:image/png;base64,", "data:image/png,xx", "http://169.254.169.254/", "s3://b/k"),
    *("{}", "[]", "null", '{"a":1}', '{"a":', "auto", "any", "gemini:x", "anthropic:", "sealed:", "openai:sealed:"),
    *(
        [],
        [None],
        {},
        {"a": 1},
        [{}],
        {"type": None},
        {"type": "text"},
        {"type": "text", "text": None},
        {"role": "user"},
    ),
]
KEYS = ["x", "type", "text", "content", "id", "name", "index", "cache_control", "thought", "annotations"]


class Everything:
    """As what may be dropped."""

    def __contains__(self, path: object) -> bool:
        return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def damaged(draw: st.DrawFn, document: bytes) -> Any:
    """*document* with some of it changed, left out, or added."""
    value = {"whole": json.loads(document)}
    for _ in range(draw(st.integers(1, 5))):
        found = [path for path in places(value) if len(path) > 1]
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        parent: Any = value
        for step in way:
            parent = parent[step]
        change = draw(st.sampled_from(["replace", "drop", "add"]))
        odd = json.loads(json.dumps(draw(st.sampled_from(ODD))))
        if change == "drop":
            del parent[last]
        elif change == "add" and isinstance(parent, dict):
            parent[draw(st.sampled_from(KEYS))] = odd
        else:
            parent[last] = odd
    return value["whole"]


@pytest.mark.parametrize("caller", DIALECTS)
@FAST
@given(st.data())
def test_a_request_is_translated_or_refused(caller: str, data: st.DataObject) -> None:
    body = json.dumps(data.draw(damaged(exchanged(caller, "request.json")))).encode()
    for may_drop in (frozenset[str](), Everything()):
        losses = Losses(may_drop)
        try:
            conversation = open_dialect(caller).read_request(body, losses)
        except Refused as refused:
            refused.refusal.message.encode()
            continue
        for name in DIALECTS:
            of_this = losses.again()
            try:
                json.loads(open_dialect(name).write_request(conversation, "anthropic.m", of_this))
            except Refused as refused:
                refused.refusal.message.encode()
            assert b"\n" not in of_this.header_value()
            assert b"\r" not in of_this.header_value()
    try:
        conversation_pieces(open_dialect(caller), body)
    except Refused:
        pass


@pytest.mark.parametrize("provider", DIALECTS)
@FAST
@given(st.data())
def test_an_answer_is_translated_or_is_none(provider: str, data: st.DataObject) -> None:
    known = [one.body for one in EXCHANGES if one.provider == provider and not one.streamed and one.said]
    body = json.dumps(data.draw(damaged(data.draw(st.sampled_from(known))))).encode()
    dialect = open_dialect(provider)
    dialect.read_error(400, body).message.encode()
    for path in PATHS.values():
        path.read_error(400, body).message.encode()
        _or_value_error(path.read_usage, body)
    _or_value_error(lambda: answer_pieces(dialect, body))
    answer = _or_value_error(dialect.read_answer, body)
    for caller in CALLERS if answer is not None else ():
        written = _or_value_error(open_dialect(caller).write_answer, answer, ENVELOPE)
        assert written is None or json.loads(written)


@pytest.mark.parametrize("provider", DIALECTS)
@FAST
@given(st.data())
def test_a_stream_is_translated_or_fails(provider: str, data: st.DataObject) -> None:
    exchange = data.draw(
        st.sampled_from([one for one in EXCHANGES if one.provider == provider and one.streamed and one.said])
    )
    messages = open_dialect(provider).framing().feed(exchange.body)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(messages) - 1))
        name, payload = messages[at]
        if payload.startswith(b"{"):
            messages[at] = name, json.dumps(data.draw(damaged(payload))).encode()
        messages = data.draw(
            st.sampled_from([messages, messages[:at] + messages[at + 1 :] or messages, [*messages, messages[at]]])
        )
    if provider == "bedrock":
        sent = b"".join([frame(name, payload) for name, payload in messages])
    else:
        sent = b"".join([b"event: %b\ndata: %b\n\n" % (name.encode() or b"x", payload) for name, payload in messages])
        _or_value_error(StreamTexts(open_dialect(provider)).read, sent)
    for caller in CALLERS:
        stream = TranslatedStream(open_dialect(provider), open_dialect(caller), ENVELOPE)
        written, rest = stream.pass_on(sent), stream.finish()
        assert (rest is None) == bool(stream.failed)
        if rest is not None:
            told(caller, written + rest)
    for reader in (StreamReader(), PassedStream(open_dialect(provider))):
        reader.pass_on(sent)
        reader.finish()


def _or_value_error(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (ValueError, Refused):
        return None


def test_half_a_character_beside_what_may_be_dropped_is_refused() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}],"logit_bias":{"1":1},"n":2}'
    with pytest.raises(Refused) as caught:
        open_dialect("openai_chat").read_request(body, Losses(frozenset({"logit_bias", "n"})))
    assert caught.value.refusal.code == "invalid_request"


def test_an_event_that_is_odd_and_then_no_json_is_garbage() -> None:
    reader = StreamReader()
    assert reader.pass_on(b'data: {"choices":[],"usage":true,"x":"\\ud8"}\n\n') == b""
    assert (reader.finish(), reader.failed) == (None, "garbage")


def test_what_a_server_leaves_null_is_as_if_it_were_not_there() -> None:
    function = '{"name":"f","arguments":"{}"}'
    cited = '[{"type":"url_citation","url_citation":{"url":"u","title":null,"start_index":0,"end_index":1}}]'
    message = f'{{"content":"a","tool_calls":[{{"id":null,"function":{function}}}],"annotations":{cited}}}'
    body = f'{{"id":null,"model":null,"choices":[{{"index":null,"message":{message},"finish_reason":"stop"}}]}}'
    answer = open_dialect("openai_chat").read_answer(body.encode())
    assert (answer.text(), answer.stop, answer.id, answer.model) == ("a", "tool_calls", "", "")
    delta = message.replace('"id":null', '"index":0,"id":null')
    chunk = f'{{"id":null,"model":null,"choices":[{{"index":null,"delta":{delta},"finish_reason":"stop"}}]}}'
    stream = TranslatedStream(open_dialect("openai_chat"), open_dialect("anthropic"), ENVELOPE)
    stream.pass_on(f"data: {chunk}\n\ndata: [DONE]\n\n".encode())
    assert (stream.done, stream.failed) == (True, "")
