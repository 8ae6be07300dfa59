"""Finds the processes of one run by a mark in their environment, which every descendant inherits (Linux's /proc)."""

import os
import signal
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "END_TO_END_TEST_RUN"


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    command: str
    environ: dict[str, str]

    @property
    def service(self) -> str | None:
        """Which service it is a replica of."""
        return self.environ.get("SHIPWAY_SERVICE")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Mark:
    """Give `environ` to a run, and `processes()` are those that live of it."""

    value: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environ(self) -> dict[str, str]:
        return {VARIABLE: self.value}

    def processes(self) -> list[Process]:
        """All processes with the mark that are not zombies, oldest first."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environ = _pairs((folder / "environ").read_bytes())
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:  # ended meanwhile, or another user's
                continue
            if environ.get(VARIABLE) == self.value and command:
                found.append(Process(int(folder.name), command, environ))
        return sorted(found, key=lambda process: process.pid)

    def of_service(self, name: str) -> list[Process]:
        return [process for process in self.processes() if process.service == name]

    def of_module(self, module: str) -> list[Process]:
        return [process for process in self.processes() if f"-m {module} " in process.command]

    def left_after(self, timeout_s: float) -> list[Process]:
        """Wait until no process is left; those that are left in the end."""
        deadline_s = time.monotonic() + timeout_s
        while (left := self.processes()) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        return left


def _pairs(block: bytes) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in block.decode(errors="replace").split("\0") if "=" in entry)
    return {name: value for name, _, value in pairs}
