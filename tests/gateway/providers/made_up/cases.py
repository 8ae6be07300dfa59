"""What Shipway makes of a provider that is a module, an entry and a folder. `test_adding_one.py` runs it, `entry` as a plugin."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest

from shipway.errors import AppFileError
from shipway.spec.load import load_app
from shipway.spec.reference import reference_markdown
from shipway.spec.schema import json_schema
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import ReceivedRequest
from tests.gateway.conftest import StartGateway
from tests.gateway.providers.recorded import check_exchange

EXCHANGES = Path(__file__).parent / "exchanges"
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "hello"}]}
APP = """
name = "app"

[providers.works]
kind = "acme"
api_key = "env:OPENAI_API_KEY"
%s

[models.chat]
upstreams = ["works/anvil-1"]
"""


class FakeAcme(FakeOpenAI):
    """OpenAI's answers at Acme's path."""

    def operation(self, request: ReceivedRequest) -> str | None:
        return "chat/completions" if request.path == "/inference/openai/chat/completions" else None


def problems(folder: Path, text: str) -> list[str]:
    (folder / "shipway.toml").write_text(text)
    try:
        load_app(folder)
    except AppFileError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize("file", sorted(EXCHANGES.glob("*/*.toml")), ids=lambda file: file.stem)
def test_its_exchanges_are_as_recorded(file: Path) -> None:
    check_exchange(file)


def test_its_section_is_checked_in_the_words_for_all(tmp_path: Path) -> None:
    assert problems(tmp_path, APP % "") == []
    assert problems(tmp_path, APP % 'region = "eu"') == [
        'providers.works: "region" has no meaning for a provider of kind "acme"'
    ]
    assert problems(tmp_path, APP.replace('"acme"', '"acne"') % "") == [
        'providers.works.kind: expected "openai", "anthropic", "azure", "bedrock", "gemini", "local" or "acme", '
        'found "acne" (did you mean "acme"?)'
    ]


def test_the_schema_and_the_reference_know_it() -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(tomllib.loads(APP % ""))
    assert '`"acme"`' in reference_markdown()


async def test_a_call_reaches_it_at_its_path_with_its_header(start_gateway: StartGateway) -> None:
    async with FakeAcme() as fake:
        gateway = await start_gateway(APP % f'base_url = "{fake.url}"')
        response = await gateway.http.post("/v1/chat/completions", json=HELLO)
    assert response.json()["choices"][0]["message"]["content"] == "This is a fake answer."
    (request,) = fake.requests
    assert (request.path, request.headers["x-acme-key"]) == ("/inference/openai/chat/completions", "sk-upstream")
    assert "authorization" not in request.headers
