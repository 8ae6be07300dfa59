"""What the end-to-end tests run: the examples in a copy of their own, and a small app without a model."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shipway.testing.running_app import RunningApp, running_app
from tests.integration.processes import Mark

ROOT = Path(__file__).parents[2]
SMALL_APP = """
name = "small"
[services.first]
app = "small_app:app"
routes = [{ path = "/first", public = true }]
drain = "10s"
[services.second]
app = "small_app:app"
routes = [{ path = "/second", public = true }]
replicas = 2
[services.third]
command = ["python", "command_service.py"]
routes = [{ path = "/third", public = true }]
"""


@pytest.fixture
def mark() -> Mark:
    """Marks the processes of a test's run, and fails the test if one of them outlives it."""
    return Mark()


@pytest.fixture(autouse=True)
def _no_process_is_left(mark: Mark) -> Iterator[None]:
    yield
    left = mark.left_after(5)
    for process in left:
        process.kill()
    assert left == []


@pytest.fixture
def small_app(tmp_path: Path) -> Path:
    """The folder of an app with two ASGI services (one of them twice) and a command that has a child of its own."""
    for name in ("small_app.py", "command_service.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    (tmp_path / "shipway.toml").write_text(SMALL_APP)
    return tmp_path


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a copy of an example, so that a run leaves nothing in the checkout."""

    def copy(name: str) -> Path:
        target = tmp_path_factory.mktemp("example") / name
        shutil.copytree(ROOT / "examples" / name, target, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return target

    return copy


@pytest.fixture(scope="session")
def simple_api(example: Callable[[str], Path]) -> Iterator[RunningApp]:
    """The example simple_api, running with the real model; shared by the tests that only ask."""
    with running_app(example("simple_api")) as app:
        yield app
