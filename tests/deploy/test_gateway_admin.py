"""A real gateway in a process of its own, seen and moved as a rollout does."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from shipway.deploy.counts import Arms, Tally
from shipway.deploy.front import as_toml, front_table
from shipway.deploy.gateway_admin import AdminAddress, GatewayAdmin, bucket, measures
from shipway.errors import TrafficError
from shipway.monitoring import metrics
from shipway.secret import Secret
from shipway.spec.objectives import Objectives, parse_within
from tests.deploy.records import release

TOKEN = "admin-test-token-1"


class Service:
    """Answers with its release; with 500 while it is ill; slowly while `slow_s` says so."""

    def __init__(self, name: str) -> None:
        self.status, self.slow_s = 200, 0.0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                time.sleep(service.slow_s)
                self.send_response(service.status)
                self.send_header("content-length", str(len(name)))
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.authority = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Gateway:
    """The process, in front of releases v3 and v4 of one service."""

    def __init__(self, folder: Path) -> None:
        self.services = {3: Service("v3"), 4: Service("v4")}
        api = {"app": "main:app", "public": True}
        self.releases = [
            release(number, {"services": {"api": api}}, {"api": f"http://{service.authority}"})
            for number, service in self.services.items()
        ]
        self.file = folder / "shipway.toml"
        self.file.write_text(as_toml(front_table(self.releases)))
        self.port, self.admin_port = _free_port(), _free_port()
        ports = ["--port", str(self.port), "--admin-port", str(self.admin_port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shipway", "gateway", str(folder), *ports],
            env={**os.environ, "SHIPWAY_ADMIN_TOKEN": TOKEN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        assert "the gateway listens on" in self._process.stderr.readline()

    def admin(self, token: str = TOKEN) -> GatewayAdmin:
        return GatewayAdmin(
            address=lambda: AdminAddress("127.0.0.1", self.admin_port, Secret(token)),
            front=lambda: self.releases,
            endpoints=lambda number: [self.services[number].authority],
            objectives=Objectives(latency=parse_within("95% under 120ms")),
        )

    def ask(self, session: str) -> str:
        request = Request(f"http://127.0.0.1:{self.port}/", headers={"x-session-id": session})
        with urlopen(request, timeout=10) as response:
            return str(response.read().decode())

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=10)
        for service in self.services.values():
            service.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    yield gateway
    gateway.close()


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.admin().shift({3: 1.0})
    return running


def test_traffic_moves_to_where_it_is_shifted(gateway: Gateway) -> None:
    admin = gateway.admin()
    assert admin.shares() == {3: 1.0}
    assert {gateway.ask(f"s{number}") for number in range(20)} == {"v3"}
    admin.shift({3: 0.5, 4: 0.5})
    assert admin.shares() == {3: 0.5, 4: 0.5}
    assert {gateway.ask(f"s{number}") for number in range(40)} == {"v3", "v4"}
    admin.shift({4: 1.0})
    assert admin.shares() == {4: 1.0}
    assert {gateway.ask(f"s{number}") for number in range(20)} == {"v4"}


def test_counts_are_what_both_releases_were_sent_since_the_last_look(gateway: Gateway) -> None:
    admin = gateway.admin()
    assert admin.counted(4, 3) == {}
    for number in range(5):
        gateway.ask(f"s{number}")
    admin.shift({4: 1.0})
    gateway.services[4].status = 500
    try:
        for number in range(3):
            with pytest.raises(OSError, match="500"):
                gateway.ask(f"s{number}")
    finally:
        gateway.services[4].status = 200
    counts = admin.counted(4, 3)
    assert counts["availability"] == Arms(Tally(0, 3), Tally(5, 0))
    assert (counts["latency"].canary.total, counts["latency"].baseline.total) == (3, 5)
    assert admin.counted(4, 3)["availability"] == Arms()


def test_what_is_under_way_is_seen_until_it_ends(gateway: Gateway) -> None:
    admin = gateway.admin()
    gateway.services[3].slow_s = 0.5
    try:
        asking = threading.Thread(target=gateway.ask, args=("s",))
        asking.start()
        deadline_s = time.monotonic() + 5
        while admin.in_flight(3) == 0 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert (admin.in_flight(3), admin.in_flight(4)) == (1, 0)
        asking.join()
        assert admin.in_flight(3) == 0
    finally:
        gateway.services[3].slow_s = 0.0


def test_a_new_configuration_is_taken_at_once_and_a_broken_one_refused(gateway: Gateway) -> None:
    gateway.admin().reload()
    text = gateway.file.read_text()
    gateway.file.write_text(text + "nonsense = 1\n")
    try:
        with pytest.raises(TrafficError, match='refused POST /v1/reload with status 422: unknown key "nonsense"'):
            gateway.admin().reload()
    finally:
        gateway.file.write_text(text)


def test_a_wrong_token_is_said(gateway: Gateway) -> None:
    with pytest.raises(TrafficError, match="the gateway refuses the admin token"):
        gateway.admin("another").shares()


def test_a_gateway_that_is_not_there_is_said() -> None:
    port = _free_port()
    admin = GatewayAdmin(
        lambda: AdminAddress("127.0.0.1", port, Secret("x")), lambda: [], lambda number: [], Objectives()
    )
    with pytest.raises(TrafficError, match=rf"admin API at 127.0.0.1:{port} does not answer: .*refused"):
        admin.shares()


def test_objectives_are_counted_in_all_that_is_shared() -> None:
    objectives = Objectives(first_token=parse_within("95% under 800ms"), latency=parse_within("90% under 2s"))
    found = [(one.objective, one.total.name) for one in measures(["services.api", "models.chat"], objectives)]
    assert found == [
        ("availability", "shipway_requests_total"),
        ("latency", "shipway_service_request_duration_seconds_count"),
        ("availability", "gen_ai_server_request_duration_seconds_count"),
        ("latency", "gen_ai_server_request_duration_seconds_count"),
        ("first_token", "gen_ai_server_time_to_first_token_seconds_count"),
    ]


@pytest.mark.parametrize(("under_s", "bound"), [(0.8, 0.75), (0.75, 0.75), (99.0, 10.0), (0.0001, 0.001)])
def test_a_bound_on_time_is_that_of_the_nearest_bucket_below(under_s: float, bound: float) -> None:
    assert bucket(metrics.FIRST_TOKEN, under_s) == bound


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
