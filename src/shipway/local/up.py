"""`shipway up`: one run of an app on this machine, from the checks before it to the last process ended."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

import msgspec

from shipway.errors import ShipwayError, UsageError
from shipway.local import plan
from shipway.local.allotment import Allotment, allot, endpoints
from shipway.local.announcement import announcement
from shipway.local.guardian import Guardian
from shipway.local.models import model_servers
from shipway.local.output import JsonRenderer, Output, OutputConsole, Renderer, TextRenderer
from shipway.local.preflight import preflight
from shipway.local.relay import Relay
from shipway.local.reload import reload_on_change
from shipway.local.reports import Event
from shipway.local.run_lock import RunLock
from shipway.local.state_folder import StateFolder
from shipway.local.supervisor import Stage, Supervisor
from shipway.local.threads import usable_cores
from shipway.secret import Secret
from shipway.spec.app import App

ENDED_AT_ONCE = 130
"""Exit status after a second Ctrl-C: nothing is left running, but not everything could end in order."""
_SAME_SIGNAL_S = 0.1
"""A wrapper (`uv run`, `make`) may pass on the Ctrl-C that the terminal sent to us too; a person takes longer."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """How to run, apart from what the app file says. Ports replace those of the file."""

    port: int | None = None
    admin_port: int | None = None
    reload: bool = False
    log_format: Literal["text", "json"] = "text"
    verbose: bool = False


def up(app: App, options: UpOptions, gateway_command: tuple[str, ...] = plan.GATEWAY) -> int:
    """Run *app* here until SIGINT, SIGTERM or SIGHUP, then end all in order; a second signal ends all at once.

    To be called from the main thread of a process.

    Returns:
        The exit status: 0 after an orderly end.

    Raises:
        ShipwayError: It cannot start (nothing was started), or a child did not (nothing runs any more).
    """
    app = _with_ports(app, options)
    folder = StateFolder(app.root)
    folder.create()
    with RunLock(folder.lock_file) as lock:
        found = preflight(app, os.environ, reload=options.reload)
        key = folder.development_key()
        models = model_servers(app, found.model_files)
        allotment = allot(app, models)
        folder.write_endpoints(msgspec.json.encode(endpoints(allotment, models)).decode())
        around = plan.Surroundings(
            environ=os.environ,
            service_env=found.service_env,
            key=key,
            endpoints_file=folder.endpoints_file,
            log_format=options.log_format,
            verbose=options.verbose,
            cores=usable_cores(),
            gateway_command=gateway_command,
        )
        stages = plan.stages(app, models, allotment, around)
        try:
            with Guardian((lock.fd,)) as guardian:
                return asyncio.run(_Run(app, options, folder, key, allotment, stages).main(guardian))
        finally:
            allotment.close()


def _with_ports(app: App, options: UpOptions) -> App:
    ports = {"port": options.port, "admin_port": options.admin_port}
    gateway = app.gateway.model_copy(update={name: port for name, port in ports.items() if port is not None})
    if gateway.port == gateway.admin_port:
        raise UsageError(f"port and admin port are both {gateway.port}", "choose another: --admin-port")
    return app.model_copy(update={"gateway": gateway})


class _Run:
    """What happens between the checks and the end."""

    def __init__(
        self, app: App, options: UpOptions, folder: StateFolder, key: Secret, allotment: Allotment, stages: list[Stage]
    ) -> None:
        self._app = app
        self._options = options
        self._folder = folder
        self._key = key
        self._allotment = allotment
        self._stages = stages
        self._asked_to_stop = asyncio.Event()
        self._first_signal_s: float | None = None
        self._at_once = False

    async def main(self, guardian: Guardian) -> int:
        loop = asyncio.get_running_loop()
        names = [child.name for stage in self._stages for child in stage.children]
        output = Output(_renderer(self._options, names), on_lost=lambda: _call_soon(loop, self._asked_to_stop.set))
        supervisor = Supervisor(self._stages, guardian, output)
        staying = asyncio.create_task(guardian.stay())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup the end of the terminal is meant to be ignored. A shell ignores SIGINT for background jobs
            # too, but then whoever sends one means us.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._on_signal, supervisor)
        try:
            await self._run(supervisor, output)
        finally:
            staying.cancel()
            output.close()
        if output.error is not None:
            raise ShipwayError(f"stopped, because nothing can be printed any more: {output.error.strerror}")
        return ENDED_AT_ONCE if self._at_once else 0

    async def _run(self, supervisor: Supervisor, output: Output) -> None:
        """Run until asked to stop. Raises: StartError, once all has ended."""
        running = asyncio.create_task(supervisor.run())
        asked = asyncio.create_task(self._asked_to_stop.wait())
        beside = [
            asyncio.create_task(Relay([one.address for one in self._allotment.replicas_of(name)]).serve(listener))
            for name, listener in self._allotment.relays.items()
        ]
        beside.append(asyncio.create_task(self._once_ready(supervisor, output)))
        try:
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            error = running.exception() if running.done() else None
            asked.cancel()
            running.cancel()
            await asyncio.gather(running, asked, return_exceptions=True)
            output.event(_stopping(supervisor, error))
            # Relays go on: what a service still has to do may need another one.
            await supervisor.stop()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        if error is not None:
            raise error
        output.event(Event("stopped", "all stopped", "good"))

    async def _once_ready(self, supervisor: Supervisor, output: Output) -> None:
        await supervisor.ready.wait()
        output.event(self._ready_event())
        if self._options.reload:
            # By the stage and not by the name: a service may be called "gateway".
            specs = {id(spec) for stage in self._stages if stage.title == plan.SERVICES for spec in stage.children}
            services = [keeper for keeper in supervisor.keepers if id(keeper.spec) in specs]
            try:
                await reload_on_change(services, self._app.source.resolve(), output)
            except (OSError, RuntimeError) as error:  # as when the system's number of watches is used up
                output.event(Event("reload-broken", f"files are not watched any more: {error}", "error"))

    def _ready_event(self) -> Event:
        address = plan.gateway_url(self._app)
        fields: Mapping[str, object] = {
            "address": address,
            "admin_address": plan.admin_address(self._app).url,
            "key_file": str(self._folder.key_file),
            "environment": self._app.environment,
            "services": {name: self._allotment.service_urls[name] for name in self._app.services},
            "models": list(self._app.models),
        }
        if self._options.log_format == "json":  # for logs, so without the key
            return Event("ready", f"{self._app.name} is up at {address}", "good", fields)
        return Event("ready", announcement(self._app, self._key, str(self._folder.key_file)), "good", fields)

    def _on_signal(self, supervisor: Supervisor) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._first_signal_s is None:
            self._first_signal_s = now_s
            self._asked_to_stop.set()
        elif now_s - self._first_signal_s > _SAME_SIGNAL_S:
            self._at_once = True
            supervisor.kill()


def _stopping(supervisor: Supervisor, error: BaseException | None) -> Event:
    if error is not None:  # told in full when everything has ended, but a program reads only these lines
        return Event("failed", "the start failed: stopping what runs", "error", {"error": str(error)})
    message = f"stopping within {supervisor.budget_s:g} s; Ctrl-C again ends all at once"
    return Event("stopping", message, fields={"within_s": supervisor.budget_s})


def _renderer(options: UpOptions, names: list[str]) -> Renderer:
    out = _own_stdout()
    if options.log_format == "json":
        return JsonRenderer(out)
    return TextRenderer(OutputConsole(file=out, highlight=False, markup=False, emoji=False), names)


def _own_stdout() -> TextIO:
    """Standard output, opened once more: a thread that is stuck writing to a paused terminal would otherwise hold the
    lock that the interpreter needs to flush sys.stdout at its end."""
    sys.stdout.flush()
    try:
        number = os.dup(sys.stdout.fileno())
    except (OSError, io.UnsupportedOperation):  # a test's stand-in
        return sys.stdout
    return open(number, "w", encoding=sys.stdout.encoding, errors="backslashreplace")


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop has ended meanwhile
        pass
