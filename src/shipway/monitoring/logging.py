"""The gateway's log: one line a request, encoded on the request path and written by a thread of its own.

The standard library's logging takes a lock and formats for each line; here a request costs one encoding and one append.
The lines follow OpenTelemetry's log data model by name. Only the fields declared below can appear, so a secret has no
way in.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Literal

import msgspec

LogFormat = Literal["json", "text"]

MAX_WAITING_LINES = 100_000
"""Past this the oldest lines are dropped and counted: a log that nobody reads must not grow the process."""
FLUSH_S = 0.1


class AccessRecord:
    """What one request's line says. None is unknown or does not apply, never zero."""

    __slots__ = (
        "attempts",
        "duration_s",
        "error",
        "first_token_s",
        "input_tokens",
        "method",
        "model",
        "output_tokens",
        "path",
        "principal",
        "release",
        "request_bytes",
        "request_id",
        "response_bytes",
        "service",
        "status",
        "upstream",
        "waited_s",
    )

    def __init__(self, method: bytes, path: bytes, request_id: bytes) -> None:
        self.method = method
        self.path = path
        self.request_id = request_id
        self.status = 0
        self.duration_s = 0.0
        self.waited_s = 0.0
        self.request_bytes = 0
        self.response_bytes = 0
        self.attempts = 0
        self.first_token_s: float | None = None
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.principal: str | None = None
        self.service: str | None = None
        self.model: str | None = None
        self.release: str | None = None
        self.upstream: str | None = None
        self.error: str | None = None


class AccessLog:
    """Collects lines and writes them to *out* in the background, in order.

    Closing writes what is left; the stream stays open. `dropped` counts the lines that were lost.
    """

    def __init__(self, out: IO[bytes], log_format: LogFormat) -> None:
        self._out = out
        self._encode: Callable[[AccessRecord], bytes] = _JsonLines() if log_format == "json" else _text_line
        self._lines: deque[bytes] = deque(maxlen=MAX_WAITING_LINES)
        self.dropped = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def write(self, record: AccessRecord) -> None:
        if len(self._lines) == MAX_WAITING_LINES:
            self.dropped += 1
        self._lines.append(self._encode(record))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = self._lines
        batch = [lines.popleft() for _ in range(len(lines))]
        if batch:
            try:
                self._out.write(b"".join(batch))
                self._out.flush()
            except (OSError, ValueError):
                pass  # the reader of the log is gone; requests go on


class _JsonLines:
    """Encodes records as OpenTelemetry's log data model has them.

    What many requests have in common (method, path, status, who, what) is encoded once and kept, so a line costs one
    look-up and one formatting. A request id is made of safe characters by whoever accepts it.
    """

    def __init__(self) -> None:
        self._beginnings: dict[tuple[object, ...], bytes] = {}

    def __call__(self, record: AccessRecord) -> bytes:
        key = (
            record.method,
            record.path,
            record.status,
            record.principal,
            record.service,
            record.model,
            record.upstream,
            record.release,
            record.error,
        )
        beginning = self._beginnings.get(key)
        if beginning is None:
            if len(self._beginnings) >= MAX_BEGINNINGS:
                self._beginnings.clear()
            beginning = self._beginnings[key] = _beginning(record)
        line = (
            b'{"Timestamp":%d,%b,"http.server.request.duration":%.6f,"http.response.body.size":%d,"request_id":"%b"'
            % (time.time_ns(), beginning, record.duration_s, record.response_bytes, record.request_id)
        )
        if record.attempts:
            line += _model_fields(record)
        return line + b"}}\n"


MAX_BEGINNINGS = 2048


def _beginning(record: AccessRecord) -> bytes:
    """From the severity to the last attribute that requests of a kind share; names follow OpenTelemetry where it has one."""
    severity, number = ("ERROR", 17) if record.status >= 500 else ("INFO", 9)
    attributes = {
        "http.request.method": record.method.decode("latin-1"),
        "url.path": record.path.decode("latin-1"),
        "http.response.status_code": record.status,
        "principal": record.principal,
        "service": record.service,
        "gen_ai.request.model": record.model,
        "upstream": record.upstream,
        "release": record.release,
        "error.type": record.error,
    }
    known = msgspec.json.encode({name: value for name, value in attributes.items() if value is not None})
    return b'"SeverityText":"%b","SeverityNumber":%d,"EventName":"http.request","Attributes":%b' % (
        severity.encode(),
        number,
        known.removesuffix(b"}"),
    )


def _model_fields(record: AccessRecord) -> bytes:
    fields = b',"attempts":%d' % record.attempts
    if record.first_token_s is not None:
        fields += b',"gen_ai.server.time_to_first_token":%.6f' % record.first_token_s
    if record.input_tokens is not None:
        fields += b',"gen_ai.usage.input_tokens":%d' % record.input_tokens
    if record.output_tokens is not None:
        fields += b',"gen_ai.usage.output_tokens":%d' % record.output_tokens
    return fields


def _text_line(record: AccessRecord) -> bytes:
    path = record.path.decode("latin-1")[:200]
    parts = [f"{record.status} {record.method.decode('latin-1')} {path} {record.duration_s * 1000:.0f} ms"]
    parts += [part for part in (record.upstream or record.service, record.error) if part]
    parts.append(record.request_id.decode("latin-1"))
    return " · ".join(parts).encode("utf-8", "replace") + b"\n"
