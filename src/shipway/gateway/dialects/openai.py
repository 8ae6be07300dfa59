"""The OpenAI dialect: what the gateway reads of an answer, errors, and the list of models."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

import msgspec

from shipway.gateway.dialects.errors import CONTEXT_LENGTH, TOO_LONG
from shipway.gateway.dialects.openai_usage import classes_of, read_image_usage, read_usage
from shipway.gateway.dialects.surrogates import without_halves
from shipway.gateway.dialects.usage import MOST_TOKENS, TokenUsage, members
from shipway.gateway.refusals import JSON_FIELD, Refusal, extra_fields
from shipway.gateway.undecodable import UNDECODABLE

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

STREAM_CONTENT_TYPE = b"text/event-stream"
STREAM_FIELDS = b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"


ABSENT = msgspec.Raw(b"")
"""`Raw | None` would be read as null alone, so absence has a value of its own."""


Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]
"""Tokens as they should be reported; whoever reads them falls back on `openai_usage` where they are not."""


class Usage(msgspec.Struct, gc=False):
    """Tokens of one call as reported; None is unknown, never zero.

    The details are read when they are asked for: their form differs from server to server, and the totals count without them.
    """

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: msgspec.Raw = ABSENT
    completion_tokens_details: msgspec.Raw = ABSENT

    @property
    def parts(self) -> TokenUsage | None:
        """The tokens in classes, where there are others than two plain ones: some servers' totals lack what was thought."""
        given, made = self.prompt_tokens_details, self.completion_tokens_details
        if (given is ABSENT or _tells_nothing(given)) and (made is ABSENT or _tells_nothing(made)):
            return None
        return self.classes.parts

    @property
    def classes(self) -> TokenUsage:
        """The tokens in classes."""
        given, made = decoded(self.prompt_tokens_details), decoded(self.completion_tokens_details)
        return classes_of(self.prompt_tokens, self.completion_tokens, self.total_tokens, given, made)


