"""When a translated stream has begun, and how it fails before that."""

import pytest

from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from shipway.gateway.refusals import upstream_failed


@pytest.mark.parametrize("name", DIALECTS)
def test_an_error_is_no_beginning_so_another_upstream_may_be_asked(name: str) -> None:
    source = open_dialect(name)
    stream = TranslatedStream(source, open_dialect("openai_chat"), Envelope("1", "m", 0))
    assert stream.pass_on(source.stream_error(upstream_failed("error"))) == b""
    assert (stream.begun, stream.failed) == (False, "error")


def test_an_end_without_a_stop_reason_is_no_beginning_either() -> None:
    stream = TranslatedStream(open_dialect("anthropic"), open_dialect("openai_chat"), Envelope("1", "m", 0))
    stream.pass_on(b'data: {"type":"message_stop"}\n\n')
    assert (stream.begun, stream.failed) == (False, "cut")
