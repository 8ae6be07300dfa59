"""`shipway init`: what it finds in a folder, what it writes, and what it says."""

import os
from pathlib import Path

import pytest

from shipway.cli.asgi_apps import Discovery, find_apps
from shipway.cli.scaffold import app_name
from tests.cli.conftest import Project, Shipway

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def _targets(discovery: Discovery) -> list[str]:
    return [candidate.target for candidate in discovery.candidates]


FOUND = {
    "FastAPI": ({"main.py": FASTAPI}, "main:app", "FastAPI"),
    "an alias": ({"main.py": "import fastapi as f\nserver = f.FastAPI(title='x')\n"}, "main:server", "FastAPI"),
    "an annotation": ({"main.py": "from fastapi import FastAPI\napp: FastAPI = FastAPI()\n"}, "main:app", "FastAPI"),
    "Starlette": (
        {"web.py": "from starlette.applications import Starlette\napp = Starlette(routes=[])\n"},
        "web:app",
        "Starlette",
    ),
    "Litestar": ({"app.py": "from litestar import Litestar\napp = Litestar([])\n"}, "app:app", "Litestar"),
    "Quart": ({"app.py": "import quart\napp = quart.Quart(__name__)\n"}, "app:app", "Quart"),
    "Django": (
        {
            "site1/__init__.py": "",
            "site1/asgi.py": "from django.core.asgi import get_asgi_application\n"
            "application = get_asgi_application()\n",
        },
        "site1.asgi:application",
        "Django",
    ),
    "a plain function": ({"app.py": "async def app(scope, receive, send):\n    pass\n"}, "app:app", "ASGI function"),
    "a plain class": (
        {"app.py": "class App:\n    async def __call__(self, scope, receive, send): ...\n\napp = App()\n"},
        "app:app",
        "ASGI class",
    ),
    "a subclass": (
        {"app.py": "from fastapi import FastAPI\nclass Mine(FastAPI): ...\napp = Mine()\n"},
        "app:app",
        "FastAPI",
    ),
    "middleware around the app": (
        {"app.py": FASTAPI + "from m import Middleware\napp = Middleware(app, level=1)\n"},
        "app:app",
        "FastAPI",
    ),
    "an app made in try and if": (
        {
            "app.py": "from fastapi import FastAPI\ntry:\n    if True:\n        app = FastAPI()\nexcept OSError:\n    raise\n"
        },
        "app:app",
        "FastAPI",
    ),
    "a package": ({"shop/__init__.py": "", "shop/main.py": FASTAPI}, "shop.main:app", "FastAPI"),
    "a namespace package": ({"shop/main.py": FASTAPI}, "shop.main:app", "FastAPI"),
    "a package's __init__": ({"shop/__init__.py": FASTAPI}, "shop:app", "FastAPI"),
    "an app from another file's factory": (
        {
            "shop/__init__.py": "",
            "shop/factory.py": "from fastapi import FastAPI\ndef make(debug):\n    app = FastAPI()\n    return app\n",
            "shop/main.py": "from .factory import make\napp = make(debug=False)\n",
        },
        "shop.main:app",
        "FastAPI",
    ),
}


@pytest.mark.parametrize(("files", "target", "framework"), FOUND.values(), ids=FOUND.keys())
def test_an_app_is_found_and_the_written_file_passes_check(
    shipway: Shipway, project: Project, files: dict[str, str], target: str, framework: str
) -> None:
    root = project(files)
    outcome = shipway("init", root, "--json")
    assert outcome.code == 0
    assert outcome.json["chosen"]["app"] == target
    assert outcome.json["chosen"]["framework"] == framework
    assert (root / "shipway.toml").read_text(encoding="utf-8") == f'name = "shop"\n\n[services.api]\napp = "{target}"\n'
    assert shipway("check", root).code == 0


