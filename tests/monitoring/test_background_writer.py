"""Pieces that are written by a thread: a reader that is slow or gone cannot stop whoever has something to say."""

from __future__ import annotations

import os
import threading
import time

from shipway.monitoring.background_writer import BackgroundWriter

PIECE = b"x" * 400 + b"\n"


def test_blocked_reader_stops_nobody_and_what_is_lost_is_counted() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as out:
        log = BackgroundWriter(out, max_waiting=1000)
        for _ in range(1000):
            log.put(PIECE)
        time.sleep(0.3)  # the thread is now stuck inside write
        began_s = time.monotonic()
        for _ in range(3000):
            log.put(PIECE)
        assert time.monotonic() - began_s < 1
        assert log.dropped == 2000
        threading.Thread(target=_read_all, args=(reader,), daemon=True).start()
        log.close()
        assert log.dropped == 2000


def _read_all(reader: int) -> None:
    while os.read(reader, 65536):
        pass
    os.close(reader)


def test_pieces_that_nobody_can_read_are_counted() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as out:
        log = BackgroundWriter(out)
        for _ in range(3):
            log.put(PIECE)
        log.close()
    assert log.dropped == 3


def test_pipe_that_does_not_wait_gets_every_piece_once() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read_slowly() -> None:
        while data := os.read(reader, 30_000):
            received.extend(data)
            time.sleep(0.01)

    pieces = [b"%d %b" % (number, PIECE[-200:]) for number in range(2000)]
    thread = threading.Thread(target=read_slowly)
    with open(writer, "wb", buffering=0) as out:
        log = BackgroundWriter(out)
        for piece in pieces:
            log.put(piece)
        thread.start()
        time.sleep(1.0)
        log.close()
    thread.join()
    os.close(reader)
    assert bytes(received) == b"".join(pieces)
