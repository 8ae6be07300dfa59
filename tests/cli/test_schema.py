"""`shipway schema`."""

import json
from pathlib import Path

from shipway.spec.schema import json_schema
from tests.cli.conftest import Shipway


def test_the_schema_is_printed_as_json(shipway: Shipway) -> None:
    outcome = shipway("schema")
    assert (outcome.code, outcome.json) == (0, json_schema())


def test_the_schema_goes_to_a_file(shipway: Shipway, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    outcome = shipway("schema", "--output", file, "--json")
    assert (outcome.code, outcome.json) == (0, {"written": str(file)})
    assert json.loads(file.read_text(encoding="utf-8")) == json_schema()


def test_a_file_that_cannot_be_written_is_a_usage_error(shipway: Shipway, tmp_path: Path) -> None:
    outcome = shipway("schema", "--output", tmp_path / "nowhere" / "schema.json")
    assert outcome.code == 2
    assert outcome.stderr.startswith(f"error: cannot write {tmp_path}/nowhere/schema.json: No such file")
