"""The admin API against its own OpenAPI document: schemathesis asks what the document allows, and what it does not."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway_process import ADMIN_TOKEN, running_gateway

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

APP = """
name = "app"
[services.two]
routes = [{ path = "/", public = true }]
releases.v1 = { url = "http://127.0.0.1:1", weight = 3 }
releases.v2 = { url = "http://127.0.0.1:1", weight = 1 }
[models.chat]
releases.v1 = { upstreams = ["p/a"], weight = 1 }
releases.v2 = { upstreams = ["p/b"], weight = 1 }
[providers.p]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
[gateway]
drain = "1s"
"""

TARGETS = """
[parameters]
"path.target" = ["services.two", "models.chat", "services.three", "models", "\u00e4"]
"""


def test_every_answer_is_one_that_the_document_names(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(TARGETS)
    with running_gateway(tmp_path, APP) as gateway:
        run = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", f"{gateway.admin_url}/openapi.json"),
                *("--header", f"Authorization: Bearer {ADMIN_TOKEN}", "--checks", "all", "--max-examples", "300"),
                # A TRACE with a body is refused as the RFC wants it, before anybody asks whether TRACE is known.
                *("--exclude-checks", "unsupported_method"),
                *("--generation-deterministic", "--no-color", "--continue-on-failure"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
        assert httpx.get(f"{gateway.admin_url}/readyz").status_code == 200
