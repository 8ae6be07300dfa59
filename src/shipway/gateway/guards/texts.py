"""The texts that guards see, taken from what the dialects' readers read. What they do not know is shown as it is, as JSON:
nothing that reaches a model or a client as text is left out because a reader skips it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shipway.gateway.dialects.conversation import (
    Audio,
    Conversation,
    Document,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    call_names,
)
from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.forms import FormRequest
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.guards.check import Piece, Role
from shipway.gateway.guards.file_texts import written_text
from shipway.gateway.guards.unread import ANSWER, REQUEST, unread_strings
from shipway.gateway.refusals import Refused, bad_field

_OF_KINDS = frozenset(("anthropic", "openai_responses"))
"""Dialects whose answers are lists of kinds of things, which grow. Elsewhere an answer that cannot be read is several at once."""
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_STEP = re.compile(r"\[(\d+)\]|([^.\[]+)")


class _Everything:
    """As what may be lost: all of it, since it is shown as it is."""

    def __contains__(self, path: object) -> bool:
        return True


def conversation_pieces(dialect: Dialect, body: bytes) -> tuple[Piece, ...]:
    """The texts of a request, and the fields that the dialect's reader does not know.

    Raises:
        Refused: it cannot be read, and names the field.
    """
    document = document_of(body)
    losses = Losses(_Everything())
    conversation = dialect.read_request(body, losses)
    pieces = tuple(_conversation(conversation))
    fields = {path: _at(document, path) for path in dict.fromkeys(losses.dropped)}
    unknown = [Piece("user", "field", _as_json(value), path) for path, value in fields.items()]
    read = {text for piece in pieces for text in (piece.text, piece.name)}
    read |= {text for value in fields.values() for _, text in _strings(value, "")} | _told_together(conversation)
    beside = [Piece("user", "field", text, path) for path, text in unread_strings(document, read, REQUEST)]
    return (*pieces, *unknown, *beside)


def _told_together(conversation: Conversation) -> set[str]:
    """What is in a piece with something else, or written in another way."""
    form = conversation.format
    told = {text for tool in conversation.tools for text in (tool.name, tool.description) if text}
    told |= {text for text in (form.name, form.description) if text} if form is not None else set()
    calls = [part for turn in conversation.turns for part in turn.parts if isinstance(part, ToolCall)]
    return told | {call.arguments for call in calls}


def document_pieces(body: bytes) -> tuple[Piece, ...]:
    """All strings of a request in a dialect that nobody reads, by their paths. Raises: Refused."""
    document = document_of(body)
    return tuple(Piece("user", "text", text, path) for path, text in _strings(document, "") if path != "model")


def form_pieces(form: FormRequest) -> tuple[Piece, ...]:
    """The parts of a form, files by their names alone."""
    parts = [(name, text) for name, text in form.texts() if name != "model"]
    return tuple(
        Piece("user", "attachment", "file", name) if text is None else Piece("user", "text", text, name)
        for name, text in parts
    )


def answer_pieces(dialect: Dialect, body: bytes) -> tuple[Piece, ...]:
    """The texts of a whole answer as the client gets it; of one of a kind that the reader does not know, all of it.

    Raises:
        ValueError: it cannot be read.
    """
    document = _decode_object(without_halves(body))
    pieces: list[Piece] = []
    read: set[str] = set()
    try:
        parts = dialect.read_answer(body).parts
    except ValueError:  # it may well be an answer: that it is none was seen before
        if dialect.name not in _OF_KINDS:
            raise
        said = [(name, value) for name, value in document.items() if name not in ANSWER and value is not None]
        return tuple(Piece("assistant", "field", _as_json(value), name) for name, value in said)
    for part in parts:
        if isinstance(part, Text | Reasoning | ToolCall | Image):
            pieces += _part(part, "assistant", {})
            if isinstance(part, ToolCall):
                read.add(part.arguments)
        else:
            source = " ".join(text for text in (part.title, part.url, part.quote) if text)
            pieces.append(Piece("assistant", "citation", source))
    read |= {text for piece in pieces for text in (piece.text, piece.name)}
    unread = [Piece("assistant", "field", text, path) for path, text in unread_strings(document, read)]
    return (*pieces, *unread)


def document_of(body: bytes) -> Any:
    """*body* as JSON.

    Raises:
        Refused: it is none, or an object in it has a key twice, of which a guard would see one and a model the other.
    """
    try:
        return json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Refused(bad_field(None, "The body is not a JSON object.")) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Refused(bad_field(twice, f"The field {twice[:100]!r} is there twice."))
    return fields


def _conversation(conversation: Conversation) -> Iterator[Piece]:
    names = call_names(conversation)
    for text in conversation.system:
        yield Piece("system", "text", text.text)
    for tool in conversation.tools:
        described = "\n".join(said for said in (tool.description, _shown(tool.schema)) if said)
        yield Piece("system", "tool", described, tool.name)
    if conversation.format is not None:
        form = conversation.format
        described = "\n".join(said for said in (form.name, form.description, _shown(form.schema)) if said)
        if described:
            yield Piece("system", "field", described, "format")
    for turn in conversation.turns:
        for part in turn.parts:
            yield from _part(part, turn.role, names)


def _part(part: Part, role: Role, names: dict[str, str]) -> Iterable[Piece]:
    match part:
        case Text(text):
            return (Piece(role, "text", text),)
        case ToolCall():
            return (Piece(role, "tool_call", _arguments(part), part.name),)
        case ToolResult():
            return _tool_result(part, names)
        case Reasoning():
            return (Piece(role, "reasoning", part.text),) if part.text else ()
        case Document():
            said = [said for said in (part.title, part.context, part.text, written_text(part)) if said]
            texts = [Piece(role, "text", text) for text in said]
            return (
                [*texts, Piece(role, "attachment", part.url or part.media_type or "")] if part.text is None else texts
            )
        case Image():
            return (Piece(role, "attachment", part.url or part.media_type or "image"),)
        case Audio():
            return (Piece(role, "attachment", f"audio/{part.format}"),)


def _tool_result(result: ToolResult, names: dict[str, str]) -> Iterator[Piece]:
    name = names.get(result.call_id, "")
    for part in result.parts:
        for piece in _part(part, "tool", names):
            yield Piece("tool", "tool_result" if piece.kind == "text" else piece.kind, piece.text, name)


def _arguments(call: ToolCall) -> str:
    try:
        return _shown(call.arguments)
    except ValueError:  # a model wrote them
        return call.arguments


def _shown(text: str | None) -> str:
    """JSON text without its escapes, behind which words could hide."""
    return "" if text is None else _as_json(json.loads(text))


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _at(document: Any, path: str) -> Any:
    """What *path* leads to in *document*; where it names a kind of part rather than a field, the part."""
    for index, key in _STEP.findall(path):
        if index and isinstance(document, list) and int(index) < len(document):
            document = document[int(index)]
        elif key and isinstance(document, dict) and key in document:
            document = document[key]
        else:
            break
    return document


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, f"{path}.{key}" if path else key)
