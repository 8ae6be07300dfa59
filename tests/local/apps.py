"""Apps as values, written as TOML in the test that uses them."""

import textwrap
from pathlib import Path

from shipway.spec.app import App
from shipway.spec.load import load_app


def app_of(root: Path, toml: str) -> App:
    """The app that *toml* (without its name, "shop") describes, in the folder *root*."""
    (root / "shipway.toml").write_text('name = "shop"\n' + textwrap.dedent(toml))
    return load_app(root)
