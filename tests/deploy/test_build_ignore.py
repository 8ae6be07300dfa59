"""Which files stay out of an image."""

import pytest

from shipway.deploy.build_ignore import Ignored, patterns_of


@pytest.mark.parametrize(
    ("pattern", "path", "out"),
    [
        ("*.pyc", "a.pyc", True),
        ("*.pyc", "below/a.pyc", False),
        ("**/*.pyc", "a.pyc", True),
        ("**/*.pyc", "below/deeper/a.pyc", True),
        ("docs", "docs/a/b.md", True),
        ("docs", "docs.md", False),
        ("docs/", "docs/a.md", True),
        ("/docs", "docs/a.md", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("data?", "data1/x", True),
        ("data[0-9]", "data1", True),
        ("data[!0-9]", "data1", False),
        ("a.b", "aXb", False),
    ],
)
def test_a_pattern_matches_as_docker_documents_it(pattern: str, path: str, out: bool) -> None:
    assert Ignored([pattern])(path) is out


def test_the_last_pattern_that_matches_decides() -> None:
    ignored = Ignored(["*.md", "!README.md", "README.md.bak"])
    assert [ignored(path) for path in ("a.md", "README.md", "README.md.bak")] == [True, False, True]
    assert not ignored.skips_folder("docs")


def test_credentials_stay_out_and_nothing_lets_the_secrets_of_the_app_file_in() -> None:
    ignored = Ignored(patterns_of("# mine\n!secrets/key\n!ca.pem\n", ["notebooks"], ["secrets/key"]))
    out = [".env", "sub/.env.local", "tls/server.pem", "deploy.key", "secrets/key", "notebooks/a.ipynb"]
    assert [path for path in [*out, "ca.pem", "main.py", "dist/a.js"] if ignored(path)] == out


def test_without_an_ignore_file_the_usual_rubbish_stays_out() -> None:
    ignored = Ignored(patterns_of(None, [], []))
    out = [".git/config", ".venv/bin/python", "a/__pycache__/b.pyc", "web/node_modules/x.js", ".shipway/deploy/x"]
    assert [path for path in [*out, "main.py", "web/index.html"] if ignored(path)] == out
