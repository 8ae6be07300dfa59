"""Runs `shipway gateway` in a process of its own for as long as a block lasts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shipway.testing.running_app import free_ports

KEY = "sk-integration"
ADMIN_TOKEN = "admin-integration"


@dataclass(frozen=True)
class GatewayProcess:
    """Its addresses, without a slash at the end, and what it wrote."""

    url: str
    admin_url: str
    log: Path


@contextmanager
def running_gateway(folder: Path, app_file: str) -> Iterator[GatewayProcess]:
    """Serve *app_file*, written into *folder*, with `KEY` and `ADMIN_TOKEN`, on free ports."""
    (folder / "shipway.toml").write_text(app_file)
    port, admin_port = free_ports(2)
    log = folder / "gateway.log"
    command = [sys.executable, "-m", "shipway", "gateway", str(folder)]
    command += ["--port", str(port), "--admin-port", str(admin_port)]
    environ = {**os.environ, "SHIPWAY_API_KEYS": KEY, "SHIPWAY_ADMIN_TOKEN": ADMIN_TOKEN}
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environ) as process:
        gateway = GatewayProcess(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}", log)
        try:
            _wait_until_ready(process, gateway)
            yield gateway
        finally:
            process.terminate()
            process.wait(30)
    assert "Traceback" not in log.read_text()


def _wait_until_ready(process: "subprocess.Popen[bytes]", gateway: GatewayProcess) -> None:
    deadline_s = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            if httpx.get(f"{gateway.admin_url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the gateway is not ready:\n{gateway.log.read_text()}")
