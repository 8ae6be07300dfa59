"""The client against an engine that is not there, that is silent, and that breaks off."""

from pathlib import Path

import pytest

from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.streams import frames
from shipway.deploy.engine.transport import DEFAULT_SOCKET, Transport, socket_of
from shipway.errors import EngineError, EngineUnavailableError, NoSpaceError, UsageError
from tests.deploy.engine.one_answer import answers, engine_that, says


@pytest.mark.parametrize(
    ("docker_host", "path"),
    [("", DEFAULT_SOCKET), ("unix:///run/user/1/docker.sock", Path("/run/user/1/docker.sock"))],
)
def test_the_socket_follows_from_docker_host(docker_host: str, path: Path) -> None:
    assert socket_of(docker_host) == path


def test_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="the engine of this machine"):
        socket_of("tcp://10.0.0.1:2375")


def test_an_engine_that_does_not_run_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError) as caught:
        Engine(Transport(tmp_path / "docker.sock")).version()
    assert (str(caught.value), caught.value.hint) == (
        f"the Docker engine is not running: nothing answers at {tmp_path}/docker.sock",
        "start it (sudo systemctl start docker), or set DOCKER_HOST=unix:///PATH",
    )


def test_an_engine_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    half = says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with engine_that(half, tmp_path / "s") as engine, pytest.raises(EngineError, match="broke off"):
        engine.version()


def test_a_failure_inside_a_stream_is_what_it_means(tmp_path: Path) -> None:
    lines = '{"stream":"Step 1"}\r\n{"error":"write /x: no space left on device"}\r\n'
    with engine_that(answers(200, lines), tmp_path / "s") as engine:
        seen = engine.build(b"", "t", "host", {})
        assert next(seen) == "Step 1"
        with pytest.raises(NoSpaceError):
            next(seen)


def test_two_streams_in_one_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\1\0\0\0\0\0\0\2ab" + b"\2\0\0\0\0\0\0\1c" + b"\1\0\0")
    with (tmp_path / "log").open("rb") as stream:
        assert list(frames(stream)) == [(1, b"ab"), (2, b"c")]
