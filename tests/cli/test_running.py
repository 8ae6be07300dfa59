"""`shipway up` and `shipway gateway`, as far as they come before anything runs. The rest is in tests/integration."""

import pytest

from tests.cli.conftest import Project, Shipway

APP = 'name = "shop"\n[services.api]\napp = "main:app"\n'


@pytest.mark.parametrize("command", ["up", "gateway"])
def test_a_broken_app_file_is_said_before_anything_starts(shipway: Shipway, project: Project, command: str) -> None:
    root = project({"shipway.toml": APP.replace("app =", "ap =")})
    outcome = shipway(command, root)
    assert (outcome.code, outcome.stdout) == (1, "")
    needed, unknown, known = outcome.stderr.splitlines()
    assert needed == (
        f'error: {root}/shipway.toml:2:1: services.api: needs one of "app", "command", "image", "url" or "releases"'
    )
    assert unknown == f'error: {root}/shipway.toml:3:1: services.api.ap: unknown key "ap" (did you mean "app"?)'
    assert known.startswith("hint: known: app, command, image, url, releases, ")


@pytest.mark.parametrize("command", ["up", "gateway"])
@pytest.mark.parametrize("arguments", [["nowhere"], ["--port", "70000"], ["--log-format", "xml"]])
def test_wrong_arguments_are_usage_errors(shipway: Shipway, command: str, arguments: list[str]) -> None:
    assert shipway(command, *arguments).code == 2


def test_two_listeners_on_one_port_are_a_usage_error(shipway: Shipway, project: Project) -> None:
    root = project({"shipway.toml": APP, "main.py": ""})
    assert shipway("up", root, "--port", "18999", "--admin-port", "18999").code == 2


def test_the_gateway_alone_needs_addresses(shipway: Shipway, project: Project) -> None:
    outcome = shipway("gateway", project({"shipway.toml": APP, "main.py": ""}))
    assert outcome.code == 1
    assert outcome.stderr.startswith(
        "error: services.api: the gateway has no address for it\nhint: set services.api.url"
    )
