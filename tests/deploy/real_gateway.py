"""The real gateway in a process of its own, and services behind it that are threads of the test."""

import json
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
KEY = "sk-test-key-1"


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


class Model:
    """Speaks OpenAI's API; each answer is reported to have *output_tokens*."""

    def __init__(self, output_tokens: int) -> None:
        usage = {"prompt_tokens": 100, "completion_tokens": output_tokens}
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        body = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                self.wfile.write(head.encode() + body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
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
            env={**os.environ, "SHIPWAY_ADMIN_TOKEN": TOKEN, "SHIPWAY_API_KEYS": KEY},
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

    def chat(self, session: str) -> tuple[str, str | None]:
        """Ask the model `chat`. Returns: the answer's request id and release, where there are several."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "hi"}]})
            connection.request("POST", "/v1/chat/completions", body, {"x-session-id": session, "x-api-key": KEY})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            response.read()
            return response.headers["x-request-id"], response.headers.get("x-shipway-release")
        finally:
            connection.close()

    def label(self, request_id: str, release: str, label: str) -> bool:
        """Whether it was counted."""
        connection = HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            body = json.dumps({"request_id": request_id, "release": release, "label": label})
            connection.request("POST", "/v1/labels", body, {"authorization": f"Bearer {TOKEN}"})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            return bool(json.loads(response.read())["counted"])
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
