"""Our end of the guardian (`guardian_process.py`): starting it, and telling it of each process group."""

import asyncio
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_POLL_S = 0.1
_SCRIPT = Path(__file__).with_name("guardian_process.py")


class Guardian:
    """The process that ends all groups it was told of, should this process be killed.

    A context manager: leaving it dismisses the guardian, so leave it only when no child is left.
    """

    def __init__(self, inherited_fds: tuple[int, ...] = ()) -> None:
        """*inherited_fds* stay open until the guardian is done: the run's lock, so that the next run waits for it."""
        self._inherited_fds = inherited_fds
        self._groups: set[int] = set()
        self._process = self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch(self, group: int) -> None:
        self._groups.add(group)
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """*group* is empty; its number may soon belong to a stranger."""
        self._groups.discard(group)
        self._tell(f"-{group}")

    async def stay(self) -> None:
        """Replace the guardian whenever somebody has killed it, until cancelled."""
        while True:
            await asyncio.sleep(_POLL_S)  # a lone look at a pid; what waits for an exit differs between systems
            if self._process.poll() is not None:
                self._replace()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever is still known (after an unexpected exception) is left to the guardian: no "bye" then.
        if not self._groups:
            self._tell("bye")
        self._close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101 - Popen was given a pipe
        return self._process.stdin

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            (sys.executable, "-I", "-S", str(_SCRIPT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=self._inherited_fds,
            start_new_session=True,
            bufsize=0,
        )

    def _close(self) -> None:
        self._input.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        # One write of a few bytes to a pipe is atomic and does not block.
        try:
            self._input.write(line.encode() + b"\n")
        except BrokenPipeError:  # somebody killed the guardian
            self._replace()

    def _replace(self) -> None:
        """Start another one, which learns all that is known."""
        self._close()
        self._process = self._start()
        for group in self._groups:
            self._input.write(f"+{group}\n".encode())