FACTORIES = {
    "by annotation": "import fastapi\ndef create_app() -> fastapi.FastAPI:\n    return build()\n",
    "by a quoted annotation": "from fastapi import FastAPI\ndef create_app() -> 'FastAPI':\n    return build()\n",
    "by what it returns": "from fastapi import FastAPI\ndef create_app(debug=False, *, x=1):\n    return FastAPI()\n",
    "by a name it returns": (
        "from fastapi import FastAPI\ndef create_app():\n    it = FastAPI()\n    @it.get('/')\n"
        "    def home():\n        return 1\n    return it\n"
    ),
}


@pytest.mark.parametrize("source", FACTORIES.values(), ids=FACTORIES.keys())
def test_a_factory_is_found(shipway: Shipway, project: Project, source: str) -> None:
    root = project({"main.py": source})
    assert shipway("init", root).code == 0
    expected = 'name = "shop"\n\n[services.api]\napp = "main:create_app"\nfactory = true\n'
    assert (root / "shipway.toml").read_text(encoding="utf-8") == expected
    assert shipway("check", root).code == 0


@pytest.mark.parametrize(
    "source",
    [
        "app = 1\n",
        "from fastapi import FastAPI\ndef create_app(settings):\n    return FastAPI()\n",
        "from fastapi import FastAPI\nasync def create_app():\n    return FastAPI()\n",
        "from fastapi import FastAPI\ndef test():\n    app = FastAPI()\n",
        "from fastapi import FastAPI\nif __name__ == '__main__':\n    app = FastAPI()\n",
        "from mine import FastAPI\napp = FastAPI()\n",
        "async def app(request):\n    pass\n",
        "def app(scope, receive, send):\n    pass\n",
    ],
)
def test_what_no_server_could_run_is_not_an_app(project: Project, source: str) -> None:
    assert find_apps(project({"main.py": source})).candidates == ()


def test_a_source_root_becomes_cwd(shipway: Shipway, project: Project) -> None:
    root = project({"src/shop/__init__.py": "", "src/shop/main.py": FASTAPI})
    assert shipway("init", root).code == 0
    assert 'app = "shop.main:app"\ncwd = "src"\n' in (root / "shipway.toml").read_text(encoding="utf-8")
    assert shipway("check", root).code == 0


def test_a_folder_whose_files_import_each_other_by_bare_name_becomes_cwd(project: Project) -> None:
    root = project({"backend/main.py": "import database\n" + FASTAPI, "backend/database.py": ""})
    (candidate,) = find_apps(root).candidates
    assert (candidate.target, candidate.cwd) == ("main:app", "backend")


def test_a_folder_imported_from_the_top_stays_in_the_import_string(project: Project) -> None:
    root = project({"backend/main.py": "from backend import database\n" + FASTAPI, "backend/database.py": ""})
    (candidate,) = find_apps(root).candidates
    assert (candidate.target, candidate.cwd) == ("backend.main:app", ".")


def test_a_folder_that_cannot_be_imported_becomes_cwd(shipway: Shipway, project: Project) -> None:
    root = project({'my "web"-app/main.py': FASTAPI})
    assert shipway("init", root).code == 0
    assert shipway("check", root).code == 0


PREFERENCES = {
    "the usual name": {"main.py": "from fastapi import FastAPI\nadmin = FastAPI()\napp = FastAPI()\n"},
    "the usual file": {"zoo.py": FASTAPI, "api.py": FASTAPI, "main.py": FASTAPI},
    "the top": {"deep/down/main.py": FASTAPI, "main.py": FASTAPI},
    "an object before a factory": {
        "main.py": FASTAPI + "def create_app():\n    return FastAPI()\n",
    },
    "the outer app": {
        "app.py": FASTAPI,
        "main.py": "from fastapi import FastAPI\nimport app as inner\napp = FastAPI()\napp.mount('/v2', inner.app)\n",
    },
    "real code before examples": {"examples/app.py": FASTAPI, "lib/core/web/main.py": FASTAPI},
    "a framework before a helper": {
        "app.py": "async def not_found(scope, receive, send): ...\n",
        "main.py": FASTAPI,
    },
}


