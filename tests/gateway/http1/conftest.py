"""What the tests of HTTP share: a service that notes down all it is sent, and a gateway in front of it."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.http1.recorder import Recorder, recorder


@pytest.fixture
async def service() -> AsyncIterator[Recorder]:
    async with recorder() as running:
        yield running
        assert running.faults == []


def public_app(service: Recorder, settings: str = "", timeouts: str = "") -> str:
    """An app file with *service* behind every path, for anybody.

    Args:
        settings: More lines of `[gateway]`.
        timeouts: Lines of `[gateway.timeouts]`.
    """
    return (
        f'name = "app"\n[services.web]\nurl = "{service.url}"\nroutes = [{{ path = "/", public = true }}]\n'
        f'[gateway]\ndrain = "1s"\ngrace = "1ms"\n{settings}[gateway.timeouts]\n{timeouts}'
    )
