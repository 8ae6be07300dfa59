"""The gateway under mixed traffic for half a minute, by the code of `scripts/bench soak`: nothing grows, nothing is left over."""

from dataclasses import replace

import pytest
import uvloop

from benchmarks.gateway.rounds import split_cores
from benchmarks.soak.run import QUICK, soak
from benchmarks.soak.verdict import findings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SHORT = replace(QUICK, work_s=2.0, rounds=9)


def test_short_soak_finds_nothing() -> None:
    outcome = uvloop.run(soak(SHORT, split_cores().gateway, print))
    assert dict(outcome.wrong) == {}
    assert findings(outcome.samples, SHORT.bounds) == []
