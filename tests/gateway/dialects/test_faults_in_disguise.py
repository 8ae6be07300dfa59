"""Errors whose status says that the request is at fault, although it is not."""

import json

from shipway.gateway.dialects.registry import open_dialect


def test_key_that_gemini_does_not_know_is_no_bad_request() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}, {"other": 1}]
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}
    assert open_dialect("gemini").read_error(400, json.dumps({"error": error}).encode()).status == 401
    assert (
        open_dialect("gemini").read_error(400, json.dumps({"error": {**error, "details": []}}).encode()).status == 400
    )


def test_names_of_bedrocks_errors_say_more_than_their_status() -> None:
    dialect = open_dialect("bedrock")
    statuses = dialect.error_statuses
    assert statuses["ServiceQuotaExceededException"] == 429
    assert dialect.read_error(statuses["ModelErrorException"], b"{}").status == 502


def test_conversation_that_is_too_long_is_said_alike_whoever_finds_it() -> None:
    code = b'{"error":{"message":"This model\'s maximum","code":"context_length_exceeded","param":"messages"}}'
    text = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}'
    told = [open_dialect("openai_chat").read_error(400, code), open_dialect("anthropic").read_error(400, text)]
    assert told[0] == told[1]
