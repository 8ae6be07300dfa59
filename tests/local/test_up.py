"""`shipway up` as a whole, as a process, with the real gateway and small services. No model: that has its own test."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from shipway.local.addresses import address_of, listening_socket
from tests.local.conftest import gone
from tests.local.up_process import UpProcess
from tests.waiting import wait_until

pytestmark = pytest.mark.integration

ECHO = """
import asyncio, json, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"].endswith("/crash"):
        os._exit(9)
    await asyncio.sleep(float(scope["query_string"] or 0))
    shown = {name: os.environ.get(name) for name in os.environ if name.startswith(("SHIPWAY_", "OPENAI_", "MY_"))}
    body = json.dumps({"pid": os.getpid(), "port": os.environ["PORT"], "version": "v1", **shown}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
"""

SERVER = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an app: `write(toml, **{"web.py": source})`; returns its folder."""

    def write_files(toml: str, **files: str) -> Path:
        for name, content in {"shipway.toml": 'name = "shop"\n' + textwrap.dedent(toml), **files}.items():
            (tmp_path / name).write_text(content)
        return tmp_path

    return write_files


@pytest.fixture
def web(write: Write) -> Path:
    return write('[services.web]\napp = "web:app"\npublic = true\n', **{"web.py": ECHO})


def _get(up: UpProcess, path: str = "/") -> httpx.Response:
    return httpx.get(up.url + path, trust_env=False, timeout=30)


def _get_in_vain(up: UpProcess, path: str) -> None:
    with pytest.raises(httpx.HTTPError):
        _get(up, path)


def test_a_service_answers_through_the_gateway_and_all_ends_in_order(web: Path) -> None:
    with UpProcess(web) as up:
        ready = up.wait_for("ready")
        answer = _get(up).json()
        assert up.stop() == 0

        assert ready["address"] == up.url
        assert ready["key_file"] == str(web / ".shipway" / "dev-key")
        assert answer["SHIPWAY_SERVICE"] == "web"
        assert answer["SHIPWAY_ENVIRONMENT"] == "dev"
        assert answer["SHIPWAY_RELEASE"] == "dev"
        assert answer["OPENAI_BASE_URL"] == f"{up.url}/v1"
        assert answer["OPENAI_API_KEY"] == (web / ".shipway" / "dev-key").read_text().strip()
        assert "SHIPWAY_API_KEYS" not in answer
        assert [entry["event"] for entry in up.entries if "event" in entry][-2:] == ["stopping", "stopped"]
        assert up.descendants() == {}


def test_the_key_shows_in_no_command_line_and_in_no_json_line(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        _get(up)
        key = (web / ".shipway" / "dev-key").read_text().strip()
        commands = up.descendants().values()
        up.stop()

        assert len(commands) >= 3
        assert not any(key in command for command in commands)
        assert key not in up.output


def test_text_mode_prints_the_address_the_key_and_calls_to_paste(web: Path) -> None:
    with UpProcess(web, log_format="text") as up:
        wait_until(lambda: "# ask the service web" in up.output, 60)
        call = up.output[up.output.index("\ncurl ") :].split("\n\n")[0]
        done = subprocess.run(call, shell=True, capture_output=True, text=True, check=True)
        up.stop()

        assert f"shop is up at {up.url}" in up.lines
        assert '"version": "v1"' in done.stdout
        assert "\x1b" not in up.output


def test_a_service_finds_the_others_by_their_urls(write: Write) -> None:
    root = write(
        """
        [services.web]
        app = "web:app"
        public = true
        env = { MY_OWN = "x", MY_SECRET = "env:TOKEN" }
        [services.back-end]
        app = "web:app"
        routes = ["/back"]
        public = true
        replicas = 2
        [services.elsewhere]
        url = "http://127.0.0.1:9"
        routes = ["/elsewhere"]
        """,
        **{"web.py": ECHO},
    )
    with UpProcess(root, env={"TOKEN": "s3cret", "SHIPWAY_API_KEYS": "my-own-key"}) as up:
        ready = up.wait_for("ready")
        web = _get(up).json()
        backs = {_get(up, "/back").json()["pid"] for _ in range(20)}
        direct = {httpx.get(web["SHIPWAY_URL_BACK_END"], trust_env=False).json()["SHIPWAY_SERVICE"] for _ in range(5)}
        up.stop()

        assert web["MY_OWN"] == "x"
        assert web["MY_SECRET"] == "s3cret"
        assert web["SHIPWAY_URL_ELSEWHERE"] == "http://127.0.0.1:9" == ready["services"]["elsewhere"]
        assert "SHIPWAY_URL_WEB" not in web
        assert len(backs) == 2
        assert direct == {"back-end"}


def test_replicas_of_a_command_are_reached_by_one_address(write: Write) -> None:
    root = write(
        f"""
        [services.web]
        app = "web:app"
        public = true
        [services.worker]
        command = ["{sys.executable}", "server.py"]
        routes = ["/work"]
        public = true
        replicas = 2
        """,
        **{"web.py": ECHO, "server.py": SERVER},
    )
    with UpProcess(root) as up:
        up.wait_for("ready")
        through_gateway = {_get(up, "/work").text for _ in range(20)}
        url = _get(up).json()["SHIPWAY_URL_WORKER"]
        through_relay = {httpx.get(url, trust_env=False).text for _ in range(4)}
        up.stop()

        assert len(through_gateway) == 2
        assert through_relay == through_gateway
        assert sorted(up.lines_of("worker.1") + up.lines_of("worker.2")) == ["serving", "serving"]


def test_a_killed_service_comes_back(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        first = _get(up).json()["pid"]
        os.kill(first, signal.SIGKILL)
        restarting = up.wait_for("restarting")
        up.wait_for("restarted")
        second = _get(up).json()["pid"]
        assert up.stop() == 0

        assert restarting["message"] == "web was ended by SIGKILL; starting it again in 0.5 s"
        assert second != first


def test_a_killed_gateway_comes_back(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        (gateway,) = [pid for pid, command in up.descendants().items() if "shipway.gateway" in command]
        os.kill(gateway, signal.SIGKILL)
        up.wait_for("restarted")

        assert _get(up).status_code == 200
        assert up.stop() == 0


def test_running_requests_end_before_the_processes_do(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(_get(up, "/?2")))
        asking.start()
        time.sleep(0.7)
        assert up.stop() == 0
        asking.join()

        assert [answer.status_code for answer in answers] == [200]


def test_a_second_interrupt_ends_all_at_once(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        asking = threading.Thread(target=_get_in_vain, args=(up, "/?20"))
        asking.start()
        time.sleep(0.7)
        up.signal(signal.SIGINT)
        up.wait_for("stopping")
        time.sleep(0.3)
        assert up.process.poll() is None
        began_s = time.monotonic()
        up.signal(signal.SIGINT)

        assert up.end() == 130
        assert time.monotonic() - began_s < 3
        assert up.descendants() == {}
        asking.join()


def test_sigterm_drains_too(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        up.process.terminate()

        assert up.end() == 0


def test_an_interrupt_during_the_start_ends_in_order(write: Write) -> None:
    root = write('[services.web]\napp = "web:app"\n', **{"web.py": "import time; time.sleep(60)"})
    with UpProcess(root) as up:
        wait_until(lambda: any("services" in event["message"] for event in up.events("waiting")), 60)

        assert up.stop() == 0
        assert up.descendants() == {}


def test_a_service_that_exits_at_its_start_ends_up_with_1(write: Write) -> None:
    root = write('[services.web]\napp = "web:app"\n', **{"web.py": "print('loading')\nraise RuntimeError('no luck')"})
    with UpProcess(root) as up:
        assert up.end(60) == 1

        assert "web exited with status 1 before it was ready" in up.output
        assert "RuntimeError: no luck" in up.output
        assert up.events("ready") == []
        assert up.descendants() == {}


def test_a_service_that_never_gets_ready_ends_up_with_1(write: Write) -> None:
    root = write(
        f"""
        [services.web]
        command = ["{sys.executable}", "-c", "import time; time.sleep(60)"]
        health = {{ start = "1s" }}
        """
    )
    with UpProcess(root) as up:
        assert up.end(60) == 1

        assert "web was not ready within 1 s (nothing listens on 127.0.0.1:" in up.output


def test_no_orphan_survives_a_killed_parent(write: Write) -> None:
    command = f"sleep 300 & echo grandchild $!; exec {sys.executable} server.py"
    root = write(
        f"""
        [services.web]
        app = "web:app"
        [services.shell]
        command = ["sh", "-c", "{command}"]
        routes = ["/shell"]
        """,
        **{"web.py": ECHO, "server.py": SERVER},
    )
    with UpProcess(root) as up:
        up.wait_for("ready")
        before = up.descendants()
        up.process.kill()

        assert len(before) >= 6  # up itself, the guardian, gateway, web, server, sleep
        wait_until(lambda: all(map(gone, before)), 10)


def test_a_run_right_after_a_killed_one_starts(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        up.process.kill()
        with UpProcess(web) as again:
            again.wait_for("ready")
            assert again.stop() == 0


def test_a_taken_port_names_its_holder_before_anything_starts(web: Path) -> None:
    with listening_socket() as listener:
        port = address_of(listener).port
        with UpProcess(web, "--port", str(port)) as up:
            assert up.end() == 1

            assert f"port {port} is taken by process {os.getpid()} (" in up.output
            assert re.search(r"--port \d+", up.output)
            assert up.events("waiting") == []


def test_a_second_run_in_the_folder_is_told_who_runs(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        with UpProcess(web) as second:
            assert second.end() == 1
            assert f"`shipway up` runs here already: process {up.process.pid}" in second.output
        assert up.stop() == 0


def test_a_change_reloads_a_service_and_drops_no_request(web: Path) -> None:
    with UpProcess(web, "--reload") as up:
        up.wait_for("ready")
        time.sleep(0.5)  # until the watch is set
        statuses: list[int] = []
        versions: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            with httpx.Client(trust_env=False, timeout=30) as client:
                while not stop.is_set():
                    answer = client.get(up.url)
                    statuses.append(answer.status_code)
                    versions.append(answer.json()["version"] if answer.status_code == 200 else "")

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for number in range(2, 5):
            (web / "web.py").write_text(ECHO.replace("v1", f"v{number}"))
            up.wait_for("reloaded", number - 1)
            time.sleep(0.5)
        stop.set()
        for asker in askers:
            asker.join()
        assert up.stop() == 0

        assert set(statuses) == {200}
        assert versions[-1] == "v4"
        assert len(statuses) > 100


def test_a_broken_change_keeps_the_running_service(web: Path) -> None:
    with UpProcess(web, "--reload") as up:
        up.wait_for("ready")
        time.sleep(0.5)
        (web / "web.py").write_text("def app(:\n")
        failed = up.wait_for("reload-failed")

        assert "SyntaxError" in failed["message"]
        assert _get(up).json()["version"] == "v1"
        (web / "web.py").write_text(ECHO.replace("v1", "v2"))
        up.wait_for("reloaded")
        assert _get(up).json()["version"] == "v2"
        assert up.stop() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_ends_the_run_in_order_and_is_a_failure(web: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            (sys.executable, "-m", "shipway", "up", str(web), "--port", "18964", "--admin-port", "18965"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (
        1,
        "error: stopped, because nothing can be printed any more: No space left on device\n",
    )


def test_a_reader_that_leaves_ends_the_run_in_order(web: Path) -> None:
    with UpProcess(web) as up:
        up.wait_for("ready")
        assert up.stop() == 0
    command = f"{sys.executable} -m shipway up {web} --port {up.port} --admin-port {up.admin_port} | head -n 1"

    done = subprocess.run(
        ("bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"), capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "waiting for" in done.stdout
    assert up.descendants() == {}


def test_a_paused_terminal_holds_up_neither_the_children_nor_the_end(write: Write) -> None:
    flood = "import threading; threading.Thread(target=lambda: [print('x' * 100) for _ in range(10**9)], daemon=True).start()\n"
    root = write(f'[services.web]\ncommand = ["{sys.executable}", "server.py"]\n', **{"server.py": flood + SERVER})
    with UpProcess(root) as ports:
        ports.process.kill()
    command = (sys.executable, "-m", "shipway", "up", str(root), "--port", str(ports.port))
    with subprocess.Popen((*command, "--admin-port", str(ports.admin_port)), stdout=subprocess.PIPE) as up:
        wait_until(lambda: _answers(ports.url), 60)  # and nobody reads what is printed
        time.sleep(1)
        up.send_signal(signal.SIGINT)

        assert up.wait(10) == 0


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 401
    except httpx.HTTPError:
        return False
