"""Runs `shipway up` as a person would, in a process of its own, and reads what it says: for end-to-end tests.

    with running_app(Path("examples/simple_api")) as app:
        client = openai.OpenAI(base_url=f"{app.url}/v1", api_key=app.key)

Works for any app folder, so an app can be tested behind its gateway and with its real models.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Entry = Mapping[str, Any]


class AppNotUpError(Exception):
    """`shipway up` ended, or did not become ready in time. The message holds what it printed last."""


class RunningApp:
    """One run of `shipway up`. All methods may be called from any thread.

    Attributes:
        process: The process of `shipway up`.
        url: The gateway's address, without a slash at the end.
        admin_url: The admin listener's address.
    """

    def __init__(self, process: "subprocess.Popen[str]", port: int, admin_port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self._entries: list[Entry] = []
        self._news = threading.Condition()
        self._readers = {
            threading.Thread(target=self._read, args=(stream,), daemon=True): stream
            for stream in (process.stdout, process.stderr)
            if stream is not None
        }
        for reader in self._readers:
            reader.start()

    @property
    def key(self) -> str:
        """The development API key; once the app is ready."""
        return Path(self.wait_for("ready")["key_file"]).read_text(encoding="utf-8").strip()

    @property
    def authorization(self) -> dict[str, str]:
        """The header that a call needs."""
        return {"authorization": f"Bearer {self.key}"}

    def entries(self) -> list[Entry]:
        """Return all that was printed so far: JSON lines as they are, other lines as `{"line": …}`."""
        with self._news:
            return list(self._entries)

    def lines(self, source: str) -> list[str]:
        """Return the lines that a child wrote so far."""
        return [entry["line"] for entry in self.entries() if entry.get("source") == source and "line" in entry]

    def wait_for(self, event: str, timeout_s: float = 60.0, *, after: int = 0, **fields: object) -> Entry:
        """Wait until `up` reports *event* with these *fields*, and return it.

        Args:
            after: How many entries to pass over: `len(app.entries())` before an act waits for what follows the act.

        Raises:
            AppNotUpError: `up` ended without reporting it, or the time is over.
        """
        deadline_s = time.monotonic() + timeout_s
        wanted = {"event": event, **fields}
        with self._news:
            while True:
                for entry in self._entries[after:]:
                    if wanted.items() <= entry.items():
                        return entry
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or (self.process.poll() is not None and not any(r.is_alive() for r in self._readers)):
                    raise AppNotUpError(
                        f"no {wanted} within {timeout_s} s; status {self.process.poll()}:\n{self.tail()}"
                    )
                self._news.wait(min(left_s, 0.2))

    def tail(self, count: int = 30) -> str:
        """Return the last lines for an error message."""
        return "\n".join(entry.get("line") or json.dumps(entry) for entry in self._entries[-count:])

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to `shipway up`, as Ctrl-C does."""
        self.process.send_signal(number)

    def end(self) -> None:
        """End it if it still runs: Ctrl-C, once more if that was not enough, and at last without asking."""
        for number, patience_s in ((signal.SIGINT, 45.0), (signal.SIGINT, 10.0), (signal.SIGKILL, 10.0)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience_s)
                except subprocess.TimeoutExpired:
                    pass
        for reader, stream in self._readers.items():
            reader.join(5)
            if not reader.is_alive():  # else a process that outlived `up` still holds the pipe
                stream.close()

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for the end and return the exit status.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        status = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(5)
        return status

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            entry = _parsed(line.rstrip("\n"))
            with self._news:
                self._entries.append(entry)
                self._news.notify_all()


@contextmanager
def running_app(
    folder: Path,
    *options: str,
    environ: Mapping[str, str] | None = None,
    ready_timeout_s: float = 90.0,
) -> Iterator[RunningApp]:
    """Run the app in *folder* on free ports until the block is left; yields it when it is ready.

    Args:
        options: More options of `shipway up`.
        environ: Added to this process's environment.

    Raises:
        AppNotUpError: It did not become ready. Nothing runs any more then.
    """
    port, admin_port = free_ports(2)
    command = up_command(folder, "--port", str(port), "--admin-port", str(admin_port), "--log-format", "json", *options)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
        start_new_session=True,  # Ctrl-C in the terminal of the tests goes to the tests, which then end this
    )
    app = RunningApp(process, port, admin_port)
    try:
        app.wait_for("ready", ready_timeout_s)
        yield app
    finally:
        app.end()


def up_command(folder: Path, *options: str) -> Sequence[str]:
    """Return the command line of `shipway up` with this Python."""
    return (sys.executable, "-m", "shipway", "up", str(folder), *options)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now. They are not held: somebody else may be faster."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _parsed(line: str) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError:
        return {"line": line}
    return entry if isinstance(entry, dict) else {"line": line}
