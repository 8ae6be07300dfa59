"""All three services as `shipway up` runs them, with the real model."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shipway.testing.running_app import RunningApp, running_app

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = tmp_path_factory.mktemp("run") / "microservices"
    shutil.copytree(Path(__file__).parents[1], folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    with running_app(folder) as app:
        yield app


@pytest.fixture
def client(running: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers=running.authorization, timeout=120) as instance:
        yield instance


def asked(client: httpx.Client, question: str, **headers: str) -> tuple[httpx.Response, list[tuple[str, Any]]]:
    """Ask, and return the response and its events."""
    answer = client.post("/ask", json={"question": question}, headers=headers)
    assert answer.status_code == 200, answer.text
    pairs = [block.split("\n") for block in answer.text.removesuffix("\n\n").split("\n\n")]
    return answer, [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_question_is_answered_from_the_right_article(client: httpx.Client) -> None:
    answer, events = asked(client, "Who invented the QR code?")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[0][1]["passages"][0]["article"] == "qr-code"
    assert events[-1] == ("done", {})
    text = "".join(data["text"] for name, data in events if name == "text")
    assert "Denso Wave" in text
    assert len(events) > 8  # it came word by word


def test_gateways_request_id_reaches_every_service(running: RunningApp, client: httpx.Client) -> None:
    answer, _ = asked(client, "How does a zipper hold?", **{"x-request-id": "end-to-end-1"})
    request_id = answer.headers["x-request-id"]
    logged = {
        entry["source"].split(".")[0]
        for entry in running.entries()
        if f"request_id={request_id}" in entry.get("line", "")
    }
    assert logged == {"web", "retriever", "answerer"}


def test_services_behind_have_no_route_from_outside(client: httpx.Client) -> None:
    for path in ("/search?q=zipper", "/answer", "/retriever/search?q=zipper"):
        assert client.get(path).status_code == 404


def test_one_replica_that_dies_is_not_noticed(running: RunningApp, client: httpx.Client) -> None:
    os.kill(pid_of(running, "retriever.1"), signal.SIGKILL)
    for _ in range(3):
        assert asked(client, "What is a thermos flask?")[1][-1][0] == "done"


def pid_of(running: RunningApp, replica: str) -> int:
    """Return the process that serves *replica*: the first of its service, by the order in which they were started."""
    service = replica.partition(".")[0]
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environ = (folder / "environ").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == running.process.pid and f"SHIPWAY_SERVICE={service}".encode() in environ:
            pids.append(int(folder.name))
    return min(pids)
