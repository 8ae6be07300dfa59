"""What is sent to each kind of provider and what it answers, by the files in `exchanges`."""

from pathlib import Path

import pytest

from shipway.spec.provider_kinds import KINDS
from shipway.spec.providers import Provider
from tests.gateway.providers.recorded import EXCHANGES, check_exchange


def test_every_kind_has_a_folder_of_exchanges_and_nothing_else_has() -> None:
    assert {folder.name for folder in EXCHANGES.iterdir() if any(folder.glob("*.toml"))} == KINDS.keys()
    assert {file.suffix for file in EXCHANGES.glob("*/*")} == {".toml"}


@pytest.mark.parametrize("file", sorted(EXCHANGES.glob("*/*.toml")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_request_is_sent_and_its_answer_read_as_recorded(file: Path) -> None:
    check_exchange(file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_takes_settings_that_there_are(kind: str) -> None:
    entry = KINDS[kind]
    assert entry.takes <= {*Provider.file_keys()} - {"kind"}
    assert {*(entry.built_in or ())} <= entry.takes
    assert not entry.needs_address or "base_url" in entry.takes
