"""Processes under measurement: started on a core of their own, read from /proc, and stopped while others have their turn."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.traffic import BODY, request

START_S = 90.0
"""LiteLLM takes half a minute to start on one core."""


@dataclass(frozen=True)
class Cpu:
    """Processor time of a process and all below it, in nanoseconds."""

    run_ns: int
    waited_ns: int
    """Ready to run while something else had the core: how noisy the machine was."""

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.run_ns - before.run_ns, self.waited_ns - before.waited_ns)


class Running:
    """A started process with its children."""

    def __init__(
        self, command: Sequence[str], *, cores: str, folder: Path, environ: dict[str, str] | None = None
    ) -> None:
        self._output = (folder / "output.log").open("ab")
        self._process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            process_group=0,  # not a session: Linux shares processors out by session, and all here are to be equals
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def cpu(self) -> Cpu:
        """Of all threads, as /proc/PID/schedstat alone tells of the first thread only."""
        totals = [0, 0]
        for pid in self._tree():
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                run_ns, waited_ns, _ = thread.read_text().split()
                totals[0] += int(run_ns)
                totals[1] += int(waited_ns)
        return Cpu(*totals)

    def resident_mib(self) -> float:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._tree())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def pause(self) -> None:
        """Take the process off its core: what it does in the background must not disturb the next one's turn."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._output.close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)  # the group this process was started as the leader of
        except ProcessLookupError:
            pass

    def _tree(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found


def raise_priority(nice: int) -> None:
    """Set the priority of this process and all it will start, beside others on the machine. Raises: PermissionError."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    session = Path("/proc/self/autogroup")
    if (
        session.exists()
    ):  # where sessions share the processors, a process's own priority counts inside its session alone
        session.write_text(str(nice))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answering(process: Running, port: int, body: str = BODY) -> None:
    """Return once a call is answered with 200. Raises: RuntimeError when the process ends or START_S pass first."""
    deadline_s = time.monotonic() + START_S
    answer = b"nothing"
    while process.alive and time.monotonic() < deadline_s:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.settimeout(10)
                connection.sendall(request(body))
                answer = connection.recv(65536)
        except OSError:
            pass
        if answer.startswith(b"HTTP/1.1 200"):
            return
        time.sleep(0.2)
    raise RuntimeError(f"no answer with status 200 on port {port}; last was {answer[:300]!r}")