class _Details(msgspec.Struct, gc=False):
    """Parts of a total, as far as they make a class of their own."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None
    reasoning_tokens: Count | None = None


_decode_details = msgspec.json.Decoder(_Details).decode


def _tells_nothing(details: msgspec.Raw) -> bool:
    """Whether they are all zeros, as mostly: OpenAI always sends them."""
    try:
        told = _decode_details(details)
    except UNDECODABLE:
        return False
    return not (
        told.cached_tokens or told.cache_write_tokens or told.audio_tokens or told.image_tokens or told.reasoning_tokens
    )


def decoded(raw: msgspec.Raw) -> object:
    """The value of *raw*; None where it is absent, or can only be skipped and not read."""
    try:
        return _decode(raw) if raw is not ABSENT else None
    except UNDECODABLE:
        return None


def as_openai_error(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    """The error shape that the official SDKs raise from, as header lines and a body."""
    return JSON_FIELD + extra_fields(refusal), error_json(refusal)


def error_json(refusal: Refusal) -> bytes:
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    return _encode({"error": error})


def stream_error(refusal: Refusal) -> bytes:
    """The in-band error that ends a stream whose status is spent; the SDKs raise on it and no `[DONE]` follows."""
    return b"data: %b\n\n" % error_json(refusal)


def model_list(names: tuple[str, ...], created_s: int) -> bytes:
    """The answer to `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": created_s, "owned_by": "shipway"} for name in names]
    return _encode({"object": "list", "data": data})


def model_entry(name: str, created_s: int) -> bytes:
    return _encode({"id": name, "object": "model", "created": created_s, "owned_by": "shipway"})


class _Choice(msgspec.Struct, gc=False):
    """What a choice says, in one of two dialects; it is only seen whether it says anything."""

    message: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT


class _Embedding(msgspec.Struct, gc=False):
    """Of which nothing is read."""


class _Bare(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    data: list[_Embedding] | None = None
    error: msgspec.Raw = ABSENT


class _Answer(_Bare, gc=False):
    usage: Usage | None = None


class _OddAnswer(_Bare, gc=False):
    usage: msgspec.Raw = ABSENT


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_odd_answer = msgspec.json.Decoder(_OddAnswer).decode


def answer_usage(body: bytes, embeddings: bool = False) -> Usage | TokenUsage | None:
    """The usage that a whole answer reports; None when it says nothing of it.

    Raises:
        ValueError: it is not an answer: no JSON object, one without any choice (or else embedding), or an error under a
            good status.
    """
    usage: Usage | TokenUsage | None
    answer: _Bare
    try:
        try:
            answer = whole = _decode_answer(body)
            usage = whole.usage
        except msgspec.ValidationError:  # usage in a form of its own makes no answer worthless
            answer = odd = _decode_odd_answer(body)
            usage = read_usage(decoded(odd.usage))
    except UNDECODABLE as error:
        whole_characters = without_halves(body)
        if whole_characters != body:
            return answer_usage(whole_characters, embeddings)
        raise ValueError("not an answer of this dialect") from error
    if answer.error is not ABSENT and bytes(answer.error) != b"null":
        raise ValueError("an error with a good status")
    choices = answer.choices
    says_nothing = not choices or (choices[0].message is ABSENT and choices[0].text is ABSENT)
    if not answer.data if embeddings else says_nothing:
        raise ValueError("an answer to something else, or none")
    return usage


def any_usage(body: bytes, saying: str = "", read: Callable[[object], TokenUsage] = read_usage) -> TokenUsage | None:
    """The usage of a document of which no more is known than that it has the field *saying*.

    Raises:
        ValueError: it is no JSON object, an error, or lacks that field.
    """
    try:
        fields = _decode_fields(without_halves(body))
    except UNDECODABLE as error:
        raise ValueError("not an answer of this dialect") from error
    if bytes(fields.get("error", b"null")) != b"null" or (saying and saying not in fields):
        raise ValueError("an error with a good status, or no answer")
    return read(decoded(fields["usage"])) if "usage" in fields else None


def image_usage(body: bytes) -> TokenUsage | None:
    """The usage of images that were made or changed. Raises: ValueError, as `any_usage`."""
    return any_usage(body, "data", read_image_usage)


def transcript_usage(body: bytes) -> TokenUsage | None:
    """The usage of a transcript, which may be plain text. Raises: ValueError, for an error or a page of HTML."""
    begins = body.lstrip()[:1]
    if begins == b"{":
        return any_usage(body)
    if begins == b"<":
        raise ValueError("a page, not a transcript")
    return None


class _ErrorDetail(msgspec.Struct, gc=False):
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct, gc=False):
    error: _ErrorDetail | None = None


_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_WORD = re.compile(r"[A-Za-z0-9_]+")
_PLACE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+|\.?\[\d+\])*")
"""The names of errors and of fields. Without hyphens, so that no key of a provider's is one."""
_MAX_NAME = 64


def refused_by_model(status: int, body: bytes) -> Refusal:
    """The refusal that passes on an upstream's 4xx: its class, code and parameter, but not its text."""
    try:
        detail = _decode_error(body).error or _ErrorDetail()
    except UNDECODABLE:
        detail = _ErrorDetail()
    code = _matching(_WORD, detail.code) or "refused_by_model"
    param = _matching(_PLACE, detail.param)
    place = f" The field at fault is {param!r}." if param else ""
    text = TOO_LONG if code == CONTEXT_LENGTH else f"The model does not take this request ({code}).{place}"
    return Refusal(
        HTTPStatus(status) if status in _KNOWN_STATUSES else HTTPStatus.BAD_REQUEST,
        code,
        text,
        kind=_matching(_WORD, detail.type) or "invalid_request_error",
        param=param,
    )


class _SaidInBand(msgspec.Struct, gc=False):
    error: object = None
    type: object = None
    code: object = None


_decode_in_band = msgspec.json.Decoder(_SaidInBand).decode


def in_band_kind(document: bytes) -> str:
    """What `Refusal` calls an error said in a stream: in an object of its own, or by the document itself.

    Its type and its code are looked at, which some have for a word and some for a status.
    """
    try:
        said = _decode_in_band(document)
    except UNDECODABLE:
        return "api_error"
    detail = members(said.error) or {"type": said.type, "code": said.code}
    return kind_of_words(detail.get("type"), detail.get("code"))


def kind_of_words(*words: object) -> str:
    """What `Refusal` calls an error with this type and code."""
    said = {str(word).lower().replace("_", "") for word in words if isinstance(word, str | int)}
    if any(word == "429" or word.startswith(_LIMITED) for word in said):
        return "rate_limit_error"
    if any(word in ("503", "529") or "overloaded" in word or word.startswith(_UNAVAILABLE) for word in said):
        return "overloaded_error"
    return "api_error"


_LIMITED = ("ratelimit", "toomanyrequests", "insufficientquota", "resourceexhausted", "throttl")
_UNAVAILABLE = ("serviceunavailable", "slowdown", "unavailable")
_KNOWN_STATUSES = frozenset(HTTPStatus)


def _matching(form: re.Pattern[str], value: str | int | None) -> str | None:
    text = "" if value is None else str(value)
    return text if len(text) <= _MAX_NAME and form.fullmatch(text) else None
