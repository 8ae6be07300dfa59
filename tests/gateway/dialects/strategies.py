"""Conversations and answers as hypothesis makes them up, within what a dialect can express."""

from __future__ import annotations

import base64
import json

import msgspec
from hypothesis import strategies as st

from shipway.gateway.dialects.conversation import (
    Audio,
    Conversation,
    Document,
    Format,
    Image,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from shipway.gateway.dialects.events import Answer, AnswerPart
from shipway.gateway.dialects.usage import TokenUsage

_EVERYWHERE = {"image", "effort", "tool_choice", "schema"}
EXPRESSES: dict[str, frozenset[str]] = {
    "openai_chat": frozenset(
        _EVERYWHERE
        | {"url", "audio", "document", "system", "seed", "penalties", "stop", "json", "strict", "parallel", "user"}
        | {"metadata", "none", "openai"}
    ),
    "openai_responses": frozenset(
        _EVERYWHERE
        | {"url", "document", "system", "json", "strict", "parallel", "user", "metadata", "none", "openai"}
        | {"result_image"}
    ),
    "anthropic": frozenset(
        _EVERYWHERE
        | {"url", "document", "text_document", "system", "top_k", "stop", "strict", "parallel", "user", "none", "cache"}
        | {"error", "result_image", "budget", "anthropic", "title"}
    ),
    "bedrock": frozenset(
        _EVERYWHERE
        | {"audio", "document", "text_document", "system", "top_k", "stop", "strict", "metadata", "cache", "error"}
        | {"result_image", "budget", "anthropic", "title"}
    ),
    "gemini": frozenset(
        _EVERYWHERE
        | {"audio", "text_document", "top_k", "seed", "penalties", "stop", "json", "none", "error", "result_image"}
        | {"gemini", "url"}
    ),
}
"""What of the model each dialect can say, beside text and tools."""

FAMILIES = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic": "anthropic",
    "bedrock": "anthropic",
    "gemini": "gemini",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: bool(text.strip())
)
words = st.text("abcdefghij_-0123456789", min_size=1, max_size=12)
data = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())

_numbers = st.sampled_from(["1", "1.0", "1e2", "-0", "0.10", "123456789012345678901234567890", "1E+2"])
_strings = st.one_of(
    st.sampled_from(['"\\u00e9"', '"é"', '"a\\/b"', '"\\ud83d\\ude00"', '"😀"', '""', '"\\n"']), texts.map(json.dumps)
)
_values = st.recursive(
    st.one_of(_numbers, _strings, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ " + " ,".join(items) + "]"),
        st.lists(st.tuples(_strings, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{name} : {value}" for name, value in pairs) + " }"
        ),
    ),
    max_leaves=5,
)
objects = st.lists(st.tuples(_strings, _values), max_size=3).map(
    lambda pairs: "{" + ",".join(f"{name}: {value}" for name, value in pairs) + "}"
)
"""Texts of JSON objects as no JSON writer writes them twice: spaces, escapes, repeated names, numbers of all kinds."""


def _optional(able: bool, values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(st.none(), values) if able else st.none()


@st.composite
def _user_parts(draw: st.DrawFn, able: frozenset[str], calls: list[ToolCall]) -> tuple[Part, ...]:
    cache: st.SearchStrategy[str | None] = st.sampled_from([None, "", "5m", "1h"]) if "cache" in able else st.none()
    parts: list[Part] = []
    for call in calls:
        inner: list[Part] = [Text(draw(texts))]
        if "result_image" in able and draw(st.booleans()):
            inner.append(Image("image/png", draw(data)))
        parts.append(ToolResult(call.id, tuple(inner), "error" in able and draw(st.booleans())))
    kinds = ["text"] + [kind for kind in ("image", "url", "audio", "document", "text_document") if kind in able]
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=0 if calls else 1, max_size=3)):
        title = draw(words.filter(lambda word: "_" not in word)) if "title" in able else None
        if kind == "text":
            parts.append(Text(draw(texts), draw(cache)))
        elif kind == "image":
            parts.append(Image("image/png", draw(data), cache=draw(cache)))
        elif kind == "url":
            parts.append(Image(url="https://images.example/" + draw(words)))
        elif kind == "audio":
            parts.append(Audio(draw(st.sampled_from(["wav", "mp3"])), draw(data)))
        elif kind == "document":
            parts.append(Document("application/pdf", draw(data), title=title))
        else:
            parts.append(Document(text=draw(texts), title=title))
    return tuple(parts)


@st.composite
def _assistant_parts(draw: st.DrawFn, able: frozenset[str], first_call: int) -> tuple[Part, ...]:
    parts: list[Part] = []
    origins = sorted({"openai", "anthropic", "gemini"} & able)
    text = draw(st.lists(texts, max_size=1))
    calls = draw(st.lists(st.tuples(words, objects), min_size=0 if text else 1, max_size=3))
    if bool(origins) and draw(st.booleans()):
        parts.append(Reasoning(draw(texts), draw(words), origin=draw(st.sampled_from(origins))))
    parts.extend(map(Text, text))
    parts.extend(
        ToolCall(f"call-{first_call + index}", name, arguments) for index, (name, arguments) in enumerate(calls)
    )
    return tuple(parts)


