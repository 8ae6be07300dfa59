"""The records of releases, and what a release is made from."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from shipway import __version__
from shipway.deploy import records
from shipway.deploy.archive import Archive, Standing
from shipway.deploy.candidate import secret_references, secret_version, version_key
from shipway.deploy.git import revision
from shipway.deploy.releases import Image, Images, Release, digest_of, release_number, secret_file_name
from shipway.errors import NewerStateError, StateError, UnknownReleaseError
from shipway.secret import Secret
from shipway.spec.load import load_app
from shipway.testing.memory_store import MemoryStore
from tests.deploy.records import GATEWAY, release

TABLE = {"services": {"api": {"app": "m:a"}}}


def test_a_record_comes_back_as_it_was_kept() -> None:
    archive = Archive(MemoryStore(), "shop")
    kept = release(1, TABLE, secrets={"env:A": "aa"}, weights={"local/x": "sha256:1"}, by="ann", revision="abc")
    archive.add(kept)
    assert archive.get(1, "prod") == kept
    assert archive.all("prod") == {1: kept}


def test_a_record_is_never_changed() -> None:
    archive = Archive(MemoryStore(), "shop")
    archive.add(release(1, TABLE))
    archive.add(release(1, TABLE, by="bob"))  # the same release, noted again
    with pytest.raises(StateError, match="v1 of prod is kept already and is another release"):
        archive.add(release(1, {"services": {"api": {"app": "m:other"}}}))
    assert archive.get(1, "prod").by == ""


def test_an_environment_has_its_own_records_and_the_app_its_numbers() -> None:
    archive = Archive(MemoryStore(), "shop")
    assert (archive.next_number(), archive.claim_number(), archive.claim_number(), archive.next_number()) == (
        1,
        1,
        2,
        3,
    )
    archive.add(release(1, TABLE, environment="staging"))
    assert archive.all("prod") == {}
    with pytest.raises(UnknownReleaseError, match="release v1 is not in environment prod") as error:
        archive.get(1, "prod")
    assert error.value.hint == "shipway releases prod"


def test_a_number_that_came_from_elsewhere_is_not_given_again() -> None:
    archive = Archive(MemoryStore(), "shop")
    archive.take_number(4)
    archive.take_number(2)
    assert archive.claim_number() == 5


def test_where_an_environment_stands_is_kept_by_environment() -> None:
    archive = Archive(MemoryStore(), "shop")
    archive.stand("prod", Standing(2, (1, 2)))
    archive.stand("prod", Standing(1, (1, 2)))
    assert (archive.standing("prod"), archive.standing("staging")) == (Standing(1, (1, 2)), Standing())


@pytest.mark.parametrize(
    ("written", "later", "hint"),
    [
        ('"schema": 2', "a later Shipway", "shipway"),
        ('"schema": 2, "shipway": "0.4.0"', "a later Shipway 0.4.0", "'shipway>=0.4.0'"),
    ],
)
def test_a_record_of_a_later_shipway_is_refused(written: str, later: str, hint: str) -> None:
    store = MemoryStore()
    record = "{" + written + ', "value": {"number": "a form that we do not know"}}'
    store.put("shop/last", record.encode(), None)
    with pytest.raises(NewerStateError) as error:
        Archive(store, "shop").next_number()
    assert (error.value.message, error.value.hint) == (
        f"shop/last was written by {later}: it has schema 2, known to this one ({__version__}) is 1",
        f"pip install --upgrade {hint}",
    )


def test_a_record_says_which_shipway_wrote_it() -> None:
    store = MemoryStore()
    Archive(store, "shop").claim_number()
    entry = store.get("shop/last")
    assert entry is not None
    assert json.loads(entry.value) == {"schema": 1, "value": {"number": 1}, "shipway": __version__}


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"schema": 1, "value": {}}', b"\xff", b'{"schema": "1"}'])
def test_a_record_that_makes_no_sense_is_said(value: bytes) -> None:
    store = MemoryStore()
    store.put("shop/last", value, None)
    with pytest.raises(StateError, match="the record shop/last makes no sense"):
        Archive(store, "shop").next_number()


def test_what_decides_whether_releases_are_the_same() -> None:
    one = release(1, TABLE)
    same = msgspec.structs.replace(one, number=9, by="bob", at="later", revision="abc", source={})
    assert one.content == same.content
    unbuilt = release(1, TABLE, images=Images({"api": Image("api:1")}, GATEWAY))
    assert one.is_same_as(unbuilt)
    assert unbuilt.is_same_as(one)
    assert not one.is_same_as(release(1, TABLE, images=Images({"api": Image("api:1", "sha256:another")}, GATEWAY)))
    others = [
        release(1, {"services": {"api": {"app": "m:a", "replicas": 2}}}),
        release(1, TABLE, secrets={"env:A": "aa"}),
        release(1, TABLE, weights={"local/x": "sha256:1"}),
        release(1, TABLE, images=Images({"api": Image("api:2")}, GATEWAY)),
    ]
    assert len({one.content, *(other.content for other in others)}) == 5


def test_a_release_is_json(tmp_path: Path) -> None:
    kept = release(1, TABLE)
    assert msgspec.json.decode(msgspec.json.encode(kept), type=Release) == kept


@pytest.mark.parametrize(
    ("text", "number"), [("v4", 4), ("v04", 4), ("4", None), ("v", None), ("v-1", None), ("v٣", None), ("V4", None)]
)
def test_a_release_is_named_by_its_number(text: str, number: int | None) -> None:
    assert release_number(text) == number


def test_versions_of_a_secret_have_files_of_their_own() -> None:
    names = {
        secret_file_name(reference, version)
        for reference in ("env:A_B", "env:A-B", "file:A/B", "file:A_B")
        for version in ("aa", "bb")
    }
    assert len(names) == 8
    assert all(name.replace("-", "").isalnum() for name in names)


def test_a_version_of_a_secret_tells_nothing_without_the_environment_s_key() -> None:
    store = MemoryStore()
    prod, staging = (version_key(store, f"shop/environments/{name}", make=True) for name in ("prod", "staging"))
    assert prod == version_key(store, "shop/environments/prod", make=False)
    value = Secret("hunter2")
    assert secret_version(value, prod) == secret_version(value, prod)
    assert len({secret_version(value, prod), secret_version(value, staging), secret_version(Secret("x"), prod)}) == 3


def test_a_plan_makes_no_key() -> None:
    store = MemoryStore()
    version_key(store, "shop/environments/prod", make=False)
    assert store.keys("shop") == []


def test_the_secrets_of_a_release_are_those_that_something_of_it_uses(tmp_path: Path) -> None:
    (tmp_path / "shipway.toml").write_text(
        """
        name = "shop"
        [services.api]
        app = "m:a"
        env = { A = "env:A", B = "plain", C = "file:c" }
        [services.elsewhere]
        url = "http://x"
        routes = ["/x"]
        [providers.unused]
        kind = "openai"
        base_url = "http://u"
        api_key = "env:UNUSED"
        [models.chat]
        upstreams = ["openai/x"]
        """
    )
    assert secret_references(load_app(tmp_path)) == ["env:A", "file:c", "env:OPENAI_API_KEY"]


def test_a_revision_says_whether_files_differ_from_the_commit(tmp_path: Path) -> None:
    assert revision(tmp_path) is None
    for words in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    clean = revision(tmp_path)
    assert clean is not None
    assert len(clean) == 12
    (tmp_path / "new").write_text("")
    assert revision(tmp_path) == clean + "+changes"


def test_numbered_records_never_share_a_number() -> None:
    store = MemoryStore()
    keys = [records.append(store, "shop/audit", Standing(number)) for number in range(3)]
    assert keys == ["shop/audit/00000001", "shop/audit/00000002", "shop/audit/00000003"]
    assert digest_of("x").startswith("sha256:")
