import pytest

from shipway import errors
from shipway.errors import AppFileError, MissingExtraError, Problem, ShipwayError


def _all_errors() -> list[type[ShipwayError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ShipwayError)]


def test_every_error_has_its_own_code() -> None:
    codes = [kind.code for kind in _all_errors()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", _all_errors(), ids=lambda kind: str(kind.code))
def test_codes_are_kebab_case(kind: type[ShipwayError]) -> None:
    assert kind.code.replace("-", "").isalpha()
    assert kind.code == kind.code.lower()


def test_an_error_prints_as_its_message() -> None:
    error = ShipwayError("release v41 is not in environment prod", hint="shipway releases prod")
    assert (str(error), error.hint) == ("release v41 is not in environment prod", "shipway releases prod")


def test_an_app_file_error_says_each_problem_with_its_place() -> None:
    problems = [Problem("", "the file is not UTF-8 text"), Problem("gateway.port", "expected…", line=7, column=3)]
    error = AppFileError("shipway.toml", problems)
    assert str(error) == "shipway.toml: the file is not UTF-8 text\nshipway.toml:7:3: gateway.port: expected…"
    assert error.problems == tuple(problems)


def test_a_missing_extra_says_what_to_install() -> None:
    assert MissingExtraError("--reload", "local").hint == "pip install 'shipway[local]'"
