"""What the client makes of answers that a real engine gives seldom."""

from pathlib import Path

import pytest

from shipway.deploy.engine.client import name_and_tag
from shipway.deploy.engine.faults import BusyError
from tests.deploy.engine.one_answer import answers, engine_that

GONE = answers(404, '{"message":"No such container: api"}')


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("shop", ("shop", "latest")),
        ("shop:v1", ("shop", "v1")),
        ("localhost:5000/shop", ("localhost:5000/shop", "latest")),
        ("localhost:5000/shop:v1", ("localhost:5000/shop", "v1")),
        ("ghcr.io/a/shop@sha256:12", ("ghcr.io/a/shop@sha256:12", "")),
    ],
)
def test_a_port_of_a_registry_is_no_tag(reference: str, parts: tuple[str, str]) -> None:
    assert name_and_tag(reference) == parts


def test_a_container_that_is_being_removed_already_is_no_fault(tmp_path: Path) -> None:
    busy = answers(409, '{"message":"removal of container api is already in progress"}')
    with engine_that(busy, tmp_path / "s") as engine:
        engine.remove("api")


def test_a_container_that_cannot_be_removed_is_a_fault(tmp_path: Path) -> None:
    busy = answers(409, '{"message":"the container is paused"}')
    with engine_that(busy, tmp_path / "s") as engine, pytest.raises(BusyError, match="the container is paused"):
        engine.remove("api")


def test_a_container_that_is_gone_has_nothing_and_needs_nothing(tmp_path: Path) -> None:
    with engine_that(GONE, tmp_path / "1") as engine:
        assert engine.container("api") is None
    with engine_that(GONE, tmp_path / "2") as engine:
        engine.stop("api", 1)
    with engine_that(GONE, tmp_path / "3") as engine:
        engine.remove("api")
    with engine_that(GONE, tmp_path / "4") as engine:
        assert engine.last_lines("api", 3) == []
    with engine_that(GONE, tmp_path / "5") as engine:
        assert engine.get_file("api", "/a") is None


@pytest.mark.parametrize(
    ("started", "since"),
    [("2026-11-27T10:00:00.123456789Z", 1795773600), ("0001-01-01T00:00:00Z", 0)],
)
def test_error_lines_are_those_since_the_start_or_all_where_it_never_started(
    tmp_path: Path, started: str, since: int
) -> None:
    requests: list[str] = []
    with engine_that(answers(200, "\2\0\0\0\0\0\0\4a\nb\n"), tmp_path / "s", requests) as engine:
        assert engine.error_lines("api", started) == ["a", "b"]
    assert requests == [f"GET /v1.41/containers/api/logs?stderr=true&since={since}"]