@pytest.mark.parametrize("files", PREFERENCES.values(), ids=PREFERENCES.keys())
def test_of_several_apps_the_likeliest_comes_first(project: Project, files: dict[str, str]) -> None:
    targets = _targets(find_apps(project(files)))
    assert len(targets) > 1
    assert targets[0].endswith("main:app")


def test_the_others_are_listed(shipway: Shipway, project: Project) -> None:
    outcome = shipway("init", project({"main.py": FASTAPI, "other.py": FASTAPI}))
    assert outcome.code == 0
    assert (
        "  app: main:app (FastAPI, main.py:2)\nalso found, not used:\n  other:app (FastAPI, other.py:2)\n"
        in outcome.stdout
    )


@pytest.mark.parametrize(
    "place",
    ["tests/main.py", "node_modules/x/main.py", ".hidden/main.py", "test_main.py", "conftest.py", "site-packages/x.py"],
)
def test_what_is_not_the_app_s_own_code_is_skipped(project: Project, place: str) -> None:
    assert find_apps(project({place: FASTAPI})).candidates == ()


def test_a_virtual_environment_of_any_name_is_skipped(project: Project) -> None:
    root = project({"my-env/pyvenv.cfg": "", "my-env/lib/main.py": FASTAPI})
    assert find_apps(root).candidates == ()


def test_a_file_that_no_import_can_name_is_a_remark(shipway: Shipway, project: Project) -> None:
    root = project({"my-app.py": FASTAPI, "deep/er.py": FASTAPI})
    outcome = shipway("init", root)
    assert outcome.code == 0
    assert "app: deep.er:app" in outcome.stdout
    assert "note: my-app.py has an app, and its name is none of a module: rename it" in outcome.stdout


def test_a_loop_of_links_ends(project: Project) -> None:
    root = project({"pkg/main.py": FASTAPI})
    (root / "pkg" / "again").symlink_to(root, target_is_directory=True)
    (root / "loop.py").symlink_to(root / "loop.py")
    os.mkfifo(root / "pipe.py")
    assert _targets(find_apps(root)) == ["pkg.main:app"]


@pytest.mark.parametrize(
    "broken", [b"def (:\n", b"\x00", b"# coding: nonsense\n", b"x = '\xff'\n", b"(" * 5000, b"-" * 100_000 + b"1"]
)
def test_a_broken_file_is_a_remark_and_does_not_stop_the_search(project: Project, broken: bytes) -> None:
    root = project({"main.py": FASTAPI})
    (root / "broken.py").write_bytes(broken)
    discovery = find_apps(root)
    assert _targets(discovery) == ["main:app"]
    (remark,) = discovery.remarks
    assert remark.startswith("broken.py was left out: ")


def test_nothing_is_imported(shipway: Shipway, project: Project, tmp_path: Path) -> None:
    proof = tmp_path / "imported"
    assert shipway("init", project({"main.py": f"open({str(proof)!r}, 'w')\n" + FASTAPI})).code == 0
    assert not proof.exists()


def test_nothing_found_fails_and_shows_the_lines_to_write(shipway: Shipway, project: Project) -> None:
    root = project({"main.py": "from flask import Flask\napp = Flask(__name__)\n"})
    outcome = shipway("init", root)
    assert outcome.code == 1
    assert outcome.stderr == (
        f"error: no ASGI app found in {root}\n"
        "hint: write shipway.toml yourself; three lines do:\n"
        '  name = "shop"\n  [services.api]\n  app = "package.module:app"\n'
        "  (seen: main.py:2 has a Flask app, which speaks WSGI: wrap it with asgiref's WsgiToAsgi, or give a command)\n"
    )
    assert not (root / "shipway.toml").exists()


def test_an_app_file_is_not_replaced_unless_forced(shipway: Shipway, project: Project) -> None:
    root = project({"main.py": FASTAPI, "shipway.toml": "mine"})
    outcome = shipway("init", root)
    assert (outcome.code, outcome.stderr) == (
        1,
        f"error: {root}/shipway.toml is there already\n"
        f"hint: shipway init {root} --force replaces it; shipway check {root} tests it\n",
    )
    assert (root / "shipway.toml").read_text(encoding="utf-8") == "mine"
    assert shipway("init", root, "--force").code == 0
    assert shipway("check", root).code == 0


