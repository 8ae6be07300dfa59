"""What a reply comes to for one request, in no dialect yet: each dialect's wire module makes documents and events of it."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from shipway.testing.script import DEFAULT_TEXT, Citation, Reply, ToolCall, Usage

DEFAULT_JSON: Final = '{"answer": "This is a fake answer."}'
ARGUMENT_PART: Final = 7
"""How many characters of a tool's arguments come in one event of a stream."""
_OUTPUT_CLASSES: Final = ("reasoning", "audio_output", "image_output")
_PIECE = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True, slots=True)
class Said:
    """What a reply comes to for one request: pieces of reasoning and of text, calls of tools, why it ended."""

    reasoning: tuple[str, ...]
    tokens: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    citations: tuple[Citation, ...]
    finish: str
    stop: str | None
    """The stop sequence that was met."""
    usage: Usage

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def said(
    reply: Reply, prompt: str, *, limit: int | None = None, stops: Sequence[str] = (), json_mode: bool = False
) -> Said:
    """Work out what *reply* says to a request.

    Args:
        prompt: All text of the request, which is counted by words.
        limit: The request's limit of tokens.
        stops: Its stop sequences: the text ends before the first that it has.
        json_mode: Whether it wants JSON.
    """
    text = DEFAULT_JSON if json_mode and reply.text == DEFAULT_TEXT else reply.text
    tokens = () if reply.tool_calls and reply.text == DEFAULT_TEXT else pieces(text)
    tokens = tokens if reply.tokens is None else tuple(reply.tokens)
    tokens, stop = _stopped(tokens, stops)
    finish = "stop" if stop is None else "stop_sequence"
    if reply.tool_calls:
        finish = "tool_calls"
    if limit is not None and limit < len(tokens):
        tokens, finish, stop = tokens[:limit], "length", None
    reasoning = pieces(reply.reasoning)
    called = sum(len(pieces(call.arguments)) + 1 for call in reply.tool_calls)
    usage = Usage(input=len(pieces(prompt)), output=len(tokens) + called, reasoning=len(reasoning))
    calls, citations = tuple(reply.tool_calls), tuple(reply.citations)
    return Said(reasoning, tokens, calls, citations, reply.finish_reason or finish, stop, reply.usage or usage)


def with_ids(heard: Said, prefix: str) -> Said:
    """The same with an id, as the dialect writes them, for each call that has none."""
    calls = tuple(
        replace(call, id=call.id or f"{prefix}{number}") for number, call in enumerate(heard.tool_calls, start=1)
    )
    return replace(heard, tool_calls=calls)


def told_apart(heard: Said, *names: str) -> Said:
    """The same with usage as a dialect reports it that tells only the classes *names* from plain input and output."""
    counts = asdict(heard.usage)
    kept = {name: count for name, count in counts.items() if name in names and name not in ("input", "output")}
    inputs = heard.usage.all_input - sum(count for name, count in kept.items() if name not in _OUTPUT_CLASSES)
    outputs = heard.usage.all_output - sum(count for name, count in kept.items() if name in _OUTPUT_CLASSES)
    return replace(heard, usage=Usage(**{**kept, "input": inputs, "output": outputs}))


def pieces(text: str) -> tuple[str, ...]:
    """Split *text* into its "tokens": words with the white space before them. Joined they are *text* again."""
    return tuple(_PIECE.findall(text)) or ((text,) if text else ())


def argument_parts(arguments: str) -> list[str]:
    """A tool's arguments as they are streamed; nothing for none."""
    return [arguments[at : at + ARGUMENT_PART] for at in range(0, len(arguments), ARGUMENT_PART)]


def all_text(content: object) -> str:
    """Every text in a message's content, however its parts are nested, joined by spaces. Calls and images are not text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(filter(None, map(all_text, content)))
    if isinstance(content, dict):
        return " ".join(
            filter(None, (all_text(content.get(name)) for name in ("text", "content", "parts", "toolResult")))
        )
    return ""


def _stopped(tokens: tuple[str, ...], stops: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    text = "".join(tokens)
    found = min(((text.find(stop), stop) for stop in stops if stop in text), default=None)
    return (tokens, None) if found is None else (pieces(text[: found[0]]), found[1])
