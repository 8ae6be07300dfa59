"""This terminal, or what stands in its place, joined with a command that runs elsewhere."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipway.deploy.targets.operations import Session

_PIECE_BYTES = 65536


def attach(session: "Session", *, reads: bool, terminal: bool) -> int:
    """Pass input and output on until the command ends. Returns its exit status."""
    if reads:
        # A daemon: nothing can end a read from a terminal, and nobody waits for what comes after the command's end.
        threading.Thread(target=_pass_input, args=(session,), daemon=True).start()
    if not terminal:
        return _pass_output(session)
    with _raw_input(), _size_followed(session):
        return _pass_output(session)


def _pass_output(session: "Session") -> int:
    for number, piece in session.output():
        stream = sys.stderr if number == 2 else sys.stdout
        stream.buffer.write(piece)
        stream.flush()
    return session.status()


def _pass_input(session: "Session") -> None:
    try:
        while piece := os.read(sys.stdin.fileno(), _PIECE_BYTES):
            session.send(piece)
    except OSError:
        pass  # a terminal that is gone
    session.end_input()


@contextmanager
def _raw_input() -> Iterator[None]:
    """Keys go to the command as they are, Ctrl-C too; as before afterwards."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _size_followed(session: "Session") -> Iterator[None]:
    def tell(number: int = 0, frame: FrameType | None = None) -> None:
        columns, lines = os.get_terminal_size(sys.stdin.fileno())
        session.resize(lines, columns)

    before = signal.signal(signal.SIGWINCH, tell)
    tell()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
