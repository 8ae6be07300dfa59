"""Credentials are found where AWS's own tools find them."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipway.gateway.providers.aws_credentials import credentials_of, from_chain, from_environment
from shipway.gateway.providers.credentials import Fetched, FetchError
from shipway.gateway.providers.provider import Settings
from shipway.gateway.providers.sigv4 import AwsCredentials
from shipway.secret import Secret
from shipway.testing.identity_server import FakeIdentity

EXPIRES_S = 4_000_000_000.0
FAKE = Fetched(AwsCredentials("AKIAFAKE1", Secret("secret-1"), Secret("token-1")), EXPIRES_S)


# botocore leaves the connections of failed fetches to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def fake() -> Iterator[FakeIdentity]:
    with FakeIdentity(EXPIRES_S) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "2")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    gc.collect()


def use(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


async def test_keys_in_the_environment_come_first_and_are_there_at_once() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
    held = credentials_of(Settings(environ=environ))
    assert held.current() == AwsCredentials("AKID", Secret("s"), Secret("t"))
    assert from_environment({"AWS_ACCESS_KEY_ID": "AKID"}) is None


def test_a_profile_of_the_shared_files_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    path.write_text("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n", encoding="utf-8")
    assert from_chain("work") == Fetched(AwsCredentials("AKIDWORK", Secret("s")))
    with pytest.raises(FetchError, match="ProfileNotFound"):
        from_chain("play")
    with pytest.raises(FetchError, match="no source"):
        from_chain(None)


async def test_a_profile_that_is_named_wins_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    path.write_text("[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n", encoding="utf-8")
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}
    held = credentials_of(Settings(environ=environ, options={"profile": "work"}))
    await held.refresh()
    assert held.current() == AwsCredentials("AKIDWORK", Secret("s"))


def test_an_instance_is_asked_by_version_2_of_its_metadata_service(
    monkeypatch: pytest.MonkeyPatch, fake: FakeIdentity
) -> None:
    use(monkeypatch, fake.aws_instance())
    assert from_chain(None) == FAKE
    assert fake.asked[0].path == "/latest/api/token"


def test_a_containers_endpoint_is_asked(monkeypatch: pytest.MonkeyPatch, fake: FakeIdentity) -> None:
    use(monkeypatch, fake.aws_container())
    assert from_chain(None) == FAKE


def test_a_web_identity_assumes_its_role(monkeypatch: pytest.MonkeyPatch, fake: FakeIdentity, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-pods-token", encoding="utf-8")
    use(monkeypatch, fake.aws_web_identity(str(tmp_path / "token")))
    assert from_chain(None) == FAKE
    assert fake.asked[0].values["WebIdentityToken"] == "the-pods-token"


@pytest.mark.parametrize(
    ("place", "garbage"),
    [
        *((place, garbage) for place in ("instance", "web identity") for garbage in (None, b"<html>", b"{}", b"[1]")),
        ("container", b"[1]"),  # of others botocore asks the container again, after a second each
    ],
)
def test_a_source_that_refuses_or_makes_no_sense_is_a_failure_to_fetch(
    monkeypatch: pytest.MonkeyPatch, fake: FakeIdentity, tmp_path: Path, place: str, garbage: bytes | None
) -> None:
    (tmp_path / "token").write_text("the-pods-token", encoding="utf-8")
    web_identity = fake.aws_web_identity(str(tmp_path / "token"))
    environs = {"instance": fake.aws_instance(), "container": fake.aws_container(), "web identity": web_identity}
    use(monkeypatch, {**environs[place], "AWS_MAX_ATTEMPTS": "1"})
    fake.status, fake.garbage = (403 if garbage is None else 200), garbage
    with pytest.raises(FetchError):
        from_chain(None)


async def test_each_renewal_asks_anew(monkeypatch: pytest.MonkeyPatch, fake: FakeIdentity) -> None:
    use(monkeypatch, fake.aws_container())
    held = credentials_of(Settings())
    await held.refresh()
    fake.number = 2
    await held.refresh()
    assert held.current() == AwsCredentials("AKIAFAKE2", Secret("secret-2"), Secret("token-2"))
