"""Errors of upstreams reach the caller with the right class, in its own dialect, and without the upstream's words."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from shipway.gateway import refusals
from shipway.gateway.dialects.events import Envelope, Failed
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.refusals import Refusal
from shipway.testing.bedrock_frames import frame

SECRET = "host db-7.internal says no"


def upstream_error(name: str, kind: str) -> bytes:
    bodies: dict[str, Any] = {
        "openai_chat": {"error": {"message": SECRET, "type": kind, "param": None, "code": None}},
        "openai_responses": {"error": {"message": SECRET, "type": kind, "param": None, "code": None}},
        "anthropic": {"type": "error", "error": {"type": kind, "message": SECRET}, "request_id": "req_1"},
        "bedrock": {"message": SECRET},
        "gemini": {"error": {"code": 400, "message": SECRET, "status": kind}},
    }
    return json.dumps(bodies[name]).encode()


REFUSALS = [
    refusals.bad_field("messages[0].name", "No."),
    refusals.INVALID_KEY,
    refusals.unknown_model("m"),
    refusals.BODY_TOO_LARGE,
    refusals.rate_limited(3),
    refusals.INTERNAL,
    refusals.resting(1),
    refusals.upstream_failed("idle_timeout"),
    refusals.upstream_failed("cut"),
    Refusal(HTTPStatus.FORBIDDEN, "forbidden", "No."),
]


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_no_word_of_an_upstream_gets_through(upstream: str, caller: str, status: int) -> None:
    refusal = open_dialect(upstream).read_error(status, upstream_error(upstream, "weird kind\r\n"))
    assert refusal.status == status
    fields, body = open_dialect(caller).write_error(refusal, "request-1")
    assert b"db-7" not in body + fields
    assert b"weird" not in body + fields
    assert b"db-7" not in open_dialect(caller).stream_error(refusal)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":null}', b'{"error":{"message":7}}', b"\xff"])
def test_an_error_that_makes_no_sense_is_still_a_refusal(name: str, body: bytes) -> None:
    assert open_dialect(name).read_error(400, body).status == HTTPStatus.BAD_REQUEST


TOO_LONG = {
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
    "bedrock": {"message": "Input is too long for requested model."},
    "gemini": {
        "error": {"code": 400, "message": "The input token count (9) exceeds the maximum", "status": "INVALID_ARGUMENT"}
    },
}


@pytest.mark.parametrize("name", TOO_LONG)
def test_a_conversation_that_is_too_long_has_the_code_that_clients_look_for(name: str) -> None:
    refusal = open_dialect(name).read_error(400, json.dumps(TOO_LONG[name]).encode())
    assert (refusal.code, refusal.param) == ("context_length_exceeded", "messages")


def test_a_model_that_failed_is_not_the_callers_fault() -> None:
    assert open_dialect("bedrock").read_error(424, b'{"message":"x"}').status == HTTPStatus.BAD_GATEWAY


def test_anthropics_errors_have_its_types_and_statuses() -> None:
    dialect = open_dialect("anthropic")
    told = [
        (dialect.status(refusal), json.loads(dialect.write_error(refusal, "request-1")[1])["error"]["type"])
        for refusal in REFUSALS
    ]
    assert told == [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
        (504, "timeout_error"),
        (502, "api_error"),
        (403, "permission_error"),
    ]


def test_bedrocks_errors_name_the_exception_that_its_client_raises() -> None:
    dialect = open_dialect("bedrock")
    told = [
        dialect.write_error(refusal, "request-1")[0].partition(b"ErrorType: ")[2].split(b"\r\n")[0]
        for refusal in REFUSALS
    ]
    assert [name.decode() for name in told] == [
        "ValidationException",
        "AccessDeniedException",
        "ResourceNotFoundException",
        "ValidationException",
        "ThrottlingException",
        "InternalServerException",
        "ServiceUnavailableException",
        "ModelTimeoutException",
        "InternalServerException",
        "AccessDeniedException",
    ]


def test_geminis_errors_have_the_status_of_their_code() -> None:
    told = [json.loads(open_dialect("gemini").write_error(refusal, "")[1])["error"] for refusal in REFUSALS]
    assert {one["code"]: one["status"] for one in told} == {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        413: "INVALID_ARGUMENT",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        502: "INTERNAL",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }


@pytest.mark.parametrize("name", DIALECTS)
def test_retry_after_is_said_in_every_dialect(name: str) -> None:
    assert b"Retry-After: 3\r\n" in open_dialect(name).write_error(refusals.rate_limited(3), "")[0]


@pytest.mark.parametrize("name", DIALECTS)
def test_an_in_band_error_is_read_back_as_a_failure(name: str) -> None:
    dialect = open_dialect(name)
    framing, parser = dialect.framing(), dialect.stream_parser()
    messages = framing.feed(dialect.stream_error(refusals.INTERNAL))
    events = [event for message in messages for event in parser.read(*message)]
    assert [type(event) for event in events] == [Failed]


IN_BAND: dict[str, tuple[bytes, str]] = {
    "openai_chat": (b'data: {"error":{"message":"db-7"}}\n\n', "api_error"),
    "openai_responses": (
        b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded"}}}\n\n',
        "rate_limit_error",
    ),
    "anthropic": (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"db-7"}}\n\n',
        "overloaded_error",
    ),
    "bedrock": (
        frame({":exception-type": "throttlingException", ":message-type": "exception"}, b'{"message":"db-7"}'),
        "rate_limit_error",
    ),
    "gemini": (b'data: {"error":{"code":503,"message":"db-7","status":"UNAVAILABLE"}}\r\n\r\n', "overloaded_error"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_an_upstreams_in_band_error_fails_the_stream_silently(name: str) -> None:
    sent, kind = IN_BAND[name]
    stream = TranslatedStream(open_dialect(name), open_dialect("openai_chat"), Envelope("1", "m", 1))
    assert stream.pass_on(sent) == b""
    assert (stream.failed, stream.error_kind, stream.over, stream.finish()) == ("error", kind, True, None)


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("sent", [b"<html>\n\n", b"data: {oops\n\n", b"data: 7\n\n", b"\x00" * 64 + b"\n\n"])
def test_what_is_no_stream_is_garbage(name: str, sent: bytes) -> None:
    stream = TranslatedStream(open_dialect(name), open_dialect("openai_chat"), Envelope("1", "m", 1))
    stream.pass_on(sent)
    assert stream.finish() is None
    assert stream.failed in ("garbage", "cut")


@pytest.mark.parametrize(
    "said",
    ["sk-proj-4fXb", "upstream-7.internal", "gpu.internal:8000", "http://10.0.0.7/", "a b", "a\r\nx: y", "a" * 65, ""],
)
def test_a_key_or_a_host_in_place_of_an_errors_name_does_not_get_through(said: str) -> None:
    body = json.dumps({"error": {"message": "no", "type": said, "code": said, "param": said}}).encode()
    refusal = open_dialect("openai_chat").read_error(400, body)
    assert (refusal.kind, refusal.code, refusal.param) == ("invalid_request_error", "refused_by_model", None)


@pytest.mark.parametrize("param", ["messages[0].content", "messages.[1].role", "input.2.id", "max_completion_tokens"])
def test_the_field_at_fault_gets_through(param: str) -> None:
    body = json.dumps({"error": {"message": "no", "type": "BadRequestError", "code": 400, "param": param}}).encode()
    refusal = open_dialect("openai_chat").read_error(400, body)
    assert (refusal.kind, refusal.code, refusal.param) == ("BadRequestError", "400", param)
