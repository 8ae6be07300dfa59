"""What upstreams' errors become: a class, a code and the field at fault, never their text."""

from __future__ import annotations

import re
from http import HTTPStatus

from shipway.gateway.refusals import Refusal

CONTEXT_LENGTH = "context_length_exceeded"
"""OpenAI's code for a conversation that is too long, which clients look for to shorten it."""

TOO_LONG = "The conversation is longer than the model takes."

_TOO_LONG = re.compile(
    r"prompt is too long|too many (?:input )?tokens|input is too long|exceeds? (?:the |model'?s? )?(?:maximum|max|context)"
    r"|maximum context length|exceed context limit|input token count",
    re.IGNORECASE,
)

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""What a status is called, in the words that OpenAI and Anthropic share as far as they do."""

_KNOWN_STATUSES = frozenset(HTTPStatus)


def kind_of(status: int) -> str:
    return KINDS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def refused_by_model(status: int, code: str, message: str) -> Refusal:
    """The refusal that passes on an upstream's error.

    Args:
        code: The upstream's own name for it, one word.
        message: Looked at for what it is about; not passed on.
    """
    known = HTTPStatus(status) if status in _KNOWN_STATUSES else HTTPStatus.BAD_REQUEST
    if status in (400, 413, 422) and _TOO_LONG.search(message):
        return Refusal(known, CONTEXT_LENGTH, TOO_LONG, param="messages")
    kind = "invalid_request_error" if status in (404, 413) else kind_of(known.value)
    return Refusal(known, code, f"The model does not take this request ({code}).", kind=kind)


_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")


def one_word(text: str | None, default: str = "refused_by_model") -> str:
    """*text* where it is a plain identifier, so that nothing else of an upstream gets through."""
    return text if text is not None and _WORD.fullmatch(text) else default
