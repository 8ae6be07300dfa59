"""Tokens of Entra are got by whatever identity the environment names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipway.gateway.providers.credentials import FetchError, NoCredentialError
from shipway.gateway.providers.entra import fetch_token, request_from, token_of
from shipway.secret import Secret
from shipway.testing.identity_server import IDENTITY_HEADER, Asked, FakeIdentity

RESOURCE = "https://cognitiveservices.azure.com"


@pytest.fixture
def fake() -> Iterator[FakeIdentity]:
    with FakeIdentity() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def test_a_clients_secret_gives_a_token_that_lives_as_long_as_it_says(fake: FakeIdentity) -> None:
    held = token_of(fake.entra_client("the-tenant", "the-client", "hush"), now_s=lambda: 1000.0)
    with pytest.raises(NoCredentialError):
        held.current()
    assert await held.refresh() == 3599 - 3599 / 4
    assert held.current() == Secret("token-1")
    form = {"grant_type": "client_credentials", "client_id": "the-client", "client_secret": "hush"}
    assert fake.asked == [Asked("/the-tenant/oauth2/v2.0/token", {**form, "scope": f"{RESOURCE}/.default"})]


def test_a_workloads_token_is_read_each_time(fake: FakeIdentity, tmp_path: Path) -> None:
    path = tmp_path / "token"
    environ = fake.entra_client("t", "c", "") | {"AZURE_FEDERATED_TOKEN_FILE": str(path)}
    with pytest.raises(FetchError, match="FileNotFoundError"):
        request_from(environ)
    for text in ("first", "second"):
        path.write_text(f"{text}\n", encoding="utf-8")
        fetch_token(request_from(environ))
        assert fake.asked[-1].values["client_assertion"] == text


def test_a_virtual_machine_asks_its_metadata_service(fake: FakeIdentity) -> None:
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": fake.url, "AZURE_CLIENT_ID": "mine"}
    fetched = fetch_token(request_from(environ))
    assert fetched.value == Secret("token-1")
    assert fetched.expires_at_s == fake.expires_at_s
    query = {"api-version": "2018-02-01", "resource": RESOURCE, "client_id": "mine"}
    assert fake.asked == [Asked("/metadata/identity/oauth2/token", query)]
    assert request_from({}).url.startswith("http://169.254.169.254/metadata/")


def test_app_service_names_an_endpoint_of_its_own(fake: FakeIdentity) -> None:
    environ = {"IDENTITY_ENDPOINT": f"{fake.url}/app-service", "IDENTITY_HEADER": IDENTITY_HEADER}
    assert fetch_token(request_from(environ)).value == Secret("token-1")


async def test_a_refusal_says_nothing_of_what_was_sent(fake: FakeIdentity) -> None:
    environ = fake.entra_client("t", "c", "hush")
    fake.status = 401
    with pytest.raises(FetchError, match=re.escape("the Entra token was refused: 401")) as caught:
        fetch_token(request_from(environ))
    assert caught.value.__cause__ is None
    held = token_of(environ)
    assert await held.refresh() == 1
    assert held.failure == "the Entra token was refused: 401"


@pytest.mark.parametrize(
    "garbage", [b"<html>", b"{}", b'{"access_token": 7}', b'{"access_token": "t", "expires_on": "x"}']
)
def test_an_answer_that_makes_no_sense_is_a_failure_to_fetch(fake: FakeIdentity, garbage: bytes) -> None:
    fake.garbage = garbage
    with pytest.raises(FetchError, match=r"ValidationError|DecodeError|ValueError"):
        fetch_token(request_from(fake.entra_client("t", "c", "hush")))


def test_nobody_there_is_a_failure_to_fetch(fake: FakeIdentity) -> None:
    with pytest.raises(FetchError):
        fetch_token(request_from({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"}))
