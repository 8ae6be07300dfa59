"""An engine on a real socket that answers one connection and is gone."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.transport import Transport

Serve = Callable[[socket.socket], None]


@contextmanager
def engine_that(serve: Serve, path: Path, requests: list[str] | None = None) -> Iterator[Engine]:
    """A client of an engine at *path* that answers with *serve*; the first line of its request goes to *requests*."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_once, args=(listener, serve, requests))
        thread.start()
        yield Engine(Transport(path))
        thread.join(5)


def says(text: str) -> Serve:
    """Sends *text* and closes."""
    return lambda connection: connection.sendall(text.encode())


def answers(status: int, body: str) -> Serve:
    return says(f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n\r\n{body}")


def _once(listener: socket.socket, serve: Serve, requests: list[str] | None) -> None:
    connection, _ = listener.accept()
    with connection:
        head = connection.recv(65536)
        if requests is not None:
            requests.append(head.partition(b" HTTP/")[0].decode())
        serve(connection)
