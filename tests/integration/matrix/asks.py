"""What is asked in the matrix, in no dialect yet, and what was heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class User:
    text: str
    image: bool = False


@dataclass(frozen=True)
class Assistant:
    text: str


@dataclass(frozen=True)
class Called:
    """An assistant's turn of calls, by their ids, all with `ARGUMENTS`."""

    ids: Sequence[str]


@dataclass(frozen=True)
class Results:
    """What the tools said, by the ids of the calls."""

    texts: Mapping[str, str]


Turn = User | Assistant | Called | Results


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question.

    Attributes:
        tools: Whether the tool `weather` is offered.
        choice: `weather` is that tool by name.
        json: Any JSON, or JSON that follows `questions.SCHEMA`.
        thinks: Whether the model shall think and show it.
        more: Further fields by caller, as that one's dialect has them.
    """

    system: str | None = None
    turns: Sequence[Turn] = (User("Say three words."),)
    tools: bool = False
    choice: Literal["auto", "none", "required", "weather"] | None = None
    json: Literal["any", "schema"] | None = None
    stop: Sequence[str] = ()
    max_tokens: int | None = None
    thinks: bool = False
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass
class Counts:
    """Usage as callers are told it; None where the dialect has no place for it or it was not said."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@dataclass
class Heard:
    """An answer, put together by the SDK where it was streamed.

    Attributes:
        calls: Id, name and arguments of each.
        finish: In the caller's dialect.
        fields: The response's headers.
    """

    text: str = ""
    reasoning: str = ""
    calls: list[list[str]] = field(default_factory=list)
    finish: str | None = None
    stop: str | None = None
    usage: Counts = field(default_factory=Counts)
    fields: Mapping[str, str] = field(default_factory=dict)


CALLED_TWICE = (Called(("first", "second")), Results({"first": "sunny", "second": "rain"}))