@st.composite
def conversations(draw: st.DrawFn, able: frozenset[str]) -> Conversation:
    turns: list[Turn] = []
    calls: list[ToolCall] = []
    for index in range(draw(st.integers(1, 4))):
        turns.append(Turn("user", draw(_user_parts(able, calls))))
        if "system" in able and index and draw(st.booleans()):
            turns.append(Turn("system", (Text(draw(texts)),)))
        answer = draw(_assistant_parts(able, index * 10))
        calls = [part for part in answer if isinstance(part, ToolCall)]
        turns.append(Turn("assistant", answer))
    if draw(st.booleans()):
        turns.append(Turn("user", draw(_user_parts(able, calls))))
    tools = draw(
        st.lists(
            st.builds(
                Tool,
                words,
                st.one_of(st.none(), texts),
                objects,
                st.sampled_from([None, True, False] if "strict" in able else [None]),
            ),
            max_size=2,
        )
    )
    modes = ["auto", "required", *(["none"] if "none" in able else [])]
    choice = st.one_of(
        st.sampled_from([ToolChoice(mode) for mode in modes]),  # type: ignore[arg-type]
        words.map(lambda name: ToolChoice("named", name)),
    )
    small = st.integers(0, 100)
    ratio = st.one_of(st.sampled_from([0, 1, 0.7]), st.floats(0, 1))
    forms: list[st.SearchStrategy[Format | None]] = [st.none(), objects.map(Format)]
    if "json" in able:
        forms.append(st.just(Format()))
    efforts: list[Thinking] = [Thinking(), Thinking("low"), Thinking("high")]
    if "budget" in able:
        efforts += [Thinking(budget=1024), Thinking(budget=0), Thinking(budget=-1)]
    values: dict[str, object] = {
        "tools": tuple(tools),
        "tool_choice": draw(_optional(bool(tools), choice)),
        "parallel_tool_calls": draw(_optional("parallel" in able and bool(tools), st.booleans())),
        "format": draw(st.one_of(forms)),
        "thinking": draw(st.sampled_from(efforts)),
        "user": draw(_optional("user" in able, words)),
        "metadata": draw(st.dictionaries(words, texts, max_size=2)) if "metadata" in able else {},
    }
    sampling = Sampling(
        draw(st.integers(1, 9000)),
        draw(st.one_of(st.none(), ratio)),
        draw(st.one_of(st.none(), ratio)),
        draw(_optional("top_k" in able, small)),  # type: ignore[arg-type]
        tuple(draw(st.lists(texts, max_size=2))) if "stop" in able else (),
        draw(_optional("seed" in able, small)),  # type: ignore[arg-type]
        draw(_optional("penalties" in able, ratio)),  # type: ignore[arg-type]
        draw(_optional("penalties" in able, ratio)),  # type: ignore[arg-type]
    )
    system = tuple(draw(st.lists(texts.map(Text), max_size=2)))
    return Conversation("model", tuple(turns), system, sampling=sampling, **values)  # type: ignore[arg-type]


@st.composite
def answers(draw: st.DrawFn, family: str) -> Answer:
    parts: list[AnswerPart] = []
    if draw(st.booleans()):
        signature = draw(st.one_of(st.none(), words))
        parts.append(Reasoning(draw(texts), signature, origin=family if signature else ""))
    text = draw(st.lists(texts, max_size=1))
    parts.extend(map(Text, text))
    calls = draw(st.lists(st.tuples(words, objects), max_size=3))
    parts.extend(ToolCall(f"call-{index}", name, arguments) for index, (name, arguments) in enumerate(calls))
    count = st.integers(0, 5000)
    usage = TokenUsage(draw(count), draw(count), output=draw(count), reasoning=draw(count))
    return Answer(tuple(parts), "tool_calls" if calls else draw(st.sampled_from(["end", "length"])), usage=usage)


def bare(value: object) -> object:
    """*value* as builtins, without what is only there for refusals and with what means the same said in one way."""
    if isinstance(value, msgspec.Struct):
        return bare(msgspec.to_builtins(value))
    if isinstance(value, list | tuple):
        return [bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: bare(one) for name, one in value.items() if name not in _SAYS_NOTHING}
    if value.get("type") == "tool_call":
        kept["id"] = value["id"]  # an answer's own id says nothing
    if kept.get("tool_choice") == {"mode": "auto", "name": None}:
        kept["tool_choice"] = None
    if kept.get("tool_choice") == {"mode": "none", "name": None}:
        kept["parallel_tool_calls"] = None
    if kept.get("strict") is False:
        kept["strict"] = None
    if "cache" in kept and kept.get("schema") in (None, "{}"):
        kept["schema"] = '{"type":"object","properties":{}}'  # of a tool without arguments
    if isinstance(form := kept.get("format"), dict):
        del form["name"]  # OpenAI wants one
    return kept


_SAYS_NOTHING = frozenset(("at", "names", "include_usage", "model", "id"))
