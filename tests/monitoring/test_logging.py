"""The log of requests: lines that hold for any input, and a reader that cannot stop the requests."""

from __future__ import annotations

import io
import json
import os
import threading
import time

import pytest

from shipway.monitoring import logging as access_logging
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


def test_blocked_reader_stops_no_request_and_what_is_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_logging, "MAX_WAITING_LINES", 1000)
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as out:
        log = AccessLog(out, "json")
        record = AccessRecord(b"GET", b"/" * 100, b"req-1")
        for _ in range(1000):
            log.write(record)
        time.sleep(0.3)  # the thread is now stuck inside write
        began_s = time.monotonic()
        for _ in range(3000):
            log.write(record)
        assert time.monotonic() - began_s < 1
        assert log.dropped == 2000
        threading.Thread(target=_read_all, args=(reader,), daemon=True).start()
        log.close()
        assert log.dropped == 2000


def _read_all(reader: int) -> None:
    while os.read(reader, 65536):
        pass
    os.close(reader)


def test_lines_that_nobody_can_read_are_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as out:
        log = AccessLog(out, "json")
        for _ in range(3):
            log.write(AccessRecord(b"GET", b"/", b"req-1"))
        log.close()
    assert log.dropped == 3


def test_pipe_that_does_not_wait_gets_every_line_once() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read_slowly() -> None:
        while data := os.read(reader, 30_000):
            received.extend(data)
            time.sleep(0.01)

    thread = threading.Thread(target=read_slowly)
    with open(writer, "wb", buffering=0) as out:
        log = AccessLog(out, "json")
        for number in range(2000):
            log.write(AccessRecord(b"GET", b"/%d" % number, b"req-1"))
        thread.start()
        time.sleep(1.0)
        log.close()
    thread.join()
    os.close(reader)
    paths = [json.loads(line)["Attributes"]["url.path"] for line in received.splitlines()]
    assert paths == [f"/{number}" for number in range(2000)]
