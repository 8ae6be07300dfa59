"""The gateway under soak: its app file, which changes while it runs, its start, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gateway.processes import Running, free_port
from benchmarks.soak.upstream import KINDS

KEYS = tuple(f"sk-soak-{at:04d}" for at in range(400))
ADMIN_TOKEN = "admin-soak"  # noqa: S105 - made up, for a gateway of our own
_START_S = 30.0


@dataclass(frozen=True)
class Sample:
    """What the gateway holds while no request is under way.

    Attributes:
        at_s: Since the soak began.
        resident_kib: Memory in RAM.
        files: Open file descriptors.
        in_flight: Requests that it believes it is answering.
        clients: Connections of clients that it believes are open.
        upstreams: Connections to upstreams: kept ones, within the bounds of their pools.
    """

    at_s: float
    resident_kib: int
    files: int
    in_flight: int
    clients: int
    upstreams: int


def app_file(upstream_port: int, reloads: int) -> str:
    """The app file after so many changes: limits, weights and a route differ from one to the next."""
    address = f"http://127.0.0.1:{upstream_port}"
    lines = ['name = "soak"']
    for name in KINDS:
        lines += [f"[providers.{name}]", 'kind = "openai"', f'base_url = "{address}/{name}/v1"']
        lines += [f"[models.{name}]", f'upstreams = ["{name}/m"]']
    lines += ["[models.mended]", 'upstreams = ["ill/m2", "reset/m2", "good/m2"]']
    lines += ["[services.web]", f'url = "{address}"', 'routes = ["/", { path = "/open", public = true }]']
    lines += ["[services.split]", 'routes = ["/split"]']
    lines += [f'releases.v{at} = {{ url = "{address}", weight = {1 + (reloads + at) % 3} }}' for at in (1, 2)]
    lines += ["[limits.default]", f'requests = "{1_000_000 + reloads % 7}/s"']
    lines += ["[gateway]", 'max_body = "8MiB"', f'max_header = "{16 + reloads % 5}KiB"', 'drain = "2s"']
    lines += ["[gateway.timeouts]", 'first_byte = "1s"', 'first_token = "1s"', 'idle = "1s"', 'total = "6s"']
    lines += ['header = "400ms"', 'body = "400ms"', 'keep_alive = "3s"', 'heartbeat = "150ms"', ""]
    return "\n".join(lines)


class Gateway:
    """One gateway process, and the little its driver wants of its admin listener."""

    def __init__(self, folder: Path, upstream_port: int, cores: str, *, gives_back: bool) -> None:
        self._folder = folder
        self._upstream_port = upstream_port
        self.reloads = 0
        self.write_app_file()
        self.port, self._admin_port = free_port(), free_port()
        environ = {"SHIPWAY_API_KEYS": ",".join(KEYS), "SHIPWAY_ADMIN_TOKEN": ADMIN_TOKEN}
        if gives_back:  # glibc's; elsewhere they mean nothing
            environ |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
        command = [sys.executable, "-m", "shipway", "gateway", str(folder)]
        command += ["--port", str(self.port), "--admin-port", str(self._admin_port)]
        self._running = Running(command, cores=cores, folder=folder, environ=environ)

    def write_app_file(self, *, broken: bool = False) -> None:
        text = app_file(self._upstream_port, self.reloads)
        (self._folder / "shipway.toml").write_text(text + "[models.broken]\n" * broken)

    @property
    def alive(self) -> bool:
        return self._running.alive

    def stop(self) -> None:
        self._running.stop()

    def log_tail(self, size: int = 2000) -> str:
        return (self._folder / "output.log").read_bytes()[-size:].decode(errors="replace")

    def tracebacks(self) -> int:
        """How often it failed by a mistake of its own."""
        return (self._folder / "output.log").read_bytes().count(b"Traceback (most recent call last)")

    async def until_answering(self) -> None:
        """Raises: RuntimeError, when it ends or does not answer in time."""
        for _ in range(int(_START_S / 0.1)):
            try:
                if await self.admin("GET", "/readyz") == 200:
                    return
            except OSError:
                pass
            if not self.alive:
                break
            await asyncio.sleep(0.1)
        raise RuntimeError(f"the gateway does not answer:\n{self.log_tail()}")

    async def admin(self, method: str, path: str, body: str = "") -> int:
        """The status of one call of the admin API."""
        return (await self._ask_admin(method, path, body))[0]

    async def look(self, at_s: float) -> Sample:
        """A sample, from the system and from the gateway's own metrics."""
        _, metrics = await self._ask_admin("GET", "/metrics", "")

        def value(pattern: str) -> int:
            found = re.search(rf"^{pattern} ([0-9.e+]+)$", metrics, re.MULTILINE)
            return -1 if found is None else int(float(found[1]))

        return Sample(
            at_s,
            int(self._running.resident_mib() * 1024),
            len(os.listdir(f"/proc/{self._running.pid}/fd")),
            value("shipway_requests_in_flight"),
            value('shipway_connections_open{side="client"}'),
            value('shipway_connections_open{side="upstream"}'),
        )

    async def _ask_admin(self, method: str, path: str, body: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._admin_port)
        try:
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            answer = (await asyncio.wait_for(reader.read(), 10)).decode()
        finally:
            writer.close()
        head, _, rest = answer.partition("\r\n\r\n")
        return int(head.split(" ")[1]), rest
