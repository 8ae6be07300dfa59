"""Requests for OpenAI's speech, and the usage of rankings.

Source: https://platform.openai.com/docs/api-reference/audio.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.model_request import ModelRequest, decode_text
from shipway.gateway.dialects.openai import any_usage
from shipway.gateway.dialects.openai_usage import read_usage
from shipway.gateway.dialects.usage import TokenUsage, counted, members
from shipway.gateway.refusals import Refused, bad_field


class SpeechRequest(ModelRequest):
    """A text to be spoken, which says in a field of its own whether a stream of events is wanted."""

    __slots__ = ()

    def __init__(self, body: bytes) -> None:
        """Raises: Refused."""
        super().__init__(body)
        wanted = self.fields.get("stream_format")
        if wanted is None or bytes(wanted) == b"null":
            self.stream = False
            return
        try:
            self.stream = decode_text(wanted) == "sse"
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(bad_field("stream_format", "The field 'stream_format' must be a string.")) from None


def ranking_usage(body: bytes) -> TokenUsage | None:
    """The usage of documents in an order, of which some servers say the total alone. Raises: ValueError, for what is none."""
    return any_usage(body, "results", _read_ranking_usage)


def _read_ranking_usage(said: object) -> TokenUsage:
    usage = read_usage(said)
    return TokenUsage(counted(members(said).get("total_tokens"))) if usage.prompt_tokens is None else usage
