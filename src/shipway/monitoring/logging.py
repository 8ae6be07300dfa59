"""The gateway's log: one line a request, encoded on the request path and written by a thread of its own.

The standard library's logging takes a lock and formats for each line; here a request costs one encoding and one append.
The lines follow OpenTelemetry's log data model by name. Only the fields declared below can appear, so a secret has no
way in.
"""

from __future__ import annotations

import time
from typing import Final, Literal

import msgspec

from shipway.cost.prices import TokenClasses
from shipway.monitoring.background_writer import BackgroundWriter, Out
from shipway.monitoring.log_members import GuardNote, Names

LogFormat = Literal["json", "text"]


class AccessRecord:
    """What one request's line says. None is unknown or does not apply, never zero.

    Attributes:
        request_id: Letters, digits and punctuation that JSON needs not escape.
        subject: `subject_of` its method and path, if it is known already.
    """

    __slots__ = (
        "attempts",
        "cache",
        "cost_pico_usd",
        "duration_s",
        "error",
        "first_token_s",
        "guards",
        "input_tokens",
        "method",
        "model",
        "output_estimated",
        "output_tokens",
        "path",
        "principal",
        "release",
        "request_bytes",
        "request_id",
        "response_bytes",
        "service",
        "similarity",
        "stale",
        "status",
        "subject",
        "upstream",
        "upstream_request_id",
        "usage",
        "waited_s",
    )

    def __init__(self, method: bytes, path: bytes, request_id: bytes) -> None:
        self.method = method
        self.path = path
        self.request_id = request_id
        self.subject = b""
        self.status = 0
        self.duration_s = 0.0
        self.waited_s = 0.0
        self.request_bytes = 0
        self.response_bytes = 0
        self.attempts = 0
        self.stale = 0
        """Kept connections that had been closed by their upstream, each replaced and tried again."""
        self.first_token_s: float | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.output_estimated = False
        """Whether they are pieces of a stream that broke off, of which less was reported."""
        self.usage: TokenClasses | None = None
        """The classes of these two, where there may be more than one of each."""
        self.cost_pico_usd: int | None = None
        """What the tokens cost, in millionths of a millionth of a dollar."""
        self.guards: list[GuardNote] | None = None
        self.principal: str | None = None
        self.service: str | None = None
        self.model: str | None = None
        self.release: str | None = None
        self.upstream: str | None = None
        self.upstream_request_id: bytes | None = None
        """Whatever the upstream says that it is."""
        self.error: str | None = None
        self.cache: bytes | None = None
        """What became of it at the model's cache (`metrics.CACHE_RESULT`)."""
        self.similarity: float | None = None
        """Between its question and the one whose answer it was given."""


class AccessLog(BackgroundWriter):
    """A line for each request."""

    def __init__(self, out: Out, log_format: LogFormat) -> None:
        super().__init__(out)
        self._encode = _JsonLines().line if log_format == "json" else _text_line

    def write(self, record: AccessRecord) -> None:
        self.put(self._encode(record))


_encode: Final = msgspec.json.Encoder().encode

_LINE: Final = (
    b'{"Timestamp":%d,"SeverityText":%b,"EventName":"http.request","Attributes":{%b,"http.response.status_code":%d,'
    b'"http.server.request.duration":%.6f,"http.response.body.size":%d,"request_id":"%b"%b}}\n'
)
"""One record of OpenTelemetry's log data model."""
_INFO: Final = b'"INFO","SeverityNumber":9'
_ERROR: Final = b'"ERROR","SeverityNumber":17'
_MAX_NAMES: Final = 4096


def subject_of(method: bytes, path: bytes) -> bytes:
    """Method and path as members of a JSON object; the same for each request that repeats a head."""
    names = {"http.request.method": method.decode("latin-1"), "url.path": path.decode("latin-1")}
    return _encode(names)[1:-1]


def _parts(usage: TokenClasses) -> bytes:
    """Members for the parts that are known and not zero. The first three are OpenTelemetry's, the rest is named like them."""
    return b"".join(
        [
            b',"gen_ai.usage.%b":%d' % (name, count)
            for name, count in (
                (b"cache_read.input_tokens", usage.cached_read),
                (b"cache_creation.input_tokens", usage.cached_write),
                (b"reasoning.output_tokens", usage.reasoning),
                (b"audio.input_tokens", usage.input_audio),
                (b"image.input_tokens", usage.input_image),
                (b"audio.output_tokens", usage.output_audio),
                (b"image.output_tokens", usage.output_image),
            )
            if count
        ]
    )


class _JsonLines:
    """Writes records as lines of JSON. What repeats from record to record is encoded once."""

    def __init__(self) -> None:
        self._names: dict[tuple[object, ...], bytes] = {}

    def line(self, record: AccessRecord) -> bytes:
        model, upstream, error = record.model, record.upstream, record.error
        key = (record.principal, record.service, model, upstream, error, record.release, record.attempts)
        rest = self._names.get(key)
        if rest is None:
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            members = _encode(Names(*key[:-1], attempts=record.attempts))[1:-1]
            rest = self._names[key] = b"," + members if members else b""
        if record.input_tokens is not None:
            rest += b',"gen_ai.usage.input_tokens":%d' % record.input_tokens
        if record.output_tokens is not None:
            rest += b',"gen_ai.usage.output_tokens":%d' % record.output_tokens
            if record.output_estimated:
                rest += b',"shipway.usage.estimated":true'
        if record.usage is not None:
            rest += _parts(record.usage)
        if record.cost_pico_usd is not None:
            rest += b',"cost_usd":%d.%012d' % divmod(record.cost_pico_usd, 10**12)
        if record.upstream_request_id is not None:
            rest += b',"upstream_request_id":%b' % _encode(record.upstream_request_id[:128].decode("latin-1"))
        if record.cache is not None:
            rest += b',"cache":"%b"' % record.cache
            if record.similarity is not None:
                rest += b',"cache_similarity":%.3f' % record.similarity
        if record.first_token_s is not None:
            rest += b',"gen_ai.server.time_to_first_token":%.6f' % record.first_token_s
        if record.guards is not None:
            rest += b',"shipway.guards":%b' % _encode(record.guards)
        return _LINE % (
            time.time_ns(),
            _INFO if record.status < 500 else _ERROR,
            record.subject or subject_of(record.method, record.path),
            record.status,
            record.duration_s,
            record.response_bytes,
            record.request_id,
            rest,
        )


def _text_line(record: AccessRecord) -> bytes:
    path = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in record.path.decode("latin-1"))
    path = path[:200]
    parts = [f"{record.status} {record.method.decode('latin-1')} {path} {record.duration_s * 1000:.0f} ms"]
    parts += [part for part in (record.upstream or record.service, record.error) if part]
    parts.append(record.request_id.decode("latin-1"))
    return " · ".join(parts).encode("utf-8", "replace") + b"\n"
