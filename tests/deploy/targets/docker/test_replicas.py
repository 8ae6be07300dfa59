"""Which address a new replica gets."""

import pytest

from shipway.deploy.targets.docker.replicas import next_address
from shipway.errors import TargetError


@pytest.mark.parametrize(
    ("taken", "address"),
    [
        ([], "10.0.0.2"),
        (["10.0.0.2", "10.0.0.3"], "10.0.0.4"),
        (["10.0.0.3"], "10.0.0.4"),  # not 10.0.0.2, which was free a moment ago for a reason
        (["10.0.0.6"], "10.0.0.2"),
        (["10.0.0.2", "10.0.0.6"], "10.0.0.3"),
    ],
)
def test_the_address_after_the_highest_is_taken_and_then_the_gaps(taken: list[str], address: str) -> None:
    assert next_address("10.0.0.0/29", "10.0.0.1", taken) == address


def test_a_network_without_a_free_address_is_an_error() -> None:
    with pytest.raises(TargetError, match="no free address"):
        next_address("10.0.0.0/30", "10.0.0.1", ["10.0.0.2"])
