"""HTTPS, and a port that only root may listen on."""

import shutil
import socket
import ssl
import subprocess
import urllib.request

import pytest

from tests.integration.docker.conftest import Deployment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def _certificate(deployment: Deployment) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", "tls.key", "-out", "tls.pem", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        cwd=deployment.folder,
        check=True,
        capture_output=True,
    )


def _shown(deployment: Deployment) -> str:
    return ssl.get_server_certificate(("127.0.0.1", deployment.port))


def _get(deployment: Deployment) -> tuple[int, str]:
    trusting = ssl.create_default_context(cafile=str(deployment.folder / "tls.pem"))
    with urllib.request.urlopen(f"https://localhost:{deployment.port}/work", context=trusting, timeout=10) as answer:
        return answer.status, answer.headers["x-shipway-release"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="not installed: openssl")
def test_https_and_a_renewed_certificate(deployment: Deployment) -> None:
    deployment.gateway = 'tls = { cert = "tls.pem", key = "tls.key" }'
    _certificate(deployment)
    first = deployment.deploy(version=1)
    assert first.code == 0, first.stderr
    assert _get(deployment) == (200, "v1")
    assert deployment.deploy(version=2).code == 0
    assert _get(deployment) == (200, "v2")
    before = deployment.container_names()
    old = _shown(deployment)
    _certificate(deployment)
    renewed = deployment.shipway("deploy", "prod")
    assert renewed.code == 0, renewed.stderr
    assert _get(deployment) == (200, "v2")
    assert _shown(deployment) != old
    assert deployment.container_names() == before  # a reload was enough
    again = deployment.shipway("deploy", "prod")
    assert again.stdout == "nothing to change: v2 serves in prod\n"
    back = deployment.shipway("rollback", "prod")
    assert back.code == 0, back.stderr
    assert (_get(deployment), _shown(deployment) != old) == ((200, "v1"), True)


def test_a_low_port(deployment: Deployment) -> None:
    deployment.port = _free_low_port()
    first = deployment.deploy(version=1)
    assert first.code == 0, first.stderr
    assert deployment.get()[:2] == (200, "v1")
    before = deployment.container_names()
    deployment.environ["SHIPWAY_API_KEYS"] = "sk-test,sk-more"  # another gateway takes over
    second = deployment.deploy(version=2)
    assert second.code == 0, second.stderr
    assert deployment.get()[:2] == (200, "v2")
    assert not {name for name in before if ".gateway." in name} & set(deployment.container_names())
    status = deployment.shipway("status", "prod")
    assert status.code == 0, status.stdout


def _free_low_port() -> int:
    for port in range(620, 1000):
        with socket.socket() as trial:
            try:
                trial.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")
