"""How the answers of a path are read for their texts: in the dialect that the client gets them in, or as a transcript."""

from __future__ import annotations

from typing import Protocol

import msgspec

from shipway.gateway.dialects.dialect import Dialect, Framing, StreamParser, document_reader
from shipway.gateway.dialects.events import Event, TextDelta
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.dialects.sse import EventSplitter
from shipway.gateway.guards.check import Piece
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.texts import answer_pieces
from shipway.gateway.guards.unread import unread_strings
from shipway.gateway.model_api import ModelPath


class Answers(Protocol):
    """Answers of one path."""

    def whole(self, body: bytes) -> tuple[Piece, ...]:
        """The texts of a whole one, as the client gets it. Raises: ValueError, when it cannot be read."""

    def stream(self) -> StreamTexts:
        """For the texts of one stream."""


def answers_of(path: ModelPath) -> Answers | None:
    """How the answers of *path* are read; None where nobody can: sounds and pictures."""
    if path.operation in ("transcriptions", "translations"):
        return Transcripts()
    return Conversations(open_dialect(path.conversation)) if path.conversation else None


class Conversations:
    """Answers in a dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def whole(self, body: bytes) -> tuple[Piece, ...]:
        return answer_pieces(self._dialect, body)

    def stream(self) -> StreamTexts:
        return StreamTexts(self._dialect)


class Transcripts:
    """What was heard: a document with a text, or the text alone, as with the formats of subtitles."""

    def whole(self, body: bytes) -> tuple[Piece, ...]:
        if not body.lstrip().startswith(b"{"):
            return (Piece("assistant", "text", body.decode()),)
        text = _read(body).text
        # Segments and words say parts of the text again.
        rest = unread_strings(_decode(body), _PartsOf(text))
        return (Piece("assistant", "text", text), *(Piece("assistant", "field", said, path) for path, said in rest))

    def stream(self) -> StreamTexts:
        return StreamTexts(self)

    def framing(self) -> Framing:
        return EventSplitter()

    def stream_parser(self) -> StreamParser:
        return _Deltas()


class _Transcript(msgspec.Struct):
    text: str


class _Delta(msgspec.Struct):
    type: str | None = None
    delta: str | None = None


_read = document_reader(_Transcript)
_read_delta = document_reader(_Delta)
_decode = msgspec.json.Decoder().decode


class _PartsOf:
    """As the texts that were read: every part of one."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __contains__(self, said: object) -> bool:
        return isinstance(said, str) and said.strip() in self._text


class _Deltas:
    """The events of a streamed transcript. What else they say is shown as fields: a segment, the chunks of other servers."""

    def read(self, name: str, data: bytes) -> list[Event]:
        if data == b"[DONE]":
            return []
        event = _read_delta(data)
        return [TextDelta(event.delta)] if event.type == "transcript.text.delta" and event.delta else []

    def end(self) -> list[Event]:
        return []
