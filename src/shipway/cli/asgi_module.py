"""Reads one Python file for ASGI apps, the functions that make them, and the models it asks for. Nothing is executed."""

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

FRAMEWORKS = {
    "blacksheep.Application": "BlackSheep",
    "django.core.asgi.get_asgi_application": "Django",
    "falcon.asgi.App": "Falcon",
    "fastapi.FastAPI": "FastAPI",
    "fastapi.applications.FastAPI": "FastAPI",
    "litestar.Litestar": "Litestar",
    "litestar.app.Litestar": "Litestar",
    "quart.Quart": "Quart",
    "sanic.Sanic": "Sanic",
    "socketio.ASGIApp": "Socket.IO",
    "starlette.applications.Starlette": "Starlette",
}
"""What makes an ASGI app, by full name, and what to call it."""

WSGI_FRAMEWORKS = {"bottle.Bottle": "Bottle", "flask.Flask": "Flask", "flask.app.Flask": "Flask"}

PLAIN = "ASGI function"
APP_NAMES = ("app", "application", "asgi_app", "asgi", "api")
"""What people call the app that a server runs, likeliest first."""


@dataclass(frozen=True, slots=True)
class Found:
    """An ASGI app or a function that makes one, under a name at the top of a module."""

    name: str
    framework: str
    line: int
    is_factory: bool = False


@dataclass(slots=True)
class Module:
    """What one file holds. `makers` are functions and classes that give an app when called, with or without arguments."""

    apps: list[Found] = field(default_factory=list)
    makers: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, str, int]] = field(default_factory=list)
    """Names assigned from a call to something imported: (name, full name of what is called, line)."""
    mounted: set[str] = field(default_factory=set)
    """Full names of apps that this file mounts inside another app."""
    wsgi: list[Found] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    """Full names of the modules imported, also inside functions."""
    openai: bool = False
    openai_elsewhere: bool = False
    """The official client is given a `base_url`: its requests do not go where Shipway says."""
    model_names: set[str | None] = field(default_factory=set)
    """Models that calls name; None stands for one that is computed."""


