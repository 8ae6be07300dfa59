"""One test for each combination: a caller, a provider, streamed or not."""

import pytest

from tests.integration.matrix.callers import CALLERS
from tests.integration.matrix.places import PLACES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, values in (("stream", (False, True)), ("place_name", PLACES), ("caller_name", CALLERS)):
        if name in metafunc.fixturenames:
            ids = ["whole", "streamed"] if name == "stream" else list(map(str, values))
            metafunc.parametrize(name, list(values), ids=ids)
