"""The app that is deployed, the commands that do it, and who calls it meanwhile."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.docker.engine import BASE_IMAGE
from tests.integration.docker.project import Project

ROOT = Path(__file__).parents[2]

STRATEGIES = {
    "rolling": '{ strategy = "rolling", steps = ["25%", "50%"], watch = "1s" }',
    "blue_green": '{ strategy = "blue_green", watch = "1s" }',
    "canary": '{ strategy = "canary", steps = ["20%", "50%"], min_time = "2s", min_requests = 50, deadline = "120s", '
    'watch = "1s" }',
}


@dataclass
class Scene:
    """One app in one environment."""

    project: Project
    docker_host: str

    @classmethod
    def in_folder(cls, folder: Path, docker_host: str) -> "Scene":
        return cls(Project(folder, "bench", 18080, 18081, replicas=2, start_within="30s", drain="15s"), docker_host)

    @property
    def port(self) -> int:
        return self.project.port

    def write(self, strategy: str, *, version: int, behaviour: str = "good", base: str = BASE_IMAGE) -> None:
        self.project.rollout, self.project.base = STRATEGIES[strategy], base
        self.project.write(behaviour, version)

    def shipway(self, *arguments: str) -> tuple[int, float, str]:
        """Exit status, seconds and what was said."""
        began_s = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "shipway", *arguments],
            cwd=self.project.folder,
            env={**os.environ, "DOCKER_HOST": self.docker_host, "SHIPWAY_API_KEYS": "sk-bench", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=400,
        )
        return done.returncode, time.monotonic() - began_s, done.stdout + done.stderr

    @contextmanager
    def load(self, rate: float, streams: float) -> Iterator[dict[str, Any]]:
        """Traffic meanwhile; the mapping has the client's summary afterwards."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.deploy.load", str(self.port)),
                *("--rate", str(rate), "--streams", str(streams), "--seconds", "3600"),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        summary: dict[str, Any] = {}
        try:
            time.sleep(2)
            yield summary
            time.sleep(1)
        finally:
            process.terminate()
            stdout, _ = process.communicate(timeout=60)
            summary.update(json.loads(stdout))


class Watcher:
    """Asks some forty times a second which release answers, in a thread, until it is closed."""

    def __init__(self, port: int) -> None:
        self.answers: list[tuple[float, str]] = []
        self._url = f"http://127.0.0.1:{port}/work"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        number = 0
        while not self._ended.wait(0.02):
            number += 1
            request = urllib.request.Request(self._url, headers={"X-Session-Id": f"watch-{number}"})  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own address
                    self.answers.append((time.monotonic(), answer.headers.get("x-shipway-release", "")))
            except OSError:
                self.answers.append((time.monotonic(), "failed"))