def read_module(source: bytes, package: str) -> Module:
    """Parse *source*, a file whose relative imports start at *package* (dotted, empty at the top).

    Raises:
        SyntaxError: It is not Python as this interpreter knows it.
        ValueError: It has null bytes or an unknown encoding.
        RecursionError: It is nested too deeply to be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in the user's strings are not ours to report
        tree = ast.parse(source)
    return _Reader(package).read(tree)


class _Reader:
    """The names known so far while a module is read from top to bottom."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.module = Module()
        self.full_names: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.apps: dict[str, Found] = {}

    def read(self, tree: ast.Module) -> Module:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        for statement in _top_level(tree.body):
            self._statement(statement)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._mount(node)
                self._model_call(node)
        self.module.apps = [*self.apps.values(), *self.module.apps]
        return self.module

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.module.imports.add(alias.name)
                self.full_names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        else:
            source = self._absolute(node)
            self.module.imports.add(source)
            for alias in node.names:
                self.full_names[alias.asname or alias.name] = f"{source}.{alias.name}"
        self.module.openai |= any(name.partition(".")[0] == "openai" for name in self.module.imports)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.package.split(".") if self.package else []
        parents = parents[: len(parents) - (node.level - 1)]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    if isinstance(target, ast.Name):
                        self._assign(target.id, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assign(name, value)
            case ast.ClassDef():
                self._class(statement)
            case ast.FunctionDef():
                self._factory(statement)
            case ast.AsyncFunctionDef() if _takes_scope_receive_send(statement.args, skip=0):
                self.apps[statement.name] = Found(statement.name, PLAIN, statement.lineno)
            case _:
                pass

    def _assign(self, name: str, value: ast.expr) -> None:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            self.constants[name] = value.value
        if not isinstance(value, ast.Call | ast.IfExp):
            return
        framework = self._framework(value)
        if framework is None and name in APP_NAMES:
            framework = self._wrapped(value)
        if framework is not None:
            self.apps[name] = Found(name, framework, value.lineno)
        elif isinstance(value, ast.Call) and (called := self._full_name(value.func)):
            if called in WSGI_FRAMEWORKS:
                self.module.wsgi.append(Found(name, WSGI_FRAMEWORKS[called], value.lineno))
            elif "." in called:
                self.module.pending.append((name, called, value.lineno))

    def _framework(self, value: ast.expr) -> str | None:
        """What *value* makes when it is an ASGI app, for all that this file shows."""
        if isinstance(value, ast.IfExp):
            return self._framework(value.body) or self._framework(value.orelse)
        if not isinstance(value, ast.Call):
            return None
        called = self._full_name(value.func)
        return FRAMEWORKS.get(called) or self.module.makers.get(called)

    def _wrapped(self, value: ast.expr) -> str | None:
        """The framework of the app around which `app = Middleware(app, …)` puts a layer."""
        if not isinstance(value, ast.Call):
            return None
        inner = [*value.args[:1], *(keyword.value for keyword in value.keywords if keyword.arg in ("app", "asgi_app"))]
        for argument in inner:
            if isinstance(argument, ast.Name) and argument.id in self.apps:
                return self.apps[argument.id].framework
            if framework := self._framework(argument) or self._wrapped(argument):
                return framework
        return None

    def _class(self, statement: ast.ClassDef) -> None:
        for base in statement.bases:
            name = self._full_name(base)
            if framework := FRAMEWORKS.get(name) or self.module.makers.get(name):
                self.module.makers[statement.name] = framework
                return
        for item in statement.body:
            if (
                isinstance(item, ast.AsyncFunctionDef)
                and item.name == "__call__"
                and _takes_scope_receive_send(item.args, skip=1)
            ):
                self.module.makers[statement.name] = "ASGI class"

    def _factory(self, statement: ast.FunctionDef) -> None:
        framework = self._returned_framework(statement)
        if framework is None:
            return
        self.module.makers[statement.name] = framework
        if not _needs_arguments(statement.args):
            self.module.apps.append(Found(statement.name, framework, statement.lineno, is_factory=True))

    def _returned_framework(self, statement: ast.FunctionDef) -> str | None:
        if statement.returns is not None:
            annotation = statement.returns
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                name = self.full_names.get(annotation.value, annotation.value)
            else:
                name = self._full_name(annotation)
            if name in FRAMEWORKS:
                return FRAMEWORKS[name]
        made: dict[str, str] = {}
        for node in _own_nodes(statement):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ) if framework := self._framework(value):
                    made[name] = framework
                case ast.Return(value=ast.Name(id=name)) if name in made:
                    return made[name]
                case ast.Return(value=ast.Call() as value) if framework := self._framework(value):
                    return framework
                case _:
                    pass
        return None

    def _mount(self, call: ast.Call) -> None:
        if (isinstance(call.func, ast.Attribute) and call.func.attr == "mount") or self._full_name(call.func).endswith(
            ".Mount"
        ):
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                if isinstance(argument, ast.Name | ast.Attribute) and (name := self._full_name(argument)):
                    self.module.mounted.add(name)

    def _model_call(self, call: ast.Call) -> None:
        called = self._full_name(call.func)
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if called.startswith("openai."):
            elsewhere = (
                "base_url" in keywords or None in keywords or called.rpartition(".")[2] not in ("OpenAI", "AsyncOpenAI")
            )
            self.module.openai_elsewhere |= elsewhere
        elif (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in ("create", "parse", "stream")
            and "model" in keywords
        ):
            match keywords["model"]:
                case ast.Constant(value=str(name)):
                    self.module.model_names.add(name)
                case ast.Name(id=name):
                    self.module.model_names.add(self.constants.get(name))
                case _:
                    self.module.model_names.add(None)

    def _full_name(self, expression: ast.expr) -> str:
        """`fastapi.FastAPI` for whatever the file calls it; empty for what is not a dotted name."""
        match expression:
            case ast.Name(id=name):
                return self.full_names.get(name, name)
            case ast.Attribute(value=value, attr=attribute):
                owner = self._full_name(value)
                return f"{owner}.{attribute}" if owner else ""
            case _:
                return ""


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run on import, also inside if, try and with."""
    for statement in body:
        match statement:
            case ast.If(test=test, body=inner, orelse=orelse):
                is_import_time = not any(word in ast.unparse(test) for word in ("__name__", "TYPE_CHECKING"))
                yield from _top_level([*(inner if is_import_time else []), *orelse])
            case ast.Try(body=inner, handlers=handlers, orelse=orelse, finalbody=final):
                yield from _top_level(
                    [*inner, *(each for handler in handlers for each in handler.body), *orelse, *final]
                )
            case ast.With(body=inner):
                yield from _top_level(inner)
            case _:
                yield statement


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes of *function* in source order, without those of functions inside it (route handlers, mostly)."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _takes_scope_receive_send(arguments: ast.arguments, *, skip: int) -> bool:
    names = [argument.arg.lstrip("_") for argument in [*arguments.posonlyargs, *arguments.args]]
    return names[skip:] == ["scope", "receive", "send"]


def _needs_arguments(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional > len(arguments.defaults) or any(default is None for default in arguments.kw_defaults)
