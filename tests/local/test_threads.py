"""How many threads may compute."""

import pytest

from shipway.local.threads import cores_of_quota, usable_cores


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", None), ("150000 100000\n", 2), ("50000 100000", 1), ("400000 100000", 4), ("", None)],
)
def test_a_container_quota_is_rounded_up_to_cores(cpu_max: str, cores: int | None) -> None:
    assert cores_of_quota(cpu_max) == cores


def test_at_least_one_core_is_usable() -> None:
    assert usable_cores() >= 1
