"""ASGI services: sockets that outlive processes, hand-over without a gap, and what an app that does not import says."""

import asyncio
import os
import socket
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from shipway.errors import StartError
from shipway.local.addresses import Address, address_of, listening_socket
from shipway.local.children import ChildSpec, HealthPolicy
from shipway.local.keeper import Keeper
from shipway.local.probes import AcceptsConnections, AnswersHttp
from tests.local.conftest import Groups, Reports, Run, gone
from tests.waiting import until

pytestmark = pytest.mark.integration

APP = """
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["query_string"] == b"until-told":
        while not os.path.exists("told"):
            await asyncio.sleep(0.05)
    else:
        await asyncio.sleep(float(scope["query_string"] or 0))
    body = f"VERSION {os.getpid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""

MakeService = Callable[..., ChildSpec]


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for one in opened:
        one.close()


@pytest.fixture
def make_service(tmp_path: Path, listeners: list[socket.socket]) -> MakeService:
    """Makes the spec of an ASGI service from its source, written to `web.py` in the test's folder."""

    def make(source: str = APP, *options: str, app: str = "web:app", health: str | None = None) -> ChildSpec:
        (tmp_path / "web.py").write_text(textwrap.dedent(source))
        listeners.append(listening_socket())
        return ChildSpec(
            name="web",
            argv=(sys.executable, "-P", "-m", "shipway.local.serve_asgi", app, *options),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            probe=AcceptsConnections() if health is None else AnswersHttp(health),
            address=address_of(listeners[-1]),
            sockets=(listeners[-1],),
            health=HealthPolicy(start_s=30),
            drain_s=10,
        )

    return make


def _url(spec: ChildSpec) -> str:
    assert isinstance(spec.address, Address)
    return spec.address.url


async def test_the_app_is_found_in_its_folder_and_answers_on_the_inherited_socket(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run
) -> None:
    spec = make_service()
    running = run(Keeper(spec, groups, reports))
    await running.ready()

    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(_url(spec))

    assert answer.text == f"VERSION {running.keeper.pids[0]}"


async def test_a_factory_is_called(make_service: MakeService, reports: Reports, groups: Groups, run: Run) -> None:
    spec = make_service(f"{APP}\ndef make():\n    return app\n", "--factory", app="web:make")
    await run(Keeper(spec, groups, reports)).ready()

    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(_url(spec))).status_code == 200


@pytest.mark.parametrize(
    ("source", "last_lines"),
    [
        (
            "import os\n\ndef broken():\n    import no_such_module\n\nbroken()\n",
            ["ModuleNotFoundError: No module named 'no_such_module'", "cannot import web:app"],
        ),
        ("app = (\n", ["SyntaxError: '(' was never closed", "cannot import web:app"]),
        ("ap = None\n", ["AttributeError: module 'web' has no attribute 'app'", "cannot import web:app"]),
        ("app = None\n", ["TypeError: web:app is no ASGI app but None", "cannot import web:app"]),
        (
            "raise SystemExit('usage: web PORT')\n",
            ["usage: web PORT", "cannot import web:app: the module asks to exit while it is imported"],
        ),
    ],
)
async def test_an_app_that_cannot_be_imported_shows_its_own_traceback(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run, source: str, last_lines: list[str]
) -> None:
    with pytest.raises(StartError, match="web exited with status 1 before it was ready") as caught:
        await run(Keeper(make_service(source), groups, reports)).ready()

    lines = [line.strip() for line in caught.value.message.split("\n")[1:]]
    assert lines[-1] == last_lines[-1]
    assert lines[-2].startswith(last_lines[0])
    assert not any("importlib" in line or "serve_asgi" in line for line in lines)


async def test_a_failed_startup_of_the_app_is_a_failed_start(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run
) -> None:
    source = """
        from contextlib import asynccontextmanager
        from starlette.applications import Starlette

        @asynccontextmanager
        async def lifespan(app):
            raise RuntimeError("no database")
            yield

        app = Starlette(lifespan=lifespan)
    """
    with pytest.raises(StartError, match="RuntimeError: no database"):
        await run(Keeper(make_service(source), groups, reports)).ready()


class Load:
    """Requests without pause until it is stopped, over connections that are kept; what failed is counted."""

    def __init__(self, url: str, clients: int) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._ask(url, number)) for number in range(clients)]

    async def _ask(self, url: str, number: int) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            while not self._stop.is_set():
                try:
                    answer = await client.get(f"{url}/?0.05" if number % 2 else url)
                    self.answers.append(answer.text)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)


async def test_a_hand_over_drops_no_request(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run, tmp_path: Path
) -> None:
    spec = make_service(APP.replace("VERSION", "old"))
    running = run(Keeper(spec, groups, reports))
    await running.ready()
    (old,) = running.keeper.pids
    load = Load(_url(spec), clients=8)
    await asyncio.sleep(0.3)

    (tmp_path / "web.py").write_text(APP.replace("VERSION", "new"))
    running.keeper.replace()
    await reports.until("reloaded")
    await until(lambda: gone(old))
    await asyncio.sleep(0.3)
    await load.stop()

    assert load.failures == []
    assert {answer.split()[0] for answer in load.answers} == {"old", "new"}
    assert load.answers[-1].startswith("new")
    assert groups.watched == set(running.keeper.pids)


async def test_the_old_process_finishes_what_it_began(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run, tmp_path: Path
) -> None:
    spec = make_service()
    running = run(Keeper(spec, groups, reports))
    await running.ready()
    (old,) = running.keeper.pids

    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        slow = asyncio.create_task(client.get(f"{_url(spec)}/?until-told"))
        await asyncio.sleep(0.3)
        running.keeper.replace()
        await reports.until("reloaded")
        assert not slow.done()
        (tmp_path / "told").touch()
        assert (await slow).text == f"VERSION {old}"
        assert (await client.get(_url(spec))).text == f"VERSION {running.keeper.pids[-1]}"


async def test_a_successor_that_does_not_start_leaves_the_old_one_in_place(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run, tmp_path: Path
) -> None:
    spec = make_service()
    running = run(Keeper(spec, groups, reports))
    await running.ready()
    (old,) = running.keeper.pids

    (tmp_path / "web.py").write_text("import no_such_module")
    running.keeper.replace()
    failed = await reports.until("reload-failed")

    assert "ModuleNotFoundError: No module named 'no_such_module'" in failed.message
    assert failed.message.endswith("the running one stays")
    assert running.keeper.pids == (old,)
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(_url(spec))).text == f"VERSION {old}"


async def test_a_successor_is_probed_itself_and_not_the_old_one(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run, tmp_path: Path
) -> None:
    spec = make_service(health="/healthz")
    running = run(Keeper(spec, groups, reports))
    await running.ready()
    (old,) = running.keeper.pids

    (tmp_path / "web.py").write_text(APP.replace('"status": 200', '"status": 500'))
    object.__setattr__(spec.health, "start_s", 2.0)
    running.keeper.replace()
    failed = await reports.until("reload-failed")

    assert failed.message.startswith("web was not ready within 2 s (GET /healthz was answered with 500)")
    assert running.keeper.pids == (old,)


async def test_a_crash_refuses_no_connection(
    make_service: MakeService, reports: Reports, groups: Groups, run: Run
) -> None:
    spec = make_service()
    running = run(Keeper(spec, groups, reports))
    await running.ready()
    (old,) = running.keeper.pids

    os.kill(old, 9)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(_url(spec))

    assert answer.text == f"VERSION {running.keeper.pids[0]}" != f"VERSION {old}"
