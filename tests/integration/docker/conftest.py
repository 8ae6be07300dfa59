"""An engine for all tests here, and an app whose behaviour a test chooses, deployed by the program itself."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.docker.engine import RealEngine, why_not
from tests.integration.docker.project import Project


@pytest.fixture(scope="session")
def engine() -> Iterator[RealEngine]:
    """A real engine with a base image."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    # Not in pytest's own folder, which would keep a gigabyte for each of the last runs.
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as folder:
        engine = RealEngine(Path(folder))
        engine.start()
        try:
            engine.import_base()
            yield engine
        finally:
            engine.stop()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(kw_only=True)
class Deployment(Project):
    """One app and its environment `prod` on the engine."""

    engine: RealEngine
    service: str = 'env = { TOKEN = "env:TOKEN" }'
    docker_host: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, stdin: int | None = None, terminal: int | None = None) -> "subprocess.Popen[str]":
        """Start a command, with *terminal* on that."""
        return subprocess.Popen(
            [sys.executable, "-m", "shipway", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "DOCKER_HOST": self.docker_host or self.engine.docker_host,
                "TOKEN": "hush-hush",
                "SHIPWAY_API_KEYS": "sk-test",
                "NO_COLOR": "1",
                **self.environ,
            },
            stdin=stdin if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            text=True,
        )

    def shipway(self, *arguments: str, timeout_s: float = 110.0, stdin: str | None = None) -> Ended:
        """Run a command to its end."""
        process = self.start(*arguments, stdin=None if stdin is None else subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise AssertionError(f"{arguments} took too long:\n{stdout}\n{stderr}") from None
        return Ended(process.returncode, stdout, stderr)

    def deploy(self, behaviour: str = "good", version: int = 1) -> Ended:
        self.write(behaviour, version)
        return self.shipway("deploy", "prod")

    def get(self, path: str = "/work") -> tuple[int, str, str]:
        """Status, release and body of a request through the gateway."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.headers.get("x-shipway-release", ""), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("x-shipway-release", ""), error.read().decode()

    def container_names(self) -> list[str]:
        labels = {"dev.shipway.app": self.name}
        return [one.name for one in self.engine.client.containers(labels) if one.is_running]


@pytest.fixture
def deployment(engine: RealEngine, tmp_path: Path) -> Iterator[Deployment]:
    """An app that is not deployed yet; everything of it is removed afterwards."""
    with _deployment(engine, tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def module_deployment(engine: RealEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The same for all tests of a file that only look."""
    with _deployment(engine, tmp_path_factory.mktemp("deployment")) as one:
        yield one


@contextmanager
def _deployment(engine: RealEngine, folder: Path) -> Iterator[Deployment]:
    port, admin_port = free_ports(2)
    folder /= "project"
    folder.mkdir()
    one = Deployment(folder, f"app{port}", port, admin_port, engine=engine)
    one.write()
    yield one
    if engine.process is not None:
        with suppress(AssertionError):
            one.shipway("destroy", "prod", "--yes")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


Deploy = Callable[..., Ended]
