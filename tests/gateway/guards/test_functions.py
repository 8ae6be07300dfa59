"""Guards by import string, and the threads that they run in."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from shipway.errors import GuardError
from shipway.gateway.guards import Check
from shipway.gateway.guards.functions import FunctionAsker, Threads, load_function
from shipway.testing.openai_server import FakeOpenAI
from tests.gateway.conftest import StartGateway
from tests.gateway.guards.conftest import guarded


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("app_guards", "broken_guards"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "app_guards.py").write_text(
        "class Rules:\n    def check(asked):\n        return {'verdict': 'allow'}\n"
    )
    (tmp_path / "broken_guards.py").write_text("1 / 0\n")
    return tmp_path


def test_a_function_is_found_beside_the_app_file(project: Path) -> None:
    assert load_function("g", "app_guards:Rules.check", project).__qualname__ == "Rules.check"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:check", "cannot import no_such_module:check: ModuleNotFoundError"),
        ("app_guards:nothing", "cannot import app_guards:nothing: AttributeError"),
        ("broken_guards:check", "cannot import broken_guards:check: ZeroDivisionError"),
        ("app_guards:__name__", "app_guards:__name__ is no function"),
    ],
)
def test_what_cannot_be_imported_is_an_error_at_the_start(project: Path, target: str, message: str) -> None:
    with pytest.raises(GuardError) as raised:
        load_function("g", target, project)
    assert str(raised.value).startswith(f"guards.g.call: {message}")


async def test_a_gateway_does_not_start_without_its_guard(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    with pytest.raises(GuardError):
        await start_gateway(guarded(fake.base_url, 'call = "tests.gateway.guards.hooks:not_a_function"'))


async def test_the_verdict_may_be_a_plain_dictionary(
    start_gateway: StartGateway, fake: FakeOpenAI, project: Path
) -> None:
    gateway = await start_gateway(guarded(fake.base_url, 'call = "app_guards:Rules.check"'))
    body = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
    assert (await gateway.http.post("/v1/chat/completions", json=body)).status_code == 200


def test_threads_are_made_as_needed_and_end() -> None:
    threads = Threads("t", 2)
    release, done = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        release.wait(5)
        done.release()

    def alive() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "t"]

    threads.run(work, 0)
    assert len(alive()) == 1
    threads.run(work, 1)
    threads.run(work, 2)
    assert [thread.daemon for thread in alive()] == [True, True]
    release.set()
    for _ in range(3):
        assert done.acquire(timeout=5)
    threads.close()
    for thread in alive():
        thread.join(5)
    assert alive() == []


async def test_a_late_answer_of_a_thread_disturbs_nobody() -> None:
    release = threading.Event()
    asker = FunctionAsker("g", lambda asked: release.wait(5), 1)
    freed = asyncio.Event()
    future = asker.ask(Check("g", "before", "m", "r", "", False, ()), freed.set)
    future.cancel()
    release.set()
    await asyncio.wait_for(freed.wait(), 5)
    asker.close()
