"""Compiles the modules of the data path with mypyc, from their source as it is (docs/decisions/0014).

    scripts/compile                                 for this checkout
    SHIPWAY_COMPILE=1 pip wheel --no-deps .         a wheel for this platform that has them

Without the compiled build the same source runs as it is. `shipway/compiled.py` chooses between the two.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "src"
_GATEWAY = (
    "admission attempt balancing breaker call call_instruments delivery latency model_api model_calls model_stream "
    "own_calls passed_stream proxy relay request_heads retry_budget service_calls snapshot telemetry upstreams"
)
_HTTP1 = (
    "chunked client_connection connection deadlines exchange known_heads listener outbox pool repeats response_reader running "
    "shortcut unsent upstream_connection"
)
_DIALECTS = "forms model_request openai_media openai_media_stream openai_stream repeated_event unasked_usage"
MODULES = (
    *(f"shipway/gateway/{name}.py" for name in _GATEWAY.split()),
    *(f"shipway/gateway/http1/{name}.py" for name in _HTTP1.split()),
    *(f"shipway/gateway/dialects/{name}.py" for name in _DIALECTS.split()),
    "shipway/monitoring/background_writer.py",
    "shipway/monitoring/instruments.py",
    "shipway/monitoring/logging.py",
    "shipway/security/rate_limiting/fields.py",
    "shipway/security/rate_limiting/gcra.py",
)
"""What runs for each request, but for modules with structs of msgspec (it is compiled itself) and with classes that inherit from
theirs."""

_DIRECT_CALLS = ["-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt"]
"""What is compiled together calls itself directly and not through a table that other libraries could change."""
_COLD = """
struct _object;
__attribute__((cold)) void CPy_AddTraceback(const char *, const char *, int, struct _object *);
__attribute__((cold)) void CPy_TypeErrorTraceback(
    const char *, const char *, int, struct _object *, const char *, struct _object *);
__attribute__((cold)) void CPy_AttributeError(const char *, const char *, const char *, const char *, int, struct _object *);
"""
"""Functions of mypyc's that are called where something was raised. What leads to them, a fifth of all code, is then laid apart
from what runs each time."""
_OPT_LEVEL = "2"
"""As fast as 3, and a tenth smaller: what a request runs has to come from the second cache each time anyway."""


def _module(name: str, file: Path) -> Any:
    """A module of the source without its package: the build may run where its dependencies are not installed."""
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_compiled = _module("shipway.compiled", SOURCE / "shipway" / "compiled.py")
FOLDER = SOURCE / "shipway" / _compiled.FOLDER


def sources() -> tuple[str, ...]:
    """What the build is made from: `MODULES`, and what else of ours they import, as types and constants of it are in them."""
    imported = {
        name.replace(".", "/") + ".py"
        for module in MODULES
        for node in ast.walk(ast.parse((SOURCE / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("shipway.")
        for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names))
    }
    return (*MODULES, *sorted(one for one in imported - {*MODULES} if (SOURCE / one).is_file()))


def compile_modules() -> None:
    """Compile `MODULES` into `FOLDER`, whose earlier content is replaced when all is well.

    Raises:
        SystemExit: the compiler's, after it has said what is wrong.
    """
    from mypyc.build import mypycify
    from setuptools import setup

    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    with tempfile.TemporaryDirectory(prefix="shipway-compile-") as scratch:
        built = Path(scratch) / "built"
        before = Path.cwd()
        os.chdir(SOURCE)  # mypyc names modules by their paths from here
        try:
            options = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={scratch}/mypy"]
            extensions = mypycify(
                [*options, *MODULES],
                group_name=_compiled.LIBRARY.removesuffix("__mypyc"),
                opt_level=_OPT_LEVEL,
                debug_level="0",
                target_dir=scratch,
            )
            if sys.platform == "linux":
                cold = Path(scratch) / "cold.h"
                cold.write_text(_COLD)
                for extension in extensions:  # which share one list
                    extension.extra_compile_args = [
                        *extension.extra_compile_args,
                        *_DIRECT_CALLS,
                        "-include",
                        str(cold),
                    ]
            arguments = ["--quiet", "build_ext", f"--build-lib={built}", f"--build-temp={scratch}/objects"]
            setup(name="shipway-compiled", ext_modules=extensions, script_args=arguments)
        finally:
            os.chdir(before)
        made = Path(scratch) / "made"
        made.mkdir()
        files = {}
        for file in built.rglob(f"*{suffix}"):
            name = ".".join(file.relative_to(built).parts).removesuffix(suffix)
            files[name] = name + suffix
            shutil.copyfile(file, made / files[name])
        digests = {one.removeprefix("shipway/"): _compiled.digest_of(SOURCE / one) for one in sources()}
        manifest = {"suffix": suffix, "files": files, "sources": digests, "recipe": _compiled.digest_of(Path(__file__))}
        (made / _compiled.MANIFEST).write_text(json.dumps(manifest, indent=1))
        fresh = FOLDER.with_name(FOLDER.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(made, fresh)
        shutil.rmtree(FOLDER, ignore_errors=True)
        fresh.rename(FOLDER)


def is_fresh() -> bool:
    """Whether `FOLDER` has what this very recipe makes of these sources."""
    if not _compiled.fresh_files(FOLDER):
        return False
    recipe = json.loads((FOLDER / _compiled.MANIFEST).read_bytes()).get("recipe")
    return bool(recipe == _compiled.digest_of(Path(__file__)))


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts the compiled modules into a wheel, if that is asked for."""

    def dependencies(self) -> list[str]:
        return ["mypy>=2.4,<2.5", "setuptools"] if _is_wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel" and version != "editable" and _is_wanted():
            compile_modules()
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"][str(FOLDER)] = f"shipway/{FOLDER.name}"


def _is_wanted() -> bool:
    return os.environ.get("SHIPWAY_COMPILE", "0") not in {"", "0"}


if __name__ == "__main__":
    if is_fresh():
        print("the compiled modules are up to date", file=sys.stderr)
    else:
        print(f"compiling {len(MODULES)} modules of the data path; this takes a minute or two", file=sys.stderr)
        compile_modules()
        print(f"compiled into {FOLDER.relative_to(ROOT)}", file=sys.stderr)
