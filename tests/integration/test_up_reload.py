"""`shipway up --reload`: an edit shows, and nobody who asks meanwhile gets an error."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shipway.testing.running_app import RunningApp, running_app
from tests.integration.processes import Mark
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


class Asker(threading.Thread):
    """Asks the same again and again until told to stop; keeps every answer and every failure."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._stop_asking = threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop_asking.is_set():
                try:
                    answer = client.get(self._url)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                else:
                    if answer.status_code == 200:
                        self.answers.append(answer.text)
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text}")

    def finish(self) -> None:
        self._stop_asking.set()
        self.join(20)


@contextmanager
def reloading_app(folder: Path, mark: Mark) -> Iterator[RunningApp]:
    with running_app(folder, "--reload", environ=mark.environ) as app:
        time.sleep(1)  # the watcher is not there from the first moment, and says nothing when it is
        yield app


def set_version(folder: Path, version: str) -> None:
    file = folder / "small_app.py"
    file.write_text(file.read_text().replace('VERSION = "one"', f'VERSION = "{version}"'))


def until_it_says(app: RunningApp, path: str, text: str, timeout_s: float = 20.0) -> None:
    wait_until(lambda: httpx.get(f"{app.url}{path}", timeout=20).text.startswith(text), timeout_s)


@pytest.mark.parametrize("path", ["/first", "/second"], ids=["one-replica", "two-replicas"])
def test_edit_shows_and_no_request_fails_meanwhile(small_app: Path, mark: Mark, path: str) -> None:
    with reloading_app(small_app, mark) as app:
        askers = [Asker(f"{app.url}{path}") for _ in range(3)]
        for asker in askers:
            asker.start()
        set_version(small_app, "two")
        until_it_says(app, path, "two")
        time.sleep(0.5)
        for asker in askers:
            asker.finish()
        assert [failure for asker in askers for failure in asker.failures] == []
        assert all(asker.answers[0].startswith("one") for asker in askers)
        assert all(asker.answers[-1].startswith("two") for asker in askers)


def test_stream_that_runs_during_a_reload_comes_to_its_end(small_app: Path, mark: Mark) -> None:
    with reloading_app(small_app, mark) as app:
        with httpx.stream("GET", f"{app.url}/first/slow", timeout=20) as answer:
            parts = answer.iter_lines()
            assert next(parts) == "part 0"
            set_version(small_app, "two")
            assert list(parts)[-1] == "end"
        until_it_says(app, "/first", "two")


def test_broken_edit_is_shown_while_the_old_one_answers_until_it_is_mended(small_app: Path, mark: Mark) -> None:
    file = small_app / "small_app.py"
    good = file.read_text()
    with reloading_app(small_app, mark) as app:
        file.write_text("def app(:\n")
        failed = app.wait_for("reload-failed", 20, child="first")
        assert "SyntaxError" in failed["message"]
        assert httpx.get(f"{app.url}/first").text.startswith("one")  # the old one stays
        file.write_text(good.replace('"one"', '"three"'))
        until_it_says(app, "/first", "three", 40)
        assert app.process.poll() is None
