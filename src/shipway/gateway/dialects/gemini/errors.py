"""Gemini: errors, as statuses of gRPC by name with details that say more.

Sources: https://ai.google.dev/gemini-api/docs/troubleshooting and google/rpc/error_details.proto.
"""

from __future__ import annotations

import re

import msgspec

from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.errors import one_word, refused_by_model
from shipway.gateway.refusals import JSON_FIELD, Refusal, extra_fields
from shipway.gateway.retry_budget import LONGEST_RETRY_AFTER_S

_encode = msgspec.json.Encoder().encode

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
KINDS = {
    "RESOURCE_EXHAUSTED": "rate_limit_error",
    "INVALID_ARGUMENT": "invalid_request_error",
    "UNAVAILABLE": "overloaded_error",
    "DEADLINE_EXCEEDED": "timeout_error",
}


_BAD_KEY = frozenset(("API_KEY_INVALID", "API_KEY_EXPIRED"))


class _Reason(msgspec.Struct, gc=False):
    reason: str | None = None
    retryDelay: object = None
    """Of a `google.rpc.RetryInfo`, which alone has it."""


class ErrorDetail(msgspec.Struct, gc=False):
    status: str | None = None
    message: str | None = None
    details: list[_Reason] | None = None


class _Error(msgspec.Struct, gc=False):
    error: ErrorDetail | None = None


_read_error = document_reader(_Error)
_read_errors = document_reader(list[_Error])


def read_error(status: int, body: bytes) -> Refusal:
    """A key that is not known is a 400 there."""
    detail = _detail_of(body)
    if any(one.reason in _BAD_KEY for one in detail.details or ()):
        status = 401
    return refused_by_model(status, one_word(detail.status), detail.message or "")


def read_wait(body: bytes) -> float | None:
    """Seconds until the request may be sent again."""
    return wait_s(_detail_of(body))


def wait_s(detail: ErrorDetail) -> float | None:
    """The longest delay in the details. Source: google/rpc/error_details.proto; durations as in Protobuf's JSON, `12.5s`."""
    delays = [one.retryDelay for one in detail.details or () if isinstance(one.retryDelay, str)]
    waits = [min(float(delay[:-1]), LONGEST_RETRY_AFTER_S) for delay in delays if _DELAY.fullmatch(delay)]
    return max(waits, default=None)


_DELAY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?s")


def _detail_of(body: bytes) -> ErrorDetail:
    """An error of a stream comes in a list."""
    try:
        found = _read_errors(body)[:1] if body.lstrip().startswith(b"[") else [_read_error(body)]
    except ValueError:
        return ErrorDetail()
    return (found[0].error if found else None) or ErrorDetail()


def error_document(refusal: Refusal) -> bytes:
    code = refusal.status.value
    name = STATUSES.get(code) or ("INTERNAL" if code >= 500 else "INVALID_ARGUMENT")
    return _encode({"error": {"code": code, "message": refusal.message, "status": name}})


def write_error(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    return JSON_FIELD + extra_fields(refusal), error_document(refusal)


def stream_error(refusal: Refusal) -> bytes:
    return b"data: %b\n\n" % error_document(refusal)
