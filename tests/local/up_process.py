"""Runs `shipway up` as a process of its own and follows what it prints."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipway.local.addresses import free_port
from shipway.local.run_lock import is_alive
from tests.waiting import wait_until

_MARKER = "UP_TEST_RUN"
"""An environment variable that everything inherits which one run starts, however far it goes away."""

_taken: set[int] = set()


class UpProcess:
    """`shipway up` on the folder *root*, its lines collected as they come. Use it in a `with` block."""

    def __init__(
        self, root: Path, *options: str, env: Mapping[str, str] | None = None, log_format: str = "json"
    ) -> None:
        self.port, self.admin_port = self._free_port(), self._free_port()
        ports = ("--port", str(self.port), "--admin-port", str(self.admin_port))
        self.process = subprocess.Popen(
            (sys.executable, "-m", "shipway", "up", str(root), *ports, "--log-format", log_format, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {}), _MARKER: str(self.port)},
            # As from a terminal, where Ctrl-C reaches the whole foreground group.
            process_group=0,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry.get("event") == kind]

    def lines_of(self, source: str) -> list[str]:
        return [entry["line"] for entry in self.entries if entry["source"] == source and "line" in entry]

    def wait_for(self, kind: str, count: int = 1, within_s: float = 60.0) -> dict[str, Any]:
        """Wait for the *count*-th event of *kind*."""
        deadline_s = time.monotonic() + within_s
        while len(self.events(kind)) < count:
            assert self.process.poll() is None, f"`shipway up` has ended:\n{self.output}"
            assert time.monotonic() < deadline_s, f"no {kind} within {within_s} s:\n{self.output}"
            time.sleep(0.02)
        return self.events(kind)[count - 1]

    def signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def end(self, within_s: float = 30.0) -> int:
        """Wait for the end; returns the exit status."""
        status = self.process.wait(within_s)
        self._reader.join(5)
        return status

    def stop(self, within_s: float = 30.0) -> int:
        self.signal(signal.SIGINT)
        return self.end(within_s)

    def descendants(self) -> dict[int, str]:
        """Pid → command of this process and all that runs because of it, also what has lost its parent."""
        return processes_with(str(self.port))

    def __enter__(self) -> "UpProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        wait_until(lambda: not self.descendants(), 10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @staticmethod
    def _free_port() -> int:
        port = free_port(_taken)
        _taken.add(port)
        return port


def processes_with(marker: str) -> dict[int, str]:
    """Living processes that inherited *marker*."""
    found = {}
    wanted = f"{_MARKER}={marker}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # ended, or not ours
            continue
        if wanted in environment and is_alive(int(entry.name)):
            found[int(entry.name)] = command
    return found
