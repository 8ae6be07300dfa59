"""The log of requests: lines that hold for any input."""

from __future__ import annotations

import io
import json

from shipway.monitoring.logging import AccessLog, AccessRecord, LogFormat

HOSTILE = [
    b"/\x00\x1b[31m\x07",
    b'/"},{"x":"',
    b"/\xff\xfe",
    b"/\xc2\x9b31m",
    "/é漢\u2028".encode(),
    b"/\\u0000",
    b"/" * 5000,
]


def written(log_format: LogFormat, *paths: bytes) -> list[bytes]:
    out = io.BytesIO()
    log = AccessLog(out, log_format)
    for path in paths:
        log.write(AccessRecord(b"GET", path, b"req-1"))
    log.close()
    return out.getvalue().splitlines(keepends=True)


def test_every_line_is_one_json_object_whatever_the_path() -> None:
    lines = written("json", *HOSTILE)
    assert [json.loads(line)["Attributes"]["url.path"].encode("latin-1") for line in lines] == HOSTILE


def test_text_lines_hold_nothing_that_a_terminal_would_obey() -> None:
    lines = [line.decode() for line in written("text", *HOSTILE, b"/a\nfake line")]
    assert len(lines) == len(HOSTILE) + 1
    assert [line for line in lines if not line.removesuffix("\n").isprintable()] == []


def test_text_line_says_what_a_person_looks_for() -> None:
    record = AccessRecord(b"POST", b"/v1/chat/completions", b"req-1")
    record.status, record.duration_s, record.upstream, record.error = 502, 0.0123, "p/m", "upstream_cut"
    out = io.BytesIO()
    log = AccessLog(out, "text")
    log.write(record)
    log.close()
    assert out.getvalue().decode() == "502 POST /v1/chat/completions 12 ms · p/m · upstream_cut · req-1\n"
