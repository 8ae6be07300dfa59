"""What the engine says, in our words: the sentences are those of real engines."""

import pytest

from shipway.deploy.engine.faults import BusyError, MissingError, fault
from shipway.errors import EngineError, NoSpaceError, PortTakenError, RegistryError, ShipwayError


@pytest.mark.parametrize(
    ("said", "status", "kind", "message"),
    [
        (
            "write /var/lib/docker/tmp/x: no space left on device",
            500,
            NoSpaceError,
            "the engine has no space left: write /var/lib/docker/tmp/x: no space left on device",
        ),
        (
            "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:8080 failed: "
            "port is already allocated",
            500,
            PortTakenError,
            "127.0.0.1:8080 is taken on the engine's host",
        ),
        (
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
            404,
            RegistryError,
            "the image does not exist for this machine's platform: "
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
        ),
        (
            "pull access denied for team/api, repository does not exist or may require 'docker login': denied",
            404,
            RegistryError,
            "the registry refuses team/api: pull access denied for team/api, repository does not exist or may require "
            "'docker login': denied",
        ),
        (
            "manifest for python:9 not found: manifest unknown: manifest unknown",
            404,
            MissingError,
            "there is no such image python:9: manifest for python:9 not found: manifest unknown: manifest unknown",
        ),
        (
            'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host',
            500,
            RegistryError,
            'the registry cannot be reached: Get "https://registry.example/v2/": dial tcp: lookup registry.example: '
            "no such host",
        ),
        (
            'could not select device driver "" with capabilities: [[gpu]]',
            500,
            EngineError,
            "the engine has no GPUs to give to containers",
        ),
        ("No such container: x", 404, MissingError, "No such container: x"),
        (
            'Conflict. The container name "/x" is already in use',
            409,
            BusyError,
            'Conflict. The container name "/x" is already in use',
        ),
        ("invalid mount config", 400, EngineError, "the engine refuses: invalid mount config"),
        ("", 500, EngineError, "the engine failed: status 500 without a reason"),
    ],
)
def test_a_sentence_becomes_an_error_with_a_hint(
    said: str, status: int, kind: type[ShipwayError], message: str
) -> None:
    error = fault(said, status)
    assert (type(error), str(error)) == (kind, message)
