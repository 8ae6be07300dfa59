"""What a request to a model says, whatever dialect it was said in.

Values are frozen. What providers carry as JSON objects (a tool's arguments, a schema) is kept as the text that was sent,
since no two JSON writers agree on numbers, escapes and the order of keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import msgspec

Role = Literal["user", "assistant", "system"]
"""Tool results are part of a user's turn; `system` is an instruction in the middle of a conversation."""


class _Value(msgspec.Struct, frozen=True, gc=False):
    """Holds no cycles, so the collector need not look at it.

    Those that are told apart by their kind are final, so that `type(part) is Text` tells: `isinstance` takes five times as
    long to say no of a struct, and a request has many parts.
    """


@final
class Citation(_Value, frozen=True):
    """Where an answer says its text comes from.

    Attributes:
        document: Index of the document in the request, where one is cited; else `url` says what.
        unit: What *start* and *end* count in that document; `answer` when they are positions in the answer's text.
    """

    url: str | None = None
    title: str | None = None
    quote: str = ""
    document: int | None = None
    unit: Literal["char", "page", "block", "answer"] = "char"
    start: int = 0
    end: int = 0


@final
class Text(_Value, frozen=True, tag="text"):
    """`cache` asks to keep all up to here in the provider's cache, for as long as it says (`5m`, `1h`, "" for a default)."""

    text: str
    cache: str | None = None
    at: str = ""


@final
class Image(_Value, frozen=True, tag="image"):
    """Base64 data with its media type, or an address."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    detail: str | None = None
    cache: str | None = None
    at: str = ""


@final
class Audio(_Value, frozen=True, tag="audio"):
    """Base64 data; the format is a name such as `wav` or `mp3`."""

    format: str
    data: str
    at: str = ""
    cache: ClassVar[None] = None  # nobody is let ask for it here


@final
class Document(_Value, frozen=True, tag="document"):
    """A file to read: base64 data with its media type, plain text, or an address."""

    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    url: str | None = None
    title: str | None = None
    context: str | None = None
    cited: bool = False
    cache: str | None = None
    at: str = ""


@final
class Reasoning(_Value, frozen=True, tag="reasoning"):
    """What the model thought, as it must be given back.

    Attributes:
        signature: Proof of it for the provider that wrote it; others do not take it.
        sealed: Thoughts that only that provider can read, in place of a text.
        origin: Family of the provider (`anthropic`, `gemini`, `openai`); "" where there is neither of both.
    """

    text: str = ""
    signature: str | None = None
    sealed: str | None = None
    origin: str = ""
    at: str = ""
    cache: ClassVar[None] = None  # nobody is let ask for it here


@final
class ToolCall(_Value, frozen=True, tag="tool_call"):
    """*arguments* is the text of a JSON object, as the model wrote it."""

    id: str
    name: str
    arguments: str
    cache: str | None = None
    at: str = ""


@final
class ToolResult(_Value, frozen=True, tag="tool_result"):
    call_id: str
    parts: tuple[Part, ...]
    is_error: bool = False
    cache: str | None = None
    at: str = ""


Part = Text | Image | Audio | Document | Reasoning | ToolCall | ToolResult


class Turn(_Value, frozen=True):
    role: Role
    parts: tuple[Part, ...]
    at: str = ""


class Tool(_Value, frozen=True):
    """*schema* is the JSON text of its arguments' schema; None for a tool without arguments."""

    name: str
    description: str | None = None
    schema: str | None = None
    strict: bool | None = None
    cache: str | None = None
    at: str = ""


class ToolChoice(_Value, frozen=True):
    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class Format(_Value, frozen=True):
    """The answer is JSON; it follows *schema* (JSON text) where there is one."""

    schema: str | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Thinking(_Value, frozen=True):
    """How much to think.

    Attributes:
        effort: `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
        budget: Tokens for it; 0 is not to think, -1 leaves it to the model.
        shown: Whether thoughts (or their summary) are wanted in the answer.
    """

    effort: str | None = None
    budget: int | None = None
    shown: bool | None = None


class Sampling(_Value, frozen=True):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


NO_SAMPLING = Sampling()
NO_THINKING = Thinking()


class Conversation(_Value, frozen=True):
    """A request for an answer.

    Attributes:
        parallel_tool_calls: Whether several tools may be called in one answer; None leaves it to the provider.
        include_usage: Whether the caller of a stream asked for its usage.
        names: What the caller's dialect calls a field of ours, for refusals, e.g. `max_completion_tokens` for `max_tokens`.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    sampling: Sampling = NO_SAMPLING
    format: Format | None = None
    thinking: Thinking = NO_THINKING
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    metadata: Mapping[str, str] = {}
    names: Mapping[str, str] = {}

    def name(self, field: str) -> str:
        """What the caller calls *field*."""
        return self.names.get(field, field)


def merged(turns: list[Turn]) -> tuple[Turn, ...]:
    """Neighbours of one role as one turn, which providers that want roles to alternate ask for."""
    kept: list[Turn] = []
    last: Role | None = None
    for turn in turns:
        role = turn.role
        if role == last:
            first = kept.pop()
            turn = Turn(role, first.parts + turn.parts, first.at)
        kept.append(turn)
        last = role
    return tuple(kept)


def arguments_schema(tool: Tool) -> str:
    """The JSON text of the schema of its arguments, for providers that must be told that they are an object."""
    schema = (tool.schema or "").strip()
    return '{"type":"object","properties":{}}' if schema in ("", "{}") else schema


def call_names(conversation: Conversation) -> dict[str, str]:
    """The names of the tools by the ids of their calls, as a result does not name its own."""
    return {
        part.id: part.name for turn in conversation.turns for part in turn.parts if type(part) is ToolCall and part.id
    }
