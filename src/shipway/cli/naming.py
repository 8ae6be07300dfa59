"""How releases are named on the command line: `v4`, or `v4@prod` where several environments have it."""

from shipway.errors import UsageError


def number_of(text: str) -> int:
    """4 from `v4`. Raises: UsageError."""
    from shipway.deploy.releases import release_number
    from shipway.spec.wording import found

    number = release_number(text)
    if number is None:
        raise UsageError(f"expected a release such as v4, found {found(text)}", "shipway releases ENV")
    return number


def number_and_environment(text: str) -> tuple[int, str | None]:
    """(4, "prod") from `v4@prod`, (4, None) from `v4`. Raises: UsageError."""
    number, _, environment = text.partition("@")
    return number_of(number), environment or None
