"""The published schema and reference page."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shipway.spec.examples import EXAMPLES
from shipway.spec.load import load_app
from shipway.spec.reference import reference_markdown
from shipway.spec.schema import json_schema

DOCS = Path(__file__).parents[2] / "docs"
API = 'name = "a"\n[services.api]\napp = "main:app"\n'


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_published_files_are_fresh() -> None:
    command = "run: python -m shipway.spec.reference docs"
    assert json.loads((DOCS / "shipway.schema.json").read_text()) == json_schema(), command
    assert (DOCS / "reference" / "app-file.md").read_text() == reference_markdown(), command


def test_every_setting_has_a_description() -> None:
    assert list(_undescribed(json_schema(), json_schema(), "")) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_reference_loads_and_is_valid(
    validator: jsonschema.Draft202012Validator, name: str, tmp_path: Path
) -> None:
    (tmp_path / "shipway.toml").write_text(EXAMPLES[name])
    load_app(tmp_path)
    validator.validate(tomllib.loads(EXAMPLES[name]))
    assert EXAMPLES[name].strip() in reference_markdown()


@pytest.mark.parametrize(
    "text",
    [
        API + 'health = "/up"\nexample = "/x"\nroutes = ["/", { path = "/p", public = true }]\n',
        API + "[providers.openai]\napi_key = 'env:X'\n[providers.local]\nslots = 4\n",
        API + '[environments.prod]\ntarget = "local"\nservices.api.health.interval = "1s"\n',
        API + '[environments.prod.gateway]\ntls.cert = "a.pem"\ntimeouts.idle = "1.5s"\n',
        API + '[limits.default]\nrequests = "1.5k/h"\nburst = 3\n[environments.p.limits.default]\nburst = 2\n',
        API + '[providers.x]\nkind = "openai"\nbase_url = ["http://x", "http://y/v1"]\nhealth = "/health"\n',
        API + '[gateway]\nsession_header = "X-Thread"\n',
        'name = "a"\n[services.api.releases]\n"v1.2" = { url = "http://x", weight = 0 }\nB_2 = { url = "http://y" }\n',
        'name = "a"\n[models.m]\nbalance = "lowest-latency"\nreleases."v1.2" = { upstreams = ["local/x"], weight = 9 }\n',
        API + "[environments.p.services.api.releases.v1]\nweight = 3\n",
        'name = "a"\nmodels.m.upstreams = ["local/a/b.gguf", { model = "openai/x", weight = 2.5 }]\n',
        API + '[environments.p]\ntarget = "docker"\nrollout = "canary"\naccept_loss = ["services.*.resources.gpu"]\n',
        API + '[environments.p.rollout]\nstrategy = "canary"\nsteps = ["1%", "12.5%"]\nmin_time = "5m"\n',
        API + '[objectives]\navailability = "99.9%"\nlatency = "95% under 1.5s"\n[environments.p.objectives]\n',
        API + '[build]\nbase_image = "python:3.13"\n',
    ],
)
def test_the_schema_accepts_what_the_file_may_say(validator: jsonschema.Draft202012Validator, text: str) -> None:
    validator.validate(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        'name = "a"\n',
        'name = "A"\n[services.api]\napp = "main:app"\n',
        API + "replicas = 0\n",
        API + "drain = 30\n",
        API + 'drain = "30"\n',
        API + 'drain = "30 parsecs"\n',
        API + "rotues = []\n",
        API + 'image = "a:1"\n',
        API + 'routes = ["api"]\n',
        API + "env = { A = 1 }\n",
        API + 'env = { "a b" = "1" }\n',
        API + "health = { path = 3 }\n",
        API + "[gateway]\nport = 70000\n",
        API + '[gateway.tls]\ncert = "a"\n',
        API + '[providers.x]\nkind = "openai"\n',
        API + '[providers.x]\nkind = "azure"\n',
        API + '[providers.x]\nbase_url = "http://x"\n',
        API + '[providers.x]\nkind = "openai"\nbase_url = "http://x"\napi_key = "sk-123"\n',
        API + '[services.Web]\napp = "a:b"\n',
        API + '[environments.prod]\ntarget = "mars"\n',
        API + "[environments.prod.services.api]\nreplicas = 0\n",
        API + "[environments.prod.services.api]\nrotues = []\n",
        API + "[environments.prod]\nname = 'b'\n",
        'name = "a"\nmodels.m.upstreams = []\n',
        'name = "a"\nmodels.m.balance = "weighted"\n',
        'name = "a"\nmodels.m = { upstreams = ["local/x"], balance = "random" }\n',
        'name = "a"\nmodels.m = { upstreams = ["local/x"], releases.v1.upstreams = ["local/x"] }\n',
        'name = "a"\nmodels.m.releases.v1.weight = 1\n',
        'name = "a"\nmodels.m.releases.v1 = { upstreams = ["local/x"], weight = -1 }\n',
        'name = "a"\nservices.s.releases = {}\n',
        'name = "a"\nservices.s.releases.v1 = "http://x"\n',
        'name = "a"\nservices.s.releases."a b".url = "http://x"\n',
        API + 'releases.v1.url = "http://x"\n',
        API + "[limits.default]\nrequests = 60\n",
        API + '[limits.default]\nrequests = "60/fortnight"\n',
        API + "[limits.default]\nburst = 3\n",
        API + '[limits.team]\nrequests = "1/s"\n',
        API + '[gateway]\nsession_header = "a b"\n',
        API + '[providers.x]\nkind = "openai"\nbase_url = []\n',
        API + '[providers.x]\nkind = "openai"\nbase_url = ["http://x", "y"]\n',
        'name = "a"\nmodels.m.upstreams = ["x"]\n',
        'name = "a"\nmodels.m.upstreams = [{ model = "local/x", weight = 0 }]\n',
        'name = "a"\nmodels.m.upstreams = [{ provider = "local", model = "x" }]\n',
        API + '[environments.p]\nrollout = "carnary"\n',
        API + "[environments.p]\nretain = 0\n",
        API + '[environments.p]\naccept_loss = ["gpu"]\n',
        API + '[environments.p.rollout]\nsteps = ["100%"]\n',
        API + "[environments.p.rollout]\nsteps = []\n",
        API + "[objectives]\navailability = 0.99\n",
        API + '[objectives]\nlatency = "1.5s"\n',
        API + '[environments.p.build]\nbase_image = "python:3.13"\n',
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator: jsonschema.Draft202012Validator, text: str) -> None:
    assert list(validator.iter_errors(tomllib.loads(text)))


def _undescribed(schema: dict[str, Any], node: Any, place: str) -> list[str]:
    missing = []
    if isinstance(node, dict):
        for key, value in node.get("properties", {}).items() if isinstance(node.get("properties"), dict) else ():
            target = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            if not (value.get("description") or target.get("description")):
                missing.append(f"{place}.{key}")
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in ("if", "then"):
                missing += _undescribed(schema, value, f"{place}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            missing += _undescribed(schema, value, f"{place}[{index}]")
    return missing
