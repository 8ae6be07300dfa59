"""How `shipway up` ends: in order when asked once, at once when asked twice, and always completely."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest

from shipway.testing.running_app import RunningApp, free_ports, running_app, up_command
from tests.integration.processes import Mark

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # a busy machine makes the model very slow


class Download(threading.Thread):
    """Reads an answer in the background; `begun` is set with its first part."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.begun = threading.Event()
        self.text = ""
        self.error: httpx.HTTPError | None = None

    def run(self) -> None:
        try:
            with httpx.stream("GET", self._url, timeout=30) as answer:
                for part in answer.iter_text():
                    self.text += part
                    self.begun.set()
        except httpx.HTTPError as error:
            self.error = error


def begun_download(app: RunningApp, path: str) -> Download:
    download = Download(f"{app.url}{path}")
    download.start()
    assert download.begun.wait(10)
    return download


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_running_stream_is_drained_to_its_end(small_app: Path, mark: Mark, number: signal.Signals) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        download = begun_download(app, "/first/slow")
        app.interrupt(number)
        download.join(15)
        assert (download.error, download.text.splitlines()[-1]) == (None, "end")
        assert app.wait(20) == 0
    assert mark.processes() == []


def test_stream_of_the_model_is_drained_to_its_end(example: Callable[[str], Path], mark: Mark) -> None:
    folder = example("simple_api")
    with (folder / "shipway.toml").open("a") as file:
        file.write('[gateway]\ndrain = "120s"\n')
    with running_app(folder, environ=mark.environ) as app:
        client = openai.OpenAI(base_url=f"{app.url}/v1", api_key=app.key, max_retries=0, timeout=120)
        stream = client.chat.completions.create(
            model="chat",
            messages=[{"role": "user", "content": "Tell a long story about a lighthouse."}],
            max_tokens=60,
            temperature=0,
            stream=True,
        )
        chunks = [next(stream)]
        app.interrupt()
        chunks += stream
        assert len(chunks) > 40  # Ctrl-C came after the first
        assert chunks[-1].choices[0].finish_reason in ("length", "stop")
        assert app.wait(20) == 0


def test_new_requests_are_refused_while_draining(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        download = begun_download(app, "/first/slow")
        app.interrupt()
        app.wait_for("stopping", 5)
        time.sleep(0.5)
        try:
            status = httpx.get(f"{app.url}/first", timeout=5).status_code
        except httpx.TransportError:
            status = 503
        assert status == 503
        download.join(15)
        assert download.text.endswith("end\n")
        assert app.wait(20) == 0


def test_second_ctrl_c_ends_at_once_with_its_own_status(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        begun_download(app, "/first/endless")
        app.interrupt()
        app.wait_for("stopping", 5)
        time.sleep(0.3)
        started_s = time.monotonic()
        app.interrupt()
        assert app.wait(10) == 130
        assert time.monotonic() - started_s < 3
    assert mark.left_after(1) == []


def test_endless_stream_ends_with_the_drain_budget(small_app: Path, mark: Mark) -> None:
    text = (small_app / "shipway.toml").read_text()
    (small_app / "shipway.toml").write_text(text.replace('drain = "10s"', 'drain = "1s"') + '[gateway]\ndrain = "1s"\n')
    with running_app(small_app, environ=mark.environ) as app:
        download = begun_download(app, "/first/endless")
        app.interrupt()
        started_s = time.monotonic()
        assert app.wait(30) == 0
        assert time.monotonic() - started_s < 10
        download.join(5)
        assert download.error is not None  # cut, and the client can tell


def test_ctrl_c_during_the_start_ends_in_order_too(example: Callable[[str], Path], mark: Mark) -> None:
    port, admin_port = free_ports(2)
    command = up_command(example("simple_api"), "--port", str(port), "--admin-port", str(admin_port))
    environ = {**os.environ, **mark.environ}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, start_new_session=True) as process:
        assert process.stdout is not None
        assert "waiting for the models" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert "is up at" not in rest
    assert mark.left_after(1) == []
