"""Child processes: what one is to be (`ChildSpec`) and one that runs (`Child`).

A child is started in a session of its own, so that Ctrl-C on the terminal reaches `shipway up` alone, which then orders
the end; and everything it starts in turn can be signalled with it.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from shipway.local.addresses import Address, address_of, listening_socket
from shipway.local.guardian_process import signal_group
from shipway.local.lines import LineSplitter
from shipway.local.probes import Probe

SOCKETS_VARIABLE = "SHIPWAY_INHERITED_SOCKETS"
READY_VARIABLE = "SHIPWAY_READY_FD"

_LAUNCHER = Path(__file__).with_name("launch.py")
_CHUNK_BYTES = 64 * 1024
_TAIL_LINES = 40
_PARTIAL_LINE_S = 0.5
"""A line without an end is shown after this: a prompt, a progress bar."""
_LEFTOVERS_S = 1.0
"""What a child started and left behind gets between SIGTERM and SIGKILL once the child itself is gone."""
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When a child counts as ready, and when as no longer healthy."""

    interval_s: float = 5.0
    timeout_s: float = 2.0
    start_s: float = 60.0
    failures: int = 3


@dataclass(frozen=True)
class ChildSpec:
    """A child process as a value.

    Attributes:
        name: What logs and messages call it.
        env: Its whole environment; may hold secrets.
        probe: Asked at `address`, or at an address of its own when the child gets `sockets`.
        sockets: Listening sockets to hand down. The child serves them all and tells when it is ready, so a successor
            can take over before it ends, and no connection is refused in between.
        drain_s: From SIGTERM to SIGKILL.
        noise: Lines that match are not shown.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    probe: Probe
    address: Address | None = None
    sockets: tuple[socket.socket, ...] = ()
    health: HealthPolicy = HealthPolicy()
    drain_s: float = 30.0
    noise: "re.Pattern[str] | None" = None


class Sink(Protocol):
    """Takes lines to show. Waits when they come faster than they can be shown."""

    async def line(self, source: str, stream: str, text: str) -> None: ...


class Watcher(Protocol):
    """Is told which process groups exist."""

    def watch(self, group: int) -> None: ...

    def forget(self, group: int) -> None: ...


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells of the process's exit at once. asyncio's `Process.wait()` also waits for the end of the pipes, which what
    the process started in turn may hold open for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(_CHUNK_BYTES, loop)
        self.exit: asyncio.Future[int] = loop.create_future()
        self._process: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - that of a subprocess's protocol
        self._process = transport
        super().connection_made(transport)

    def process_exited(self) -> None:
        if self._process is not None and not self.exit.done():
            self.exit.set_result(self._process.get_returncode() or 0)
        super().process_exited()


class Child:
    """A running child: its output goes to the sink line by line, its group to the guardian."""

    def __init__(
        self,
        spec: ChildSpec,
        transport: asyncio.SubprocessTransport,
        protocol: _Protocol,
        address: Address,
        guardian: Watcher,
        sink: Sink,
    ) -> None:
        self.spec = spec
        self.address = address
        """Where this process alone answers probes."""
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.said_ready = asyncio.Event()
        """Set when the child has told that it is ready; at once for one that does not tell."""
        self.last_failure: str | None = None
        """What the last probe before it was ready said."""
        self.asked_at_s: float | None = None
        """When the probe that still waits for its answer began, in the loop's time."""
        self.pid = transport.get_pid()
        self._transport = transport
        self._exit = protocol.exit
        self._guardian = guardian
        self._sink = sink
        self._ended: asyncio.Task[int] | None = None
        self._pumps = [
            asyncio.create_task(self._pump(stream, name))
            for stream, name in ((protocol.stdout, "stdout"), (protocol.stderr, "stderr"))
            if stream is not None
        ]

    @classmethod
    async def start(cls, spec: ChildSpec, guardian: Watcher, sink: Sink) -> Self:
        """Start the process; returns before it is ready.

        Raises:
            OSError: It could not be started (no such folder, too many processes).
        """
        loop = asyncio.get_running_loop()
        own = listening_socket() if spec.sockets else None
        told, tell = os.pipe() if spec.sockets else (-1, -1)
        inherited: list[int] = []
        env = dict(spec.env)
        if own is not None:
            inherited = [tell, *(one.fileno() for one in (*spec.sockets, own))]
            env |= {READY_VARIABLE: str(tell), SOCKETS_VARIABLE: ",".join(map(str, inherited[1:]))}
        try:
            transport, protocol = await loop.subprocess_exec(
                lambda: _Protocol(loop),
                *(sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *spec.argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=spec.cwd,
                env=env,
                pass_fds=inherited,
                start_new_session=True,
            )
        except BaseException:
            if told >= 0:
                os.close(told)
            raise
        finally:
            if tell >= 0:
                os.close(tell)
            address = spec.address if own is None else address_of(own)
            if own is not None:
                own.close()
        guardian.watch(transport.get_pid())
        assert address is not None, f"{spec.name} has neither sockets nor an address"  # noqa: S101
        child = cls(spec, transport, protocol, address, guardian, sink)
        child._listen_for_ready(told)
        return child

    async def ended(self) -> int:
        """Wait until the process, all that it started and left behind, and its output are gone.

        Returns:
            The exit status, negative for a signal.
        """
        if self._ended is None:
            self._ended = asyncio.create_task(self._clean_up())
        return await asyncio.shield(self._ended)

    async def stop(self, within_s: float) -> int:
        """SIGTERM to all of the group, SIGKILL after *within_s*. Returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.ended(), max(0.0, within_s))
        except TimeoutError:
            self.kill()
            return await self.ended()

    def kill(self) -> None:
        """SIGKILL to all of the group."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        if self._ended is None or not self._ended.done():
            signal_group(self.pid, number)

    def explain_end(self, status: int) -> str:
        if status >= 0:
            return f"exited with status {status}"
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"

    async def _clean_up(self) -> int:
        status = await self._exit
        if signal_group(self.pid, signal.SIGTERM):
            deadline_s = asyncio.get_running_loop().time() + _LEFTOVERS_S
            # Processes that are not our children: nothing tells when they end.
            while signal_group(self.pid, 0) and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
            signal_group(self.pid, signal.SIGKILL)
        self._guardian.forget(self.pid)
        # What left the group (a daemon) may hold the pipes for ever.
        _, late = await asyncio.wait(self._pumps, timeout=_LEFTOVERS_S)
        for pump in late:
            pump.cancel()
        self._transport.close()
        return status

    def _listen_for_ready(self, told: int) -> None:
        if told < 0:
            self.said_ready.set()
            return
        loop = asyncio.get_running_loop()

        def hear() -> None:
            loop.remove_reader(told)
            if os.read(told, 1):
                self.said_ready.set()
            os.close(told)

        loop.add_reader(told, hear)

    async def _pump(self, stream: asyncio.StreamReader, name: str) -> None:
        splitter = LineSplitter()
        while True:
            try:
                patience_s = _PARTIAL_LINE_S if splitter.has_partial else None
                chunk = await asyncio.wait_for(stream.read(_CHUNK_BYTES), patience_s)
            except TimeoutError:
                await self._show(splitter.flush(), name)
                continue
            if not chunk:
                break
            await self._show(splitter.feed(chunk), name)
        await self._show(splitter.flush(), name)

    async def _show(self, lines: Iterable[str], stream: str) -> None:
        for line in lines:
            if self.spec.noise is None or not self.spec.noise.search(line):
                self.tail.append(line)
                await self._sink.line(self.spec.name, stream, line)
