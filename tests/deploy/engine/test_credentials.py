"""Logins, as `docker login` leaves them."""

import base64
import json
from pathlib import Path

import pytest

from shipway.deploy.engine.credentials import HUB, Credentials, registry_of
from shipway.errors import RegistryError

HELPER = """#!/bin/sh
read -r host
case $host in
    token.example.com) echo '{"ServerURL": "", "Username": "<token>", "Secret": "t"}' ;;
    known.example.com) echo '{"ServerURL": "", "Username": "u", "Secret": "p"}' ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


def _credentials(folder: Path, settings: object) -> Credentials:
    (folder / "config.json").write_text(json.dumps(settings))
    return Credentials.of({"DOCKER_CONFIG": str(folder)})


def _sent(credentials: Credentials, reference: str) -> object:
    return json.loads(base64.urlsafe_b64decode(credentials.header_for(reference)["X-Registry-Auth"]))


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("python:3.13-slim", HUB),
        ("acme/app:1", HUB),
        ("registry.example.com/app", "registry.example.com"),
        ("localhost/app:1", "localhost"),
        ("registry:5000/team/app@sha256:00", "registry:5000"),
    ],
)
def test_which_registry_an_image_comes_from(reference: str, registry: str) -> None:
    assert registry_of(reference) == registry


def test_a_login_is_sent_to_its_registry_alone(tmp_path: Path) -> None:
    auth = base64.b64encode(b"ann:p:w").decode()
    credentials = _credentials(tmp_path, {"auths": {"r.example.com": {"auth": auth}, HUB: {"identitytoken": "t"}}})
    login = {"username": "ann", "password": "p:w", "serveraddress": "r.example.com"}
    assert _sent(credentials, "r.example.com/app:1") == login
    assert _sent(credentials, "python:3") == {"identitytoken": "t", "serveraddress": HUB}
    assert _sent(credentials, "other.example.com/app") == {}


def test_a_build_gets_the_logins_of_what_it_starts_from(tmp_path: Path) -> None:
    auth = base64.b64encode(b"ann:pw").decode()
    credentials = _credentials(tmp_path, {"auths": {"r.example.com": {"auth": auth}}})
    headers = credentials.headers_for_build(["r.example.com/base:1", "python:3"])
    assert list(json.loads(base64.urlsafe_b64decode(headers["X-Registry-Config"]))) == ["r.example.com"]
    assert credentials.headers_for_build(["python:3"]) == {}


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    credentials = _credentials(tmp_path, {"credHelpers": {"known.example.com": "test"}, "credsStore": "test"})
    known = {"username": "u", "password": "p", "serveraddress": "known.example.com"}
    assert _sent(credentials, "known.example.com/app") == known
    assert _sent(credentials, "token.example.com/a") == {"identitytoken": "t", "serveraddress": "token.example.com"}
    assert _sent(credentials, "unknown.example.com/a") == {}


def test_a_helper_that_is_not_there_is_said(tmp_path: Path) -> None:
    credentials = _credentials(tmp_path, {"credsStore": "nowhere"})
    with pytest.raises(RegistryError, match="docker-credential-nowhere cannot be asked"):
        credentials.header_for("r.example.com/app")


def test_a_damaged_login_is_said(tmp_path: Path) -> None:
    credentials = _credentials(tmp_path, {"auths": {"r.example.com": {"auth": "*"}, "s.example.com": {"auth": "/w=="}}})
    for host in ("r.example.com", "s.example.com"):
        with pytest.raises(RegistryError, match=f"the login of {host} is damaged"):
            credentials.header_for(f"{host}/app")


def test_a_helper_that_makes_no_sense_is_said_without_what_it_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-odd"
    program.write_text("#!/bin/sh\necho a-secret\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RegistryError, match="docker-credential-odd answers in a form") as caught:
        _credentials(tmp_path, {"credsStore": "odd"}).header_for("r.example.com/app")
    assert "a-secret" not in str(caught.value)


def test_without_a_configuration_there_are_no_logins(tmp_path: Path) -> None:
    assert _sent(Credentials.of({"HOME": str(tmp_path)}), "r.example.com/app") == {}


def test_a_damaged_configuration_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RegistryError, match="cannot be read"):
        Credentials(tmp_path / "config.json").header_for("r.example.com/app")
