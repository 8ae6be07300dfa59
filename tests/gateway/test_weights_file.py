"""Live weights on disk: whole or not at all, and no file of any content stops a start."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipway.gateway.releases import Split
from shipway.gateway.weights_file import FORMAT, LiveWeights, Loaded, load_weights, save_weights

KNOWN = {"models.chat": ["v1", "v2", "v3"], "services.api": ["41", "42"]}
CHAT = Split.of({"v1": 2.0, "v2": 1.0}).reweighted({"v1": 0.3, "v2": 0.3, "v3": 0.4})
WEIGHTS = LiveWeights().changed("models.chat", CHAT).changed("services.api", Split.of({"41": 0.9, "42": 0.1}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.json"


def reasons(path: Path, text: str | bytes) -> tuple[str, ...]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    loaded = load_weights(path, KNOWN)
    assert loaded.weights.splits == {}
    return loaded.reasons


def test_what_was_saved_is_loaded_to_the_last_bit(path: Path) -> None:
    save_weights(path, WEIGHTS)
    assert load_weights(path, KNOWN) == Loaded(WEIGHTS)
    assert WEIGHTS.version == 2


def test_no_file_is_nothing_to_complain_about(path: Path) -> None:
    assert load_weights(path, KNOWN) == Loaded(LiveWeights())


def test_unknown_targets_and_releases_are_passed_over_with_a_reason(path: Path) -> None:
    save_weights(path, WEIGHTS)
    loaded = load_weights(path, {"models.chat": ["v1", "v2"], "services.api": ["42", "41"]})
    assert loaded.weights == LiveWeights(2, {"services.api": WEIGHTS.splits["services.api"]})
    assert loaded.reasons == (
        "weights.json: the weights of 'models.chat' are not used: the release 'v3' does not exist now",
    )
    assert load_weights(path, {"models.chat": KNOWN["models.chat"]}).reasons == (
        "weights.json: the weights of 'services.api' are not used: it has no releases now",
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe",
        '{"format": 1}',
        '{"format": 1, "version": "x", "splits": {}}',
        "[" * 100_000,
        '{"format": 1, "version": 1, "splits": {"models.chat": ' + "[" * 5000,
    ],
)
def test_a_damaged_file_is_not_used(path: Path, text: str | bytes) -> None:
    assert reasons(path, text) == ("weights.json: no live weights are used: the file is damaged",)


def test_a_format_from_the_future_is_not_used(path: Path) -> None:
    assert reasons(path, '{"format": 2, "version": 1, "splits": {}}') == (
        f"weights.json: no live weights are used: the file has format 2, known is {FORMAT}",
    )


def test_a_file_without_end_is_not_read(path: Path) -> None:
    assert reasons(path, b" " * 5_000_000) == (
        "weights.json: no live weights are used: the file is larger than 4194304 bytes",
    )


@pytest.mark.parametrize(
    "parts",
    ['"v1"', "[]", "[[0.5, 1]]", '[[0.5, "v1"]]', '[[0.5, "v1"], [0.4, "v2"], [1.0, "v1"]]', '[[-1, "v1"], [1, "v2"]]'],
)
def test_one_damaged_entry_costs_that_entry_only(path: Path, parts: str) -> None:
    good = '[[0.9, "41"], [1.0, "42"]]'
    path.write_text(f'{{"format": 1, "version": 7, "splits": {{"models.chat": {parts}, "services.api": {good}}}}}')
    loaded = load_weights(path, KNOWN)
    assert loaded.weights == LiveWeights(7, {"services.api": Split((0.9, 1.0), ("41", "42"))})
    assert loaded.reasons == ("weights.json: the weights of 'models.chat' are not used: they are damaged",)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_byte_raises(path: Path, data: st.DataObject) -> None:
    save_weights(path, WEIGHTS)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    load_weights(path, KNOWN)


def test_a_folder_in_the_files_place_is_a_reason(path: Path) -> None:
    path.mkdir()
    assert load_weights(path, KNOWN).reasons == (
        "weights.json: no live weights are used: the file cannot be read: Is a directory",
    )


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_weights(path, WEIGHTS)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_weights(path, LiveWeights(9))
    assert load_weights(path, KNOWN).weights == WEIGHTS
    assert [file.name for file in path.parent.iterdir()] == ["weights.json"]


def test_the_file_is_its_owners_alone(path: Path) -> None:
    save_weights(path, WEIGHTS)
    assert path.stat().st_mode & 0o777 == 0o600
