"""Packages from an index that asks for a password, which is nowhere afterwards."""

import base64
import hashlib
import io
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.integration.docker.conftest import Deployment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PASSWORD = "a-password-that-is-nowhere"
WHEEL = "private_thing-1.0-py3-none-any.whl"


def _wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("private_thing.py", "VALUE = 42\n")
        about = "private_thing-1.0.dist-info"
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: private-thing\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"private_thing.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return buffer.getvalue()


@pytest.fixture
def index() -> Iterator[str]:
    """The address, without a password, of an index with one package."""
    wheel = _wheel()
    page = f'<a href="{WHEEL}#sha256={hashlib.sha256(wheel).hexdigest()}">{WHEEL}</a>'.encode()
    wanted = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/simple/private-thing/": page, f"/simple/private-thing/{WHEEL}": wheel}.get(self.path)
            let_in = self.headers.get("authorization") == wanted
            self.send_response(401 if not let_in else 404 if known is None else 200)
            self.send_header("content-type", "application/octet-stream" if known is wheel else "text/html")
            self.end_headers()
            self.wfile.write(known if let_in and known is not None else b"")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


def test_packages_come_from_it_and_its_password_is_nowhere(deployment: Deployment, index: str) -> None:
    deployment.build = 'pip_config = "env:PIP_CONFIG"'
    deployment.write()
    (deployment.folder / "requirements.txt").write_text("private-thing==1.0\n")
    deployment.environ["PIP_CONFIG"] = _configuration(index, "another-password")
    failed = deployment.shipway("deploy", "prod")
    assert failed.code == 1
    assert f"the packages of {deployment.name}/api could not be fetched" in failed.stderr
    assert "another-password" not in failed.stderr
    deployment.environ["PIP_CONFIG"] = _configuration(index, PASSWORD)
    done = deployment.shipway("deploy", "prod")
    assert done.code == 0, done.stderr
    inside = deployment.shipway(
        "exec", "prod", "api", "--", "python", "-c", "import private_thing as p; print(p.VALUE)"
    )
    assert inside.stdout == "42\n"
    found = subprocess.run(
        ["grep", "-rlF", PASSWORD, str(deployment.engine.folder / "data")], capture_output=True, text=True
    )
    assert (found.stdout, found.returncode) == ("", 1)
    assert PASSWORD not in done.stderr + done.stdout


def _configuration(index: str, password: str) -> str:
    # Beside the index of the base image, where everything else is.
    return f"[global]\nextra-index-url = http://ann:{password}@{index}\ntrusted-host = 127.0.0.1\n"
