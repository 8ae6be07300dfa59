import copy
import json
import logging
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.errors import SecretError
from shipway.secret import Secret, SecretReference

CANARY = "sk-canary-1b9e"


@pytest.mark.parametrize(
    "text", [repr(Secret(CANARY)), str(Secret(CANARY)), f"{Secret(CANARY)!s:>20}", f"{Secret(CANARY)}"]
)
def test_a_secret_never_prints(text: str) -> None:
    assert CANARY not in text
    assert "***" in text


def test_a_secret_never_prints_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("key %s %r", Secret(CANARY), [Secret(CANARY)])
    assert CANARY not in caplog.text


def test_a_secret_refuses_to_leave_the_process() -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(Secret(CANARY))
    with pytest.raises(TypeError, match="pickled"):
        Secret(CANARY).__getstate__()


def test_a_copied_secret_is_the_same_secret() -> None:
    secret = Secret(CANARY)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_a_secret_reveals_and_compares_its_value() -> None:
    secret = Secret(CANARY)
    assert secret.reveal() == CANARY
    assert secret.matches(CANARY)
    assert not secret.matches(CANARY + "x")
    assert secret == Secret(CANARY)
    assert secret != Secret("other")
    assert secret != CANARY


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_comparing_takes_any_text(candidate: str) -> None:
    assert Secret(CANARY).matches(candidate) == (candidate == CANARY)


def test_a_secret_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(CANARY))


@pytest.mark.parametrize("text", ["env:OPENAI_API_KEY", "env:_x9", "file:secrets/key", "file:/run/secrets/a b"])
def test_a_reference_prints_as_it_was_written(text: str) -> None:
    assert str(SecretReference.parse(text)) == text


@pytest.mark.parametrize(
    "text", [CANARY, "", "env:", "file:", "file: ", f"env:{CANARY}", "vault:x", "ENV:X", "file:a\nb", ":"]
)
def test_what_is_no_reference_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a reference|after \"(env|file):\" comes") as caught:
        SecretReference.parse(text)
    assert CANARY not in str(caught.value)


def test_a_variable_resolves_to_its_value(tmp_path: Path) -> None:
    assert SecretReference("env", "KEY").resolve(tmp_path, {"KEY": CANARY}).reveal() == CANARY


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_an_unset_or_empty_variable_is_an_error_with_the_line_to_type(tmp_path: Path, environ: dict[str, str]) -> None:
    with pytest.raises(SecretError, match="KEY") as caught:
        SecretReference("env", "KEY").resolve(tmp_path, environ)
    assert caught.value.hint == "export KEY=…"


@pytest.mark.parametrize(
    ("content", "value"), [(b"a", "a"), (b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a ")]
)
def test_a_file_resolves_to_its_text_without_the_last_newline(tmp_path: Path, content: bytes, value: str) -> None:
    (tmp_path / "key").write_bytes(content)
    assert SecretReference.parse("file:key").resolve(tmp_path, {}).reveal() == value


def test_an_unusable_file_is_an_error_that_does_not_show_its_content(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(CANARY.encode() + b"\xff")
    (tmp_path / "empty").write_bytes(b"\n")
    for name in ("binary", "empty", "absent", "."):
        with pytest.raises(SecretError) as caught:
            SecretReference("file", name).resolve(tmp_path, {})
        assert CANARY not in str(caught.value)
        # The cause would be shown by a traceback, and a UnicodeDecodeError carries the bytes.
        assert CANARY not in repr(caught.value.__cause__)
