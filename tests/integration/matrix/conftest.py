"""One test for each combination: a caller, a provider, streamed or not."""

import pytest

from tests.integration.matrix.callers import CONVERSATIONS
from tests.integration.matrix.places import PLACES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marks = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    given = {name for names in marks for name in ((names,) if isinstance(names, str) else names)}
    for name, values in (("stream", (False, True)), ("place_name", PLACES), ("caller_name", CONVERSATIONS)):
        if name in metafunc.fixturenames and name not in given:
            ids = ["whole", "streamed"] if name == "stream" else list(map(str, values))
            metafunc.parametrize(name, list(values), ids=ids)
