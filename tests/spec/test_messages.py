"""What a person reads when a value or a key is wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.errors import Problem
from shipway.spec.app import AppFile
from shipway.spec.load import validated
from shipway.spec.provider_kinds import KINDS
from shipway.spec.wording import listed

API = 'name = "a"\n[services.api]\napp = "main:app"\n'
CANARY = "sk-canary-1b9e"

CASES: list[tuple[str, list[str]]] = [
    ("", ['missing key "name"', "the app has neither services nor models"]),
    (
        'nmae = "a"\n[service.api]\napp = "a:b"',
        [
            'missing key "name"',
            "the app has neither services nor models",
            'nmae: unknown key "nmae" (did you mean "name"?)',
            'service: unknown key "service" (did you mean "services"?)',
        ],
    ),
    (
        API.replace('"a"', '"Ä"'),
        ['name: expected a name of at most 63 lowercase letters, digits and hyphens, a letter first, found "Ä"'],
    ),
    (API + 'rotues = ["/"]', ['services.api.rotues: unknown key "rotues" (did you mean "routes"?)']),
    (API + "Replicas = 2", ['services.api.Replicas: unknown key "Replicas" (did you mean "replicas"?)']),
    (API + "replicas = true", ["services.api.replicas: expected a whole number, found true"]),
    (API + "replicas = 1.0", ["services.api.replicas: expected a whole number, found 1.0"]),
    (API + "replicas = 0", ["services.api.replicas: expected at least 1, found 0"]),
    (API + "replicas = " + "9" * 4000, ["services.api.replicas: expected at most 1000, found a huge number"]),
    (API + "replicas = 0x" + "f" * 20000, ["services.api.replicas: expected at most 1000, found a huge number"]),
    (API + "replicas = 2026-11-01", ["services.api.replicas: expected a whole number, found a date or time"]),
    (API + "public = 1", ["services.api.public: expected true or false, found 1"]),
    (API + "drain = 30", ['services.api.drain: expected a duration such as "30s", found 30 (write "30s")']),
    (API + 'drain = "-5s"', ['services.api.drain: expected more than zero, found "-5s"']),
    (API + 'drain = "0s"', ['services.api.drain: expected more than zero, found "0s"']),
    (
        API + "resources = { memory = 512 }",
        ['services.api.resources.memory: expected a size such as "10MiB", found 512 (write "512B")'],
    ),
    (API + "resources = { cpu = nan }", ["services.api.resources.cpu: expected a finite number, found nan"]),
    (API + "resources = { cpu = 0 }", ["services.api.resources.cpu: expected more than 0, found 0"]),
    (API + "health = true", ["services.api.health: expected a string or a table, found a boolean"]),
    (API + 'health = "up"', ['services.api.health: expected a path such as "/healthz", found "up"']),
    (API + 'cwd = ""', ["services.api.cwd: expected some text, found an empty string"]),
    (API + 'cwd = "a\\u0000b"', ['services.api.cwd: expected one line of text, found "a\\u0000b"']),
    (
        API + "env = { A = 3, B = true, C = {} }",
        [
            "services.api.env.A: expected a string, found a whole number",
            "services.api.env.B: expected a string, found a boolean",
            "services.api.env.C: expected a string, found a table",
        ],
    ),
    (
        API + 'env = { PORT = "1", SHIPWAY_X = "1", "a b" = "1" }',
        [
            "services.api.env.PORT: PORT is set by Shipway itself",
            "services.api.env.SHIPWAY_X: SHIPWAY_X is set by Shipway itself",
            'services.api.env."a b": expected the name of an environment variable such as LOG_LEVEL, found "a b"',
        ],
    ),
    (
        API + "example = { path = '/', json = { at = 2026-11-01 } }",
        ["services.api.example.json: JSON has no dates, times, nan or inf: write them as strings"],
    ),
    (API + "routes = []\npublic = true", ['services.api: "public" has no meaning for a service without routes']),
    (API + 'routes = "/"', ["services.api.routes: expected a list, found a string"]),
    (
        API + 'routes = ["", "/a b", "/{x}", "/a/../b", 3, {}]',
        [
            'services.api.routes[0]: expected a path that starts with "/", found an empty string',
            'services.api.routes[1]: expected a plain path such as "/items", found "/a b"',
            'services.api.routes[2]: routes are prefixes, not patterns: "/{x}"',
            'services.api.routes[3]: expected a plain path such as "/items", found "/a/../b"',
            "services.api.routes[4]: expected a string or a table, found a whole number",
            'services.api.routes[5]: missing key "path"',
        ],
    ),
    (
        API.replace("main:app", "main.py:app"),
        [
            'services.api.app: expected an import string, found the path of a file, "main.py:app" (did you mean "main:app"?)'
        ],
    ),
    (
        API.replace("main:app", "main"),
        ['services.api.app: expected an import string such as "package.module:app", found "main"'],
    ),
    (
        API.replace('app = "main:app"', 'command = "python x.py"'),
        ["services.api.command: expected a list, found a string"],
    ),
    (
        API.replace('app = "main:app"', "command = []"),
        ["services.api.command: the list is empty: it needs at least one entry"],
    ),
    (
        API.replace('app = "main:app"', 'command = [""]'),
        ["services.api.command: the first word, the program, is empty"],
    ),
    (
        API.replace('app = "main:app"', "replicas = 0"),
        [
            'services.api: needs one of "app", "command", "image", "url" or "releases"',
            "services.api.replicas: expected at least 1, found 0",
        ],
    ),
    (
        API + 'url = "http://x/y"',
        [
            'services.api: has "app" and "url"; a service is exactly one of "app", "command", "image", "url" or "releases"',
            'services.api.url: expected "http(s)://host" or "http(s)://host:port" without a path, found "http://x/y"',
        ],
    ),
    (
        API.replace('app = "main:app"', 'url = "http://x"\nreplicas = 2'),
        ['services.api: "replicas" has no meaning for a service that is given by "url"'],
    ),
    (
        API + '[services."ünï"]\napp = "a:b"\nroutes = ["/x"]',
        [
            'services."ünï": expected a name of at most 63 lowercase letters, digits and hyphens, a letter first, found "ünï"'
        ],
    ),
    (
        API + "[gateway]\nport = 0\nadmin_port = 70000",
        [
            "gateway.port: expected at least 1, found 0",
            "gateway.admin_port: expected at most 65535, found 70000",
        ],
    ),
    (API + "[gateway]\nport = 8081", ["gateway: port and admin_port are both 8081"]),
    (
        API + '[gateway]\nhost = "[::1]"\nadmin_host = "1.2.3"',
        [
            'gateway.host: an IPv6 address is written without brackets here, such as "::1"',
            'gateway.admin_host: expected an address or host name such as "127.0.0.1", found "1.2.3"',
        ],
    ),
    (API + '[gateway.tls]\ncert = "a"', ['gateway.tls: missing key "key"']),
    ('name = "a"\n[models.m]\nupstreams = []', ["models.m.upstreams: the list is empty: it needs at least one entry"]),
    ('name = "a"\n[models.m]', ['models.m: needs one of "upstreams" or "releases"']),
    (
        'name = "a"\n[models.m]\nupstreams = ["x", {}, { model = 3 }, { provider = "local", model = "x" }, 5]',
        [
            'models.m.upstreams[0]: expected "provider/model" such as "openai/gpt-5-mini", found "x"',
            'models.m.upstreams[1]: missing key "model", such as "openai/gpt-5-mini"',
            'models.m.upstreams[2]: expected a model such as "openai/gpt-5-mini", found 3',
            'models.m.upstreams[3]: unknown key "provider": both stand in model, as in "openai/gpt-5-mini"',
            "models.m.upstreams[4]: expected a string or a table, found a whole number",
        ],
    ),
    (
        "name = 'a'\n[models.m]\nupstreams = ["
        + ", ".join(f"{{ model = 'local/{i}', weight = {w} }}" for i, w in enumerate(["0", "-1", "nan", "inf", "true"]))
        + "]",
        [
            "models.m.upstreams[0].weight: expected more than 0, found 0",
            "models.m.upstreams[1].weight: expected more than 0, found -1",
            "models.m.upstreams[2].weight: expected a finite number, found nan",
            "models.m.upstreams[3].weight: expected a finite number, found inf",
            "models.m.upstreams[4].weight: expected a number, found true",
        ],
    ),
    (
        API + '[providers.x]\nkind = "opnai"',
        [
            f'providers.x.kind: expected {listed(KINDS)}, found "opnai" (did you mean "openai"?)',
        ],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nslots = 2',
        [
            'providers.x: "slots" has no meaning for a provider of kind "openai"',
            'providers.x: a provider of kind "openai" needs "base_url"',
        ],
    ),
    (
        API + '[providers.local]\nbase_url = "http://x"',
        ['providers.local: "base_url" has no meaning for a provider of kind "local"'],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nbase_url = []\n[providers.y]\nkind = "openai"\nbase_url = 3',
        [
            "providers.x.base_url: the list is empty: it needs at least one entry",
            'providers.y.base_url: expected an address such as "https://api.example.com/v1", or a list of them, '
            "found a whole number",
        ],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nbase_url = ["http://x/v1", 3, "ftp://y"]',
        [
            "providers.x.base_url[1]: expected a string, found 3",
            'providers.x.base_url[2]: expected an address such as "https://api.example.com/v1", found other text',
        ],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nbase_url = ["http://x/v1", "http://y/v1", "http://x/v1/"]',
        ['providers.x.base_url: "http://x/v1" is listed twice'],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nbase_url = "http://x"\nhealth = { start = "1s", failures = 0 }',
        [
            'providers.x: "health" of a provider needs "path"',
            'providers.x: "health.start" has no meaning for a provider: Shipway does not start it',
            "providers.x.health.failures: expected at least 1, found 0",
        ],
    ),
    (
        API + '[providers.x]\nkind = "local"\nhealth = "/health"',
        ['providers.x: "health" has no meaning for a provider of kind "local"'],
    ),
    (
        API + '[providers.x]\nkind = "openai"\nbase_url = "http://x"\nhealth = 3',
        ["providers.x.health: expected a string or a table, found a whole number"],
    ),
    (
        API.replace('app = "main:app"', 'url = "http://x"\nhealth = { interval = "1s" }'),
        ['services.api: "health" needs "path" for a service that is given by "url"'],
    ),
    (
        API + "[limits.default]\nrequests = 60\nburst = 0",
        [
            'limits.default.requests: expected a rate such as "60/min", found 60 (write "60/min")',
            "limits.default.burst: expected at least 1, found 0",
        ],
    ),
    (
        API + '[limits.default]\nrequests = "60/fortnight"',
        ['limits.default.requests: unknown unit "fortnight" in "60/fortnight": write "/s", "/min", "/h" or "/d"'],
    ),
    (API + "[limits.default]\nburst = 5", ['limits.default: missing key "requests"']),
    (API + "[limits]\ndefault = 3", ["limits.default: expected a table, found a whole number"]),
    (
        API + '[limits]\nrequests = "60/min"\ndefalt = {}\nteam = { requests = "5/s" }\ndefault.request = 1',
        [
            'limits.requests: unknown limit "requests"',
            'limits.defalt: unknown limit "defalt" (did you mean "default"?)',
            'limits.team: unknown limit "team": only "default" has a meaning yet',
            'limits.default: missing key "requests"',
            'limits.default.request: unknown key "request" (did you mean "requests"?)',
        ],
    ),
    (
        API.replace('app = "main:app"', "releases = {}"),
        ["services.api.releases: the table is empty: it needs at least one entry"],
    ),
    (
        API + "releases = {}",
        [
            'services.api: has "app" and "releases"; a service is exactly one of "app", "command", "image", "url" or "releases"',
            "services.api.releases: the table is empty: it needs at least one entry",
        ],
    ),
    (
        API.replace('app = "main:app"', 'replicas = 2\nreleases.v1.url = "http://x"'),
        ['services.api: "replicas" has no meaning for a service that is given by "releases"'],
    ),
    (
        API.replace(
            'app = "main:app"', 'releases = { v1 = "http://x", -x = { url = "http://x", weight = -1 }, v2 = {} }'
        ),
        [
            "services.api.releases.v1: expected a table, found a string",
            "services.api.releases.-x: expected the name of a release, at most 63 letters, digits and . _ -, a letter or "
            'digit first, found "-x"',
            "services.api.releases.-x.weight: expected at least 0, found -1",
            'services.api.releases.v2: missing key "url"',
        ],
    ),
    (
        API.replace('app = "main:app"', 'releases.a = { url = "http://x/y", wait = 1 }'),
        [
            'services.api.releases.a.url: expected "http(s)://host" or "http(s)://host:port" without a path, '
            'found "http://x/y"',
            'services.api.releases.a.wait: unknown key "wait" (did you mean "weight"?)',
        ],
    ),
    (
        API.replace('app = "main:app"', 'releases.a.url = ["http://x:0", "http://x:65536"]'),
        [
            'services.api.releases.a.url[0]: expected "http(s)://host" or "http(s)://host:port" without a path, found "http://x:0"',
            'services.api.releases.a.url[1]: expected "http(s)://host" or "http(s)://host:port" without a path, found "http://x:65536"',
        ],
    ),
    (
        API.replace('app = "main:app"', 'releases.v1 = { url = "http://x", weight = 0 }'),
        ["services.api.releases: every release has the weight 0: at least one needs more"],
    ),
    (
        "name = 'a'\n[models.m]\nupstreams = ['local/x']\nreleases.v1.upstreams = ['x']\nbalance = 'weigted'",
        [
            'models.m: has "upstreams" and "releases"; a model has exactly one of "upstreams" or "releases"',
            'models.m.releases.v1.upstreams[0]: expected "provider/model" such as "openai/gpt-5-mini", found "x"',
            'models.m.balance: expected "weighted", "least-in-flight", "lowest-latency" or "prefix-affinity", '
            'found "weigted" (did you mean "weighted"?)',
        ],
    ),
    (
        "name = 'a'\n[models.m.releases]\nv1 = {}\nv2.upstreams = []\nv3 = { upstreams = ['local/x'], weight = inf }",
        [
            'models.m.releases.v1: missing key "upstreams"',
            "models.m.releases.v2.upstreams: the list is empty: it needs at least one entry",
            "models.m.releases.v3.weight: expected a finite number, found inf",
        ],
    ),
    (
        "name = 'a'\n[models.m.releases.v1]\nupstreams = ['local/x']\nweight = 0.0",
        ["models.m.releases: every release has the weight 0: at least one needs more"],
    ),
    (
        API + '[gateway]\nsession_header = "x session"',
        ['gateway.session_header: expected the name of a header such as X-Title, found "x session"'],
    ),
    (
        API + '[gateway]\nsession_header = "Authorization"',
        ["gateway.session_header: the header Authorization holds a secret, not the name of a conversation"],
    ),
    (
        "name = 'a'\nlimits = true\nservices = 3\nmodels = []\nproviders = 'x'\ngateway = true\nenvironments = 1",
        [
            "limits: expected a table, found a boolean",
            "services: expected a table, found a whole number",
            "models: expected a table, found a list",
            "providers: expected a table, found a string",
            "gateway: expected a table, found a boolean",
            "environments: expected a table, found a whole number",
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=range(len(CASES)))
def test_a_wrong_file_has_exactly_these_problems(
    problems: Callable[..., list[str]], text: str, expected: list[str]
) -> None:
    assert sorted(problems(text)) == sorted(expected)


@pytest.mark.parametrize(
    "line",
    [
        f'api_key = "{CANARY}"',
        f'api_key = ["{CANARY}"]',
        f'api_key = "env:{CANARY}"',
        f'api-key = "{CANARY}"',
        f'base_url = "{CANARY}"',
        f'base_url = "https://user:{CANARY}@host/v1"',
        f'base_url = ["https://user:{CANARY}@host/v1", "{CANARY}"]',
        f'base_url = {{ key = "{CANARY}" }}',
        f'headers = "{CANARY}"',
        f'headers = {{ Authorization = "Bearer {CANARY}" }}',
        f'headers = {{ X-Key = ["{CANARY}"] }}',
        f'headers = {{ X-Key = " {CANARY}\\n" }}',
        f'headers = {{ X-Key = "env:{CANARY} x" }}',
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(
    raw_problems: Callable[..., tuple[Problem, ...]], line: str
) -> None:
    found = raw_problems(API + f'[providers.x]\nkind = "openai"\n{line}\n')
    assert found
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("env = { A = 3 }", "put it in quotes"),
        ("cwd = 3", "put it in quotes"),
        ('routes = "/"', 'put it in brackets: ["…"]'),
        ('[limits]\nrequests = "60/min"', "requests belongs into [limits.default]"),
        (
            "[models.m.releases.v1.2]\n[models.m.releases.v1]\nupstreams = ['local/x']",
            'a name with a dot needs quotes, as in releases."v1.2"',
        ),
        (
            "nope = 1",
            "known: app, command, image, url, releases, factory, routes, public, replicas, env, cwd, health, dockerfile, "
            "drain, resources, example",
        ),
    ],
)
def test_a_problem_hints_at_what_to_write(
    raw_problems: Callable[..., tuple[Problem, ...]], line: str, hint: str
) -> None:
    (problem,) = raw_problems(API + line)
    assert problem.hint == hint


def test_problems_have_their_lines_in_the_order_of_the_file(raw_problems: Callable[..., tuple[Problem, ...]]) -> None:
    text = API + 'health = { interval = "x", timeout = 3 }\nroutes = [\n  "x" ]\n[gateway]\nport = 0\n'
    assert [(problem.path, problem.line) for problem in raw_problems(text)] == [
        ("services.api.health.interval", 4),
        ("services.api.health.timeout", 4),
        ("services.api.routes[0]", 6),
        ("gateway.port", 8),
    ]


_KEYS = st.sampled_from(
    ["name", "services", "providers", "models", "gateway", "api", "app", "command", "url", "routes", "path", "public", "env",
     "health", "example", "json", "resources", "cpu", "upstreams", "model", "weight", "kind", "base_url", "headers", "timeouts",
     "tls", "cert", "port", "drain", "releases", "balance", "default", "requests", "burst", "[key]", "", "é"]
)  # fmt: skip
_SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(["/", "a:b", "local/x", "30s", "openai", "60/min", "http://x"]),
)
_TABLES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(list(AppFile.model_fields)),
        st.one_of(_TABLES, st.dictionaries(_KEYS, st.dictionaries(_KEYS, _TABLES))),
    )
)
def test_any_table_loads_or_has_findings_in_our_own_words(table: dict[str, Any]) -> None:
    sections, findings = validated(table)
    assert (sections is None) <= bool(findings)
    for finding in findings:
        assert finding.message.isprintable()
        assert "Input should" not in finding.message
        assert "another value" not in finding.message
