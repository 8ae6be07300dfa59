"""Which optional parts the gateway's image has: exactly those that the app file needs."""

import importlib.metadata
from pathlib import Path

import pytest

from shipway.deploy.build_images import gateway_context
from shipway.deploy.operations import deploy, promote, retained_release
from shipway.errors import MissingExtraError, UnsupportedError
from shipway.spec.load import load_app
from tests.deploy.conftest import APP, MakeStage

NEITHER = """
[models.chat]
upstreams = ["openai/gpt-5-mini"]
cache = { ttl = "1h" }
"""
REDIS = """
[models.chat]
upstreams = ["openai/gpt-5-mini"]
cache = { ttl = "1h", store = "redis://10.0.0.9:6379/0" }
"""
AWS = """
[models.chat]
upstreams = ["openai/gpt-5-mini", "bedrock/nova"]
[providers.bedrock]
region = "eu-central-1"
"""
SEMANTIC = """
[models.chat]
upstreams = ["openai/gpt-5-mini"]
cache = { ttl = "1h", semantic = { embeddings = "vectors", threshold = 0.9 } }
[models.vectors]
upstreams = ["openai/text-embedding-3-small"]
"""
KEY = AWS + 'api_key = "env:BEDROCK_KEY"\n'


def _packages(tmp_path: Path, more: str) -> set[str]:
    (tmp_path / "shipway.toml").write_text('name = "shop"\n' + more)
    text = gateway_context(load_app(tmp_path)).entries["requirements/requirements.txt"].content.decode()
    return {line.partition("==")[0] for line in text.splitlines()}


def test_the_gateway_s_image_has_the_extras_that_the_app_file_needs_and_no_others(tmp_path: Path) -> None:
    without = _packages(tmp_path, NEITHER)
    assert {"msgspec", "uvloop"} <= without
    assert _packages(tmp_path, REDIS) - without == {"redis"}
    assert _packages(tmp_path, AWS) - without >= {"botocore", "jmespath", "urllib3"}
    assert _packages(tmp_path, SEMANTIC) - without == {"numpy"}
    assert _packages(tmp_path, KEY) == without


def test_an_extra_that_is_not_installed_is_said_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(MissingExtraError) as error:
        _packages(tmp_path, REDIS)
    assert (error.value.message, error.value.hint) == (
        "a cache in Redis needs the extra 'redis', which is not installed",
        "pip install 'shipway[redis]'",
    )


def test_a_release_whose_gateway_lacks_what_the_next_environment_needs_is_not_promoted(make_stage: MakeStage) -> None:
    stores = f'{NEITHER}[environments.prod.models.chat]\ncache = {{ ttl = "1h", store = "redis://r:6379/0" }}\n'
    stage = make_stage(text=APP.replace("STRATEGY", "rolling") + stores, secrets={"env:OPENAI_API_KEY": "k"})
    number = deploy(stage.site("staging")).release.number
    found = retained_release(stage.site("staging"), number)
    with pytest.raises(UnsupportedError) as error:
        promote(stage.site("prod"), found)
    assert (error.value.message, error.value.hint) == (
        "v1 was built for staging, where its gateway does without a cache in Redis, which prod needs",
        "shipway deploy prod",
    )
