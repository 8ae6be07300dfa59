"""App files with a guarded model, and the hook behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shipway.testing.anthropic_server import FakeAnthropic
from tests.gateway.guards import hooks

CHECK = 'call = "tests.gateway.guards.hooks:check"'
CHECK_ASYNC = 'call = "tests.gateway.guards.hooks:check_async"'


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> hooks.Hook:
    hook = hooks.Hook()
    monkeypatch.setattr(hooks, "current", hook)
    return hook


@pytest.fixture
async def fake_anthropic() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic() as server:
        yield server


def guarded(base_url: str, guard: str = CHECK, *, kind: str = "openai", use: str = '"g"') -> str:
    """An app file whose model `chat` has the guard `g`."""
    return (
        f'name = "app"\n[providers.p]\nkind = "{kind}"\nbase_url = "{base_url}"\n'
        f'[guards.g]\n{guard}\n[models.chat]\nupstreams = ["p/m"]\nguards = [{use}]\n'
        '[gateway]\ndrain = "1s"\ngrace = "1ms"\n'
    )
