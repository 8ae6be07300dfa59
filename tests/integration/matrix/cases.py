"""The cases of the matrix, and the named reasons where a combination cannot work.

`docs/guides/providers.md` shows them by `table.py`; tests prove each: what is named here fails exactly so, all else passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shipway.testing.script import Reply, ToolCall, Usage
from tests.integration.matrix.asks import CALLED_TWICE, Ask, Assistant, User
from tests.integration.matrix.callers import CONVERSATIONS
from tests.integration.matrix.places import PLACES
from tests.integration.sdks.questions import ARGUMENTS

COUNTS = Usage(input=11, cache_read=5, cache_write=3, audio_input=2, image_input=4, output=7, reasoning=2)
_THREE = "One two three."
_SAYS_THREE = Reply(text=_THREE)
_CALL = Reply(tool_calls=[ToolCall("weather", ARGUMENTS, "mine")])


@dataclass(frozen=True)
class Case:
    """A question, what the model answers, and how that ends in `Caller.finishes`' words.

    Attributes:
        text: What the caller hears.
        tells: What the upstream must have been told, besides its answer that depends on it.
    """

    ask: Ask
    reply: Reply = _SAYS_THREE
    finish: str = "stop"
    text: str = _THREE
    tells: tuple[str, ...] = ()


CASES: dict[str, Case] = {
    "text": Case(Ask()),
    "system prompt and several turns": Case(
        Ask(system="Be brief.", turns=[User("Hello."), Assistant("Yes?"), User("Three words.")]),
        tells=("Be brief.", "Hello.", "Yes?", "Three words."),
    ),
    "tool call": Case(Ask(tools=True), _CALL, "tool_calls", "", ("weather", "Of a city.")),
    "several tool calls": Case(
        Ask(tools=True),
        Reply(text="Wait.", tool_calls=[ToolCall("weather", ARGUMENTS, "mine"), ToolCall("weather", "{}", "other")]),
        "tool_calls",
        "Wait.",
    ),
    "tool results": Case(Ask(tools=True, turns=[User("Where?"), *CALLED_TWICE]), tells=("first", "second", "sunny")),
    "tool choice: auto": Case(Ask(tools=True, choice="auto")),
    "tool choice: required": Case(Ask(tools=True, choice="required"), _CALL, "tool_calls", ""),
    "tool choice: one by name": Case(Ask(tools=True, choice="weather"), _CALL, "tool_calls", ""),
    "tool choice: none": Case(Ask(tools=True, choice="none")),
    "image": Case(Ask(turns=[User("What is this?", image=True)]), tells=("What is this?",)),
    "JSON": Case(Ask(json="any"), Reply(), text='{"answer": "This is a fake answer."}'),
    "JSON by a schema": Case(Ask(json="schema"), Reply(), text='{"answer": "This is a fake answer."}'),
    "stop sequences": Case(Ask(stop=["three", "four"]), finish="stop_sequence", text="One two "),
    "limit of tokens": Case(Ask(max_tokens=2), finish="length", text="One two"),
    "reasoning": Case(Ask(thinks=True), Reply(reasoning="Let me see.", text=_THREE)),
    "content filter": Case(Ask(), Reply(text="One two", finish_reason="content_filter"), "content_filter", "One two"),
    "usage in every class": Case(Ask(), Reply(text=_THREE, usage=COUNTS)),
    "events cut anywhere": Case(
        Ask(tools=True),
        Reply(text="Grüße, 世界 👋!", tool_calls=[ToolCall("weather", ARGUMENTS, "mine")], part_bytes=3),
        "tool_calls",
        "Grüße, 世界 👋!",
    ),
}


@dataclass(frozen=True)
class Reason:
    """Why a combination cannot work.

    Attributes:
        field: What the refusal names.
        by: Who refuses: the gateway with status 400, the provider likewise, or the caller's own SDK.
    """

    field: str
    why: str
    by: Literal["gateway", "provider", "SDK"] = "gateway"


_NO_STOP = Reason("stop", "responses have no stop sequences", "SDK")
_NO_JSON = "messages ask for JSON by a schema only"
_BY_SCHEMA = "JSON is asked for by a schema only"

REASONS: Mapping[tuple[str, str], Mapping[str, Reason]] = {
    ("chat", "JSON"): dict.fromkeys(("anthropic", "bedrock"), Reason("response_format", _BY_SCHEMA)),
    ("responses", "JSON"): dict.fromkeys(("anthropic", "bedrock"), Reason("text.format", _BY_SCHEMA)),
    ("responses", "stop sequences"): dict.fromkeys(PLACES, _NO_STOP),
    ("messages", "JSON"): {
        **dict.fromkeys(PLACES, Reason("output_config.format.json_object", _NO_JSON)),
        "anthropic": Reason("output_config.format", _NO_JSON, "provider"),
    },
}
"""By caller and case, then by provider."""

CASES_OF: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(CONVERSATIONS, tuple(CASES)),
    "completions": ("text", "stop sequences", "limit of tokens", "content filter", "usage in every class"),
}
"""Those that a caller can ask."""

SYNC_CASES = ("text", "several tool calls", "JSON", "reasoning", "usage in every class")
"""Those that the SDKs' synchronous clients ask too: what differs between the clients is how they read, not what is said."""

CANNOT_COUNT = tuple(name for name in PLACES if name not in ("anthropic", "bedrock", "gemini"))
"""Providers that cannot be asked how many tokens a conversation has: the question is refused with status 400."""
WHY_NOT_COUNTED = "chat completions, which these are asked in, have no such question"
