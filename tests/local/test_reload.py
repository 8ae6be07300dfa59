"""Which changes concern which service."""

from pathlib import Path

import pytest

from shipway.local.reload import concerned, is_source

ROOT = Path("/app")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("main.py", True),
        ("package/deep/module.py", True),
        ("templates/page.html", True),
        (".env", True),
        ("data.db", False),
        ("answers.json", False),
        ("notes.log", False),
        (".venv/lib/x.py", False),
        ("node_modules/x/index.js", False),
        ("package/__pycache__/x.py", False),
        (".git/hooks/x.sh", False),
    ],
)
def test_only_what_people_edit_is_source(path: str, expected: bool) -> None:
    assert is_source(ROOT / path, ROOT) is expected


def test_a_folder_ignored_above_the_root_does_not_count() -> None:
    assert is_source(Path("/home/build/app/main.py"), Path("/home/build/app"))


def test_a_change_concerns_the_services_whose_folder_it_is_in() -> None:
    folders = {"web": Path("/app/web"), "api": Path("/app/api"), "all": Path("/app")}

    assert concerned([Path("/app/web/main.py")], folders) == ["web", "all"]
    assert concerned([Path("/app/website/main.py")], folders) == ["all"]
    assert concerned([Path("/app/web/data.db"), Path("/elsewhere/x.py")], folders) == []
