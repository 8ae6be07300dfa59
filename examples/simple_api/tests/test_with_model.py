"""The app as `shipway up` runs it, with the real model."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shipway.testing.running_app import RunningApp, running_app

pytestmark = pytest.mark.integration

TEXT = (
    "The kakapo is a large, flightless, nocturnal parrot that lives only in New Zealand. It is the heaviest parrot in "
    "the world: a male can weigh up to four kilograms. By 1995 only 51 birds were left. Since then rangers have moved "
    "every bird to islands cleared of predators, and in 2022 there were more than 250."
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    folder = tmp_path_factory.mktemp("run") / "simple_api"
    shutil.copytree(Path(__file__).parents[1], folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    with running_app(folder) as app:
        yield app


@pytest.fixture
def client(running: RunningApp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers=running.authorization, timeout=120) as instance:
        yield instance


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def test_summary_is_about_the_text(client: httpx.Client) -> None:
    answer = client.post("/summarize", json={"text": TEXT})
    assert answer.status_code == 200
    summary = answer.json()["summary"]
    assert "kakapo" in summary.lower()
    assert len(words(summary) & words(TEXT)) > 5


def test_streamed_summary_comes_in_many_parts_and_is_the_same(client: httpx.Client) -> None:
    whole = client.post("/summarize", json={"text": TEXT}).json()["summary"]
    with client.stream("POST", "/summarize", json={"text": TEXT, "stream": True}) as answer:
        parts = list(answer.iter_text())
    assert len(parts) > 5
    assert words("".join(parts)) == words(whole)


def test_other_scripts_are_read_too(client: httpx.Client) -> None:
    answer = client.post(
        "/summarize", json={"text": "Сегодня в городе открыли новый мост через реку. 橋は長さ三百メートル。🌉"}
    )
    assert answer.status_code == 200
    assert answer.json()["summary"]


def test_text_within_the_characters_but_beyond_the_context_is_too_long(client: httpx.Client) -> None:
    answer = client.post("/summarize", json={"text": "橋は長い。" * 2000})
    assert answer.status_code == 413
    assert "too long" in answer.json()["detail"]


def test_page_is_public_and_the_endpoint_is_not(running: RunningApp) -> None:
    assert "<title>Summarizer</title>" in httpx.get(running.url).text
    assert httpx.post(f"{running.url}/summarize", json={"text": TEXT}).status_code == 401
