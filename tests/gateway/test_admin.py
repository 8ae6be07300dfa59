"""The admin API: its credentials, what it shows and changes, and the document that describes it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from shipway.gateway import configuration, weights_file
from shipway.gateway.admin_schema import openapi
from shipway.gateway.serve import GatewayServer, ServeOptions
from shipway.gateway.snapshot import AllottedAddresses
from shipway.spec.load import load_app
from tests.gateway.conftest import ADMIN, ADMIN_TOKEN, RunningGateway, StartGateway, raw_client, service_app

RELEASES = (
    'name = "app"\n[services.two]\nroutes = [{ path = "/", public = true }]\n'
    'releases.v1 = { url = "http://127.0.0.1:1", weight = 3 }\nreleases.v2 = { url = "http://127.0.0.1:1", weight = 1 }\n'
    '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
)
CLOSED = [
    ("GET", "/v1/snapshot"),
    ("POST", "/v1/reload"),
    ("GET", "/v1/upstreams"),
    ("GET", "/v1/weights"),
    ("POST", "/v1/labels"),
]


@pytest.fixture
async def gateway(start_gateway: StartGateway) -> RunningGateway:
    return await start_gateway(RELEASES)


async def put(gateway: RunningGateway, target: str, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await gateway.admin.put(f"/v1/weights/{target}", headers=ADMIN, content=content)


@pytest.mark.parametrize(
    "credential", [None, "Bearer", "Bearer wrong", f"Basic {ADMIN_TOKEN}", f"Bearer {ADMIN_TOKEN}x"]
)
async def test_everything_but_probes_and_metrics_wants_the_token(
    gateway: RunningGateway, credential: str | None
) -> None:
    headers = {} if credential is None else {"authorization": credential}
    for method, path in [*CLOSED, ("PUT", "/v1/weights/services.two")]:
        answer = await gateway.admin.request(method, path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert (await gateway.admin.get(path, headers=headers)).status_code == 200


async def test_without_a_token_in_the_environment_it_is_closed_to_all(tmp_path: Path) -> None:
    path = tmp_path / "shipway.toml"
    path.write_text(RELEASES)
    server = GatewayServer(load_app(path), {}, AllottedAddresses(), ServeOptions(port=0, admin_port=0))
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.admin_port}") as client:
        for method, at in CLOSED:
            assert (await client.request(method, at, headers={"authorization": "Bearer x"})).status_code == 403
    await server.drain()


async def test_it_shows_what_is_in_use(gateway: RunningGateway) -> None:
    snapshot = (await gateway.admin.get("/v1/snapshot", headers=ADMIN)).json()
    assert snapshot == {"version": 1, "app": "app", "environment": "dev", "services": ["two"], "models": []}
    upstreams = (await gateway.admin.get("/v1/upstreams", headers=ADMIN)).json()
    assert upstreams == {
        "upstreams": [{"address": "127.0.0.1:1", "breaker": "closed", "in_flight": 0, "healthy": True}]
    }
    weights = (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()
    assert weights == {"weights": {"services.two": {"v1": 0.75, "v2": 0.25}}}


async def test_live_weights_hold_at_once_and_after_a_restart(
    start_gateway: StartGateway, gateway: RunningGateway
) -> None:
    answer = await put(gateway, "services.two", {"v1": 0, "v2": 1})
    assert (answer.status_code, answer.json()) == (200, {"weights": {"v2": 1.0}})
    assert answer.headers["x-shipway-snapshot"] == "2"
    assert {(await gateway.http.get(f"/{n}")).headers["x-shipway-release"] for n in range(5)} == {"v2"}
    again = await start_gateway(RELEASES)
    assert (await again.admin.get("/v1/weights", headers=ADMIN)).json() == {"weights": {"services.two": {"v2": 1.0}}}
    assert (await put(again, "services.two", {"v1": 1, "v2": 1})).json() == {"weights": {"v1": 0.5, "v2": 0.5}}
    assert (await put(again, "services.two", {"v1": 9, "v2": 1})).json() == {"weights": {"v1": 0.9, "v2": 0.1}}


async def test_damaged_file_of_weights_does_not_stop_a_start(
    start_gateway: StartGateway, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "weights.json").write_bytes(b'{"format": 1, "ver')
    gateway = await start_gateway(RELEASES)
    assert (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"]["v1"] == 0.75
    assert "weights.json: no live weights are used: the file is damaged" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("target", "body", "status"),
    [
        ("services.two", {"v1": 1, "v3": 1}, 422),
        ("services.two", {"v1": -1}, 422),
        ("services.two", {"v1": 0, "v2": 0}, 422),
        ("services.two", {}, 422),
        ("services.none", {"v1": 1}, 404),
        ("services.two", {"v1": "1"}, 400),
        ("services.two", [], 400),
        ("services.two", b"", 400),
        ("services.two", b"\xff", 400),
        ("services.two", b'{"v1": NaN}', 400),
        ("services.two", b"[" * 200_000, 400),
        ("services.two", b'{"v1": 1' + b"0" * 400 + b"}", 400),
        ("services.two", b" " * 2_000_000, 413),
    ],
)
async def test_weights_that_cannot_be_change_nothing(
    gateway: RunningGateway, tmp_path: Path, target: str, body: Any, status: int
) -> None:
    assert (await put(gateway, target, body)).status_code == status
    assert (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"]["v1"] == 0.75
    assert not (tmp_path / "state" / "weights.json").exists()


async def test_weights_that_cannot_be_saved_are_507_and_change_nothing(gateway: RunningGateway, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    answer = await put(gateway, "services.two", {"v1": 0, "v2": 1})
    assert (answer.status_code, answer.json()["error"]) == (507, "not-saved")
    assert str(tmp_path) not in answer.text
    assert (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"]["v1"] == 0.75


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four pages where live weights are kept, with nothing left on it."""
    folder = tmp_path / "state"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here (needs root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.integration
async def test_full_disk_is_507_keeps_the_file_and_is_over_when_there_is_room(
    gateway: RunningGateway, tiny_disk: Path
) -> None:
    assert (await put(gateway, "services.two", {"v1": 1, "v2": 1})).status_code == 200
    saved = (tiny_disk / "weights.json").read_bytes()
    filler = tiny_disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    assert (await put(gateway, "services.two", {"v1": 1, "v2": 3})).status_code == 507
    assert (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"]["v1"] == 0.5
    assert set(os.listdir(tiny_disk)) == {"weights.json", "filler"}  # no draft is left
    assert (tiny_disk / "weights.json").read_bytes() == saved
    filler.unlink()
    assert (await put(gateway, "services.two", {"v1": 1, "v2": 3})).status_code == 200


async def test_change_whose_client_has_left_is_saved_and_in_use_or_neither(
    gateway: RunningGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_save(path: Path, weights: weights_file.LiveWeights) -> None:
        time.sleep(0.3)
        weights_file.save_weights(path, weights)

    monkeypatch.setattr(configuration, "save_weights", slow_save)
    async with raw_client(gateway.server.admin_port) as client:
        await client.send(
            f"PUT /v1/weights/services.two HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
            'Content-Length: 8\r\n\r\n{"v2":1}'
        )
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    assert (tmp_path / "state" / "weights.json").exists()
    assert (await gateway.admin.get("/v1/weights", headers=ADMIN)).json()["weights"]["services.two"] == {"v2": 1.0}


async def test_head_and_wrong_methods_are_answered_as_http_wants(gateway: RunningGateway) -> None:
    head = await gateway.admin.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")
    for method, path, allowed in [
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("GET", "/v1/reload", {"POST"}),
        ("DELETE", "/v1/weights/services.two", {"PUT"}),
    ]:
        answer = await gateway.admin.request(method, path, headers=ADMIN)
        assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, allowed)
        assert answer.json()["error"] == "method-not-allowed"
    assert (await gateway.admin.get("/nothing")).json() == {"error": "not-found", "message": "Not Found"}


async def test_its_document_describes_every_route_and_every_answer(gateway: RunningGateway) -> None:
    document = (await gateway.admin.get("/openapi.json")).json()
    assert document == openapi()
    await put(gateway, "services.two", {"v1": 1, "v2": 2})
    asked = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            for headers in ({}, ADMIN):
                answer = await gateway.admin.request(
                    method, path.replace("{target}", "services.two"), headers=headers, content=b'{"v1": 1}'
                )
                described = operation["responses"][str(answer.status_code)]["content"]
                media_type = answer.headers["content-type"].partition(";")[0]
                if media_type == "application/json":
                    jsonschema.validate(answer.json(), described[media_type]["schema"])
                assert media_type in described
                asked += 1
    assert asked == 2 * 10


async def test_token_is_in_no_log_error_or_metric(gateway: RunningGateway, capfd: pytest.CaptureFixture[str]) -> None:
    texts = [(await gateway.admin.request(method, path, headers=ADMIN)).text for method, path in CLOSED]
    texts.append(await gateway.metrics())
    await asyncio.sleep(0.2)
    texts += capfd.readouterr()
    assert [text for text in texts if ADMIN_TOKEN in text] == []


async def test_admin_answers_carry_a_request_id_too(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(service_app("http://127.0.0.1:1"))
    assert (await gateway.admin.get("/healthz")).headers["x-request-id"].startswith("req-")
    assert (await gateway.admin.get("/readyz", headers={"x-request-id": "mine"})).headers["x-request-id"] == "mine"
