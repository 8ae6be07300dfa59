"""The real gateway in a process of its own, and services behind it that are threads of the test."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from shipway.deploy.front import as_toml, front_table
from shipway.deploy.gateway_admin import AdminAddress, GatewayAdmin
from shipway.deploy.releases import Release
from shipway.secret import Secret
from shipway.spec.objectives import Objectives

TOKEN = "admin-test-token-1"


class Service:
    """Answers with its name; `status`, `slow_s` and `breaks_off` say how."""

    def __init__(self, name: str, status: Callable[[], int] = lambda: 200) -> None:
        self.status, self.slow_s, self.breaks_off = status, 0.0, False
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                time.sleep(service.slow_s)
                # In one write: the small second one would wait for the first's acknowledgement (Nagle).
                head = f"HTTP/1.1 {service.status()} x\r\ncontent-length: {len(name) + service.breaks_off}\r\n\r\n"
                self.close_connection = service.breaks_off
                self.wfile.write((head + name).encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.authority = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Gateway:
    """The process; `configure` it before `start`, and as often as wanted after."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "shipway.toml"
        self.front: list[Release] = []
        self.port, self.admin_port = free_port(), free_port()
        self._process: subprocess.Popen[str] | None = None

    @property
    def runs(self) -> bool:
        return self._process is not None

    def configure(self, front: list[Release]) -> None:
        """Have it serve *front*; at once when it runs."""
        self.front = front
        self.file.write_text(as_toml(front_table(front)))
        if self.runs:
            self.admin(lambda release: []).reload()

    def start(self) -> None:
        """Returns when it listens."""
        ports = ["--port", str(self.port), "--admin-port", str(self.admin_port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shipway", "gateway", str(self.file.parent), *ports],
            env={**os.environ, "SHIPWAY_ADMIN_TOKEN": TOKEN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        assert "the gateway listens on" in self._process.stderr.readline()

    def admin(
        self, endpoints: Callable[[int], list[str]], objectives: Objectives | None = None, token: str = TOKEN
    ) -> GatewayAdmin:
        address = AdminAddress("127.0.0.1", self.admin_port, Secret(token))
        return GatewayAdmin(lambda: address, lambda: self.front, endpoints, objectives or Objectives())

    def ask(self, session: str) -> tuple[int, str]:
        """Status and body of one request."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"x-session-id": session})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=10)
            self._process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
