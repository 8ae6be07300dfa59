"""What `shipway up` prints when all is ready: the address, the key, and calls to paste. Pure."""

import json
import shlex
from collections.abc import Iterator

from shipway.local.plan import gateway_url
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.services import Example, Route, Service

_QUESTION = "Write one sentence about the sea."


def announcement(app: App, key: Secret, key_file: str) -> str:
    """The whole text. It holds the key: for a terminal, not for a log."""
    rows = [
        f"{app.name} is up at {gateway_url(app)}",
        f"API key: {key.reveal()}",
        f"(from {key_file})",
    ]
    for title, command in calls(app, key):
        rows += ["", f"# {title}", command]
    return "\n".join(rows)


def calls(app: App, key: Secret) -> Iterator[tuple[str, str]]:
    """Title and `curl` command for each call that makes sense for *app*: the first model's, the first service's.

    A command has a row for each option, which most terminals show uncut.
    """
    for model in list(app.models)[:1]:
        body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": _QUESTION}]}
        url = f"{gateway_url(app)}/v1/chat/completions"
        yield f"ask the model {model}", _curl(app, url, key, body)
        yield "the same, streamed", _curl(app, url, key, {**body, "stream": True}, "-N")
    for name, service in list(app.services.items())[:1]:
        example = service.example or Example(path=service.routes[0].path)
        open_to_all = _is_public(service, example.path)
        body_given = dict(example.body) if example.body is not None else None
        yield (
            f"ask the service {name}",
            _curl(app, gateway_url(app) + example.path, None if open_to_all else key, body_given),
        )


def _curl(app: App, url: str, key: Secret | None, body: dict[str, object] | None, *options: str) -> str:
    rows = [["curl", *options, url]]
    if app.gateway.tls is not None:
        rows.append(["--cacert", str(app.root / app.gateway.tls.cert)])
    if key is not None:
        rows.append(["-H", f"Authorization: Bearer {key.reveal()}"])
    if body is not None:
        rows += [["-H", "Content-Type: application/json"], ["-d", json.dumps(body, ensure_ascii=False)]]
    return " \\\n  ".join(map(shlex.join, rows))


def _is_public(service: Service, path: str) -> bool:
    """Whether the route of *service* that *path* falls under is open."""
    bare = path.partition("?")[0]
    matching = [route for route in service.routes if _covers(route, bare)]
    return bool(matching) and service.is_public(max(matching, key=lambda route: len(route.path)))


def _covers(route: Route, path: str) -> bool:
    return route.path == "/" or path == route.path or path.startswith(f"{route.path}/")
