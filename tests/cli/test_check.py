"""`shipway check`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Project, Shipway

GOOD = """
name = "shop"

[services.api]
app = "main:app"
routes = ["/items", "/users"]
replicas = 2

[models.chat]
upstreams = ["openai/gpt-5-mini", "local/smollm2-135m-instruct"]

[environments.prod]
"""


def test_a_good_file_is_summarised(shipway: Shipway, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    outcome = shipway("check", project({"shipway.toml": GOOD, "main.py": ""}))
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout == (
        "shop in dev: ok\n"
        "  service api: /items /users (app, 2 replicas)\n"
        "  model chat: openai/gpt-5-mini, local/smollm2-135m-instruct\n"
        "  environments: dev, prod\n"
    )


def test_the_summary_is_json_for_programs(shipway: Shipway, project: Project) -> None:
    root = project({"shipway.toml": GOOD, "main.py": ""})
    outcome = shipway("check", root, "--environment", "prod", "--json")
    assert outcome.code == 0
    assert outcome.json == {
        "name": "shop",
        "source": str(root / "shipway.toml"),
        "environment": "prod",
        "environments": ["dev", "prod"],
        "services": {"api": {"source": "app", "routes": ["/items", "/users"], "replicas": 2}},
        "models": {"chat": {"upstreams": ["openai/gpt-5-mini", "local/smollm2-135m-instruct"]}},
        "warnings": [
            {
                "path": "providers.openai.api_key",
                "message": "the environment variable OPENAI_API_KEY is not set",
                "hint": "export OPENAI_API_KEY=…",
                "line": None,
                "column": None,
            }
        ],
    }


def test_every_problem_is_said_at_once(shipway: Shipway, project: Project) -> None:
    text = GOOD.replace("openai/", "opnai/").replace("replicas = 2", "replicas = 0")
    root = project({"shipway.toml": text})
    outcome = shipway("check", root)
    assert (outcome.code, outcome.stderr) == (
        1,
        f"error: {root}/shipway.toml:7:1: services.api.replicas: expected at least 1, found 0\n"
        f"error: {root}/shipway.toml:10:14: models.chat.upstreams[0]: "
        'unknown provider "opnai" (did you mean "openai"?)\n'
        'hint: known: "anthropic", "bedrock", "gemini", "local" and "openai"; '
        "others need a section [providers.NAME]\n",
    )


def test_problems_are_json_for_programs(shipway: Shipway, project: Project) -> None:
    outcome = shipway("check", project({"shipway.toml": GOOD.replace("openai/", "opnai/")}), "--json")
    assert (outcome.code, outcome.stderr) == (1, "")
    assert outcome.json["error"]["code"] == "app-file"
    assert [problem["path"] for problem in outcome.json["error"]["problems"]] == ["models.chat.upstreams[0]"]


def test_a_module_that_is_not_there_fails(shipway: Shipway, project: Project) -> None:
    root = project({"shipway.toml": GOOD, "app.py": ""})
    outcome = shipway("check", root)
    assert outcome.code == 1
    assert outcome.stderr.startswith(f'error: {root}/shipway.toml: services.api.app: no module "main" in {root},')


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("main", {"main.py": "raise SystemExit('imported')"}),
        ("web.main", {"web/main.py": ""}),
        ("web", {"web/__init__.py": ""}),
        ("starlette.applications", {}),
    ],
)
def test_modules_are_found_without_importing_them(
    shipway: Shipway, project: Project, module: str, files: dict[str, str]
) -> None:
    text = f'name = "shop"\n[services.api]\napp = "{module}:app"\n'
    assert shipway("check", project({"shipway.toml": text, **files})).code == 0


def test_cwd_is_where_the_module_is_looked_for(shipway: Shipway, project: Project) -> None:
    text = 'name = "shop"\n[services.api]\napp = "shop.main:app"\ncwd = "src"\n'
    assert shipway("check", project({"shipway.toml": text, "src/shop/main.py": ""})).code == 0


def test_a_secret_that_is_not_set_warns_and_is_not_an_error(shipway: Shipway, project: Project) -> None:
    text = (
        'name = "shop"\n[services.api]\ncommand = ["true"]\n'
        'env = { TOKEN = "env:SHOP_TOKEN", OTHER = "file:missing", PLAIN = "x" }\n'
    )
    outcome = shipway("check", project({"shipway.toml": text}))
    assert outcome.code == 0
    assert outcome.stderr.count("warning: services.api.env.") == 2


def test_a_model_file_that_is_not_here_warns_and_is_not_an_error(shipway: Shipway, project: Project) -> None:
    text = 'name = "shop"\n[models.chat]\nupstreams = ["local/gone.gguf", "local/short.gguf"]\n'
    root = project({"shipway.toml": text, "short.gguf": "GGUF"})
    outcome = shipway("check", root, "--json")
    assert outcome.code == 0
    assert [(warning["path"], warning["message"]) for warning in outcome.json["warnings"]] == [
        ("models.chat.upstreams[0]", f"there is no model file {root}/gone.gguf"),
        ("models.chat.upstreams[1]", f"the model file {root}/short.gguf is cut off: it ends within its head"),
    ]


def test_a_local_model_that_nobody_knows_fails(shipway: Shipway, project: Project) -> None:
    text = 'name = "shop"\n[models.chat]\nupstreams = ["local/smollm2-135m-instuct"]\n'
    root = project({"shipway.toml": text})
    outcome = shipway("check", root)
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.stderr == (
        f'error: {root}/shipway.toml: models.chat.upstreams[0]: unknown local model "smollm2-135m-instuct" '
        '(did you mean "smollm2-135m-instruct"?)\n'
        "hint: for a file of your own write its path, which ends in .gguf\n"
    )


def test_providers_that_no_model_uses_need_no_key(shipway: Shipway, project: Project) -> None:
    text = 'name = "shop"\n[models.chat]\nupstreams = ["local/smollm2-135m-instruct"]\n'
    assert shipway("check", project({"shipway.toml": text}), "--json").json["warnings"] == []


def test_a_secret_s_value_is_never_printed(shipway: Shipway, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    root = project({"shipway.toml": GOOD, "main.py": ""})
    for outcome in (shipway("check", root), shipway("check", root, "--json")):
        assert "sk-canary" not in outcome.stdout + outcome.stderr


def test_a_path_that_is_not_there_is_a_usage_error(shipway: Shipway, tmp_path: Path) -> None:
    assert shipway("check", tmp_path / "nowhere").code == 2


def test_a_folder_without_an_app_file_says_what_makes_one(shipway: Shipway, tmp_path: Path) -> None:
    outcome = shipway("check", tmp_path)
    assert (outcome.code, outcome.stderr) == (
        1,
        f"error: {tmp_path}: there is no shipway.toml here\nhint: shipway init\n",
    )


def test_an_unknown_environment_fails(shipway: Shipway, project: Project) -> None:
    root = project({"shipway.toml": GOOD, "main.py": ""})
    outcome = shipway("check", root, "--environment", "prd")
    assert (outcome.code, outcome.stderr) == (
        1,
        f'error: {root}/shipway.toml:12:1: environments: unknown environment "prd" (did you mean "prod"?)\n'
        'hint: known: "dev" and "prod"; one more is [environments.prd] with a target, such as "docker"\n',
    )


def test_a_guard_whose_module_is_not_there_is_a_problem(shipway: Shipway, project: Project) -> None:
    text = 'name = "a"\n[models.chat]\nupstreams = ["openai/x"]\nguards = ["g"]\n[guards.g]\ncall = "my_guards:check"\n'
    root = project({"shipway.toml": text})
    outcome = shipway("check", root)
    assert (outcome.code, outcome.stderr) == (
        1,
        f'error: {root}/shipway.toml: guards.g.call: no module "my_guards" in {root}, and none is installed\n'
        "hint: a guard's module is looked for in the folder of the app file\n",
    )
    assert shipway("check", project({"my_guards.py": ""})).code == 0


MONEY = """
name = "a"
[models.chat]
upstreams = ["openai/gpt-5-mini", { model = "own/m", price = { input = "1 USD/Mtok" } }, "own/n"]
[providers.own]
kind = "openai"
base_url = "http://10.0.0.7:8000/v1"
"""


def test_an_unknown_price_matters_where_cost_is_an_objective(shipway: Shipway, project: Project) -> None:
    def warnings(text: str) -> list[str]:
        found = shipway("check", project({"shipway.toml": text}), "--json").json["warnings"]
        return [one["path"] for one in found if "costs" in one["message"]]

    assert warnings(MONEY) == []
    assert warnings(MONEY + '[objectives]\ncost = "95% under 0.02 USD"\n') == ["models.chat.upstreams[2]"]
