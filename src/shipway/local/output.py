"""Where all lines come together: printed in the order they came, for people or as JSON.

The printing happens in a thread of its own, because a terminal that is paused or a slow reader of the pipe blocks who
writes to it, and the supervisor must go on probing, restarting and listening for Ctrl-C. What waits to be printed is
bounded: a child that writes faster waits, and the pipe to it fills.
"""

import asyncio
import errno
import json
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Protocol, TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

from shipway.local.lines import printable
from shipway.local.reports import Event, Line, Severity

_WAITING_ENTRIES = 2000
_BATCH_ENTRIES = 500
_PAUSE_S = 0.005
_CLOSE_S = 1.0

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
_SEVERITY_STYLES: Mapping[Severity, str] = {"info": "dim", "good": "green", "warning": "yellow", "error": "bold red"}
OWN_NAME = "shipway"

Entry = Event | Line


class Renderer(Protocol):
    """Prints entries. Used by one thread."""

    def show(self, entries: Sequence[Entry]) -> None: ...

    def close(self) -> None: ...


class OutputConsole(Console):
    """rich's console, except that a reader who has left is an error and not the end of the thread."""

    def on_broken_pipe(self) -> None:
        raise


class JsonRenderer:
    """One JSON object a line: `{time, source, stream, line}` for a child's line, `{time, source, event, …}` for ours."""

    def __init__(self, out: TextIO, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._out = out
        self._now = now

    def show(self, entries: Sequence[Entry]) -> None:
        time = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._out.write("".join(_as_json(entry, time) for entry in entries))
        self._out.flush()

    def close(self) -> None: ...


class TextRenderer:
    """Lines behind their padded, coloured names; on a terminal also what is being waited for."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._colour = console.color_system is not None and not console.no_color
        width = max(map(len, (*names, OWN_NAME)))
        styles = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)} | {OWN_NAME: "bold"}
        self._prefixes = {name: (f"{name:<{width}} │ ", style) for name, style in styles.items()}
        self._status: Status | None = None

    def show(self, entries: Sequence[Entry]) -> None:
        lines: list[Text] = []
        for entry in entries:
            if isinstance(entry, Line):
                lines.append(self._line(entry))
            elif entry.kind == "waiting" and self._console.is_terminal and not self._console.is_dumb_terminal:
                self._wait_for(entry.message)
            else:
                lines += self._event(entry)
                if entry.kind in ("ready", "stopping", "failed"):
                    self._wait_for(None)
        if lines:
            self._console.print(Text("\n").join(lines), soft_wrap=True, highlight=False)

    def close(self) -> None:
        self._wait_for(None)

    def _line(self, line: Line) -> Text:
        shown = printable(line.text, colour=self._colour)
        return Text.assemble(self._prefixes[line.source], Text.from_ansi(shown) if "\x1b" in shown else shown)

    def _event(self, event: Event) -> list[Text]:
        if event.kind == "ready":  # has lines to paste, which a name in front would spoil
            return [Text(), *map(Text, event.message.split("\n")), Text()]
        style = _SEVERITY_STYLES[event.severity]
        return [Text.assemble(self._prefixes[OWN_NAME], (row, style)) for row in event.message.split("\n")]

    def _wait_for(self, message: str | None) -> None:
        if message is None:
            if self._status is not None:
                self._status.stop()
                self._status = None
        elif self._status is None:
            self._status = self._console.status(Text(message))
            self._status.start()
        else:
            self._status.update(Text(message))


class Output:
    """Takes events and lines in the event loop, prints them in its thread. Close it to print what is left."""

    def __init__(self, renderer: Renderer, on_lost: Callable[[], None] = lambda: None) -> None:
        """*on_lost* is called once, in the printing thread, when nobody reads what is printed any more."""
        self.error: OSError | None = None
        """Why nothing is printed any more, unless that is because the reader has left."""
        self._renderer = renderer
        self._on_lost = on_lost
        self._waiting: SimpleQueue[Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._print_all, name="output", daemon=True)
        self._thread.start()

    def event(self, event: Event) -> None:
        self._waiting.put(event)

    async def line(self, source: str, stream: str, text: str) -> None:
        """Print one line of a child; waits while too many lines wait already."""
        # The reader is a thread; waking this up for each line would cost more than looking now and then.
        while self._waiting.qsize() >= _WAITING_ENTRIES:  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE_S)
        self._waiting.put(Line(source, stream, text))

    def close(self) -> None:
        """Print what is left, giving a blocked terminal a second and no more."""
        self._waiting.put(None)
        self._thread.join(_CLOSE_S)

    def _print_all(self) -> None:
        lost = False
        closing = False
        while not closing:
            batch: list[Entry | None] = [self._waiting.get()]
            try:
                while len(batch) < _BATCH_ENTRIES:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            closing = None in batch
            if lost:
                continue
            try:
                self._renderer.show([entry for entry in batch if entry is not None])
                if closing:
                    self._renderer.close()
            except Exception as error:
                # Whatever it was, lines must go on being taken, or every child would wait for ever.
                lost = True
                if not isinstance(error, OSError):
                    traceback.print_exc()
                elif not isinstance(error, BrokenPipeError) and error.errno != errno.EIO:  # of a pipe, of a terminal
                    self.error = error
                self._on_lost()


def _as_json(entry: Entry, time: str) -> str:
    fields: dict[str, object]
    if isinstance(entry, Line):
        text = printable(entry.text, colour=False)
        fields = {"time": time, "source": entry.source, "stream": entry.stream, "line": text}
    else:
        fields = {"time": time, "source": OWN_NAME, "event": entry.kind, "severity": entry.severity}
        fields |= {"message": entry.message, **entry.fields}
    return json.dumps(fields, ensure_ascii=False) + "\n"