def test_a_table_in_pyproject_counts_as_an_app_file(shipway: Shipway, project: Project) -> None:
    root = project({"main.py": FASTAPI, "pyproject.toml": '[tool.shipway]\nname = "shop"\n'})
    for options in ([], ["--force"]):
        outcome = shipway("init", root, *options)
        assert outcome.code == 1
        assert outcome.stderr == (
            f"error: {root}/pyproject.toml is there already\n"
            f"hint: shipway check {root} tests it; without [tool.shipway] init writes shipway.toml\n"
        )
    assert not (root / "shipway.toml").exists()


def test_the_next_commands_name_the_folder(shipway: Shipway, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project({"main.py": FASTAPI})
    monkeypatch.chdir(root.parent)
    outcome = shipway("init", root.name)
    assert outcome.stdout.endswith(f"next: shipway check {root.name}, then shipway up {root.name}\n")
    monkeypatch.chdir(root)
    assert shipway("init", "--force").stdout.endswith("next: shipway check, then shipway up\n")


def test_a_folder_that_cannot_be_written_fails_without_leftovers(
    shipway: Shipway, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"main.py": FASTAPI})

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    outcome = shipway("init", root)
    assert (outcome.code, outcome.stderr) == (
        1,
        f"error: cannot write {root}/shipway.toml: No space left on device\n",
    )
    assert sorted(file.name for file in root.iterdir()) == ["main.py"]


@pytest.mark.parametrize("path", ["nowhere", "main.py"])
def test_what_is_not_a_folder_is_a_usage_error(shipway: Shipway, project: Project, path: str) -> None:
    assert shipway("init", project({"main.py": FASTAPI}) / path).code == 2


OPENAI = FASTAPI + "from openai import OpenAI\nclient = OpenAI()\n"


@pytest.mark.parametrize(
    ("model", "key"), [("gpt-5-mini", "gpt-5-mini"), ("gpt-4.1", '"gpt-4.1"'), ("Qwen/Qwen3:4b", '"Qwen/Qwen3:4b"')]
)
def test_models_are_declared_when_the_code_names_them(shipway: Shipway, project: Project, model: str, key: str) -> None:
    source = OPENAI + f"M = {model!r}\ndef f():\n    client.responses.create(model=M, input='x')\n"
    root = project({"main.py": source})
    assert shipway("init", root, "--json").json["models"] == [model]
    text = (root / "shipway.toml").read_text(encoding="utf-8")
    assert text.endswith(f'\n\n[models.{key}]\nupstreams = ["openai/{model}"]\n')
    assert shipway("check", root).code == 0


@pytest.mark.parametrize(
    "source",
    [
        OPENAI,
        OPENAI + "def f(m):\n    client.responses.create(model=m)\n",
        OPENAI.replace("OpenAI()", "OpenAI(base_url='http://x')") + "client.responses.create(model='m')\n",
        OPENAI.replace("OpenAI", "AzureOpenAI") + "client.responses.create(model='m')\n",
        OPENAI.replace("OpenAI()", "OpenAI(**options)") + "client.responses.create(model='m')\n",
        OPENAI + "client.responses.create(model='my model')\n",
    ],
)
def test_models_are_only_mentioned_when_it_is_uncertain(shipway: Shipway, project: Project, source: str) -> None:
    outcome = shipway("init", project({"main.py": source}), "--json")
    assert outcome.json["models"] == []
    assert len(outcome.json["remarks"]) == 1


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop", "my-shop"),
        ("shop_api.v2", "shop-api-v2"),
        ("2fast", "app-2fast"),
        ("äö", "app"),
        ("", "app"),
        ("x" * 80, "x" * 63),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_a_folder_s_name_becomes_a_valid_app_name(folder: str, name: str) -> None:
    assert app_name(folder) == name
