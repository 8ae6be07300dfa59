"""What the commands that deploy have in common: the environment's site, progress, being interrupted, the result."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from shipway.cli.output import make_console, print_hint, print_json, print_warning

if TYPE_CHECKING:
    from shipway.deploy.archive import Archive
    from shipway.deploy.audit import Event
    from shipway.deploy.journal import Entry
    from shipway.deploy.proposals import Proposal
    from shipway.deploy.site import Progress, Site
    from shipway.deploy.state import Store
    from shipway.deploy.steps import Step
    from shipway.secret import Secret
    from shipway.spec.app import App


def open_site(path: Path, environment: str) -> "Site":
    """The environment as the app file at *path* describes it, with its state and its target.

    Raises:
        AppFileError: The file cannot be used, or has no such environment.
        UsageError: Nothing can be deployed to its target.
    """
    import os

    from shipway.deploy.archive import Archive
    from shipway.deploy.candidate import secret_of_version, version_key
    from shipway.deploy.git import revision
    from shipway.deploy.site import Site
    from shipway.deploy.targets import Surroundings, open_target
    from shipway.secret import SecretReference
    from shipway.spec.load import load_app, tables

    app = load_app(path, environment)
    store = _store_of(app)
    archive = Archive(store, app.name)

    def secret(reference: str) -> "Secret":
        return SecretReference.parse(reference).resolve(app.root, os.environ)

    versioned = secret_of_version(secret, lambda: version_key(store, archive.folder(environment), make=False))
    around = Surroundings(app, lambda number: archive.get(number, environment), versioned, secret)
    return Site(
        app=app,
        source=tables(path)[0],
        store=store,
        target=open_target(app.target, around),
        secret=secret,
        weights=weights_of,
        by=who(),
        revision=revision(app.root),
        progress=progress(),
    )


def archive_of(path: Path, environment: str) -> "Archive":
    """The records of releases that *environment* has, whatever its target. Raises: AppFileError."""
    from shipway.deploy.archive import Archive
    from shipway.spec.load import load_app

    app = load_app(path, environment)
    return Archive(_store_of(app), app.name)


def events_of(path: Path, environment: str) -> "list[Event]":
    """What was done to *environment*, the oldest first. Raises: AppFileError."""
    from shipway.deploy.archive import Archive
    from shipway.deploy.audit import Audit
    from shipway.deploy.clock import Clock
    from shipway.spec.load import load_app

    app = load_app(path, environment)
    store = _store_of(app)
    return Audit(store, Archive(store, app.name).folder(environment), who(), Clock()).events()


def unfinished_in(path: Path, environment: str) -> str | None:
    """In words, the change of *environment* that was not finished or is still going on. Raises: AppFileError, StateError."""
    import time

    from shipway.deploy.archive import Archive
    from shipway.deploy.journal import Journal
    from shipway.deploy.lease import is_held
    from shipway.spec.load import load_app

    app = load_app(path, environment)
    store = _store_of(app)
    folder = Archive(store, app.name).folder(environment)
    entry = Journal(store, folder).unfinished()
    return None if entry is None else entry.describe(goes_on=is_held(store, folder, time.time()))


def warn_of_unfinished(environment: str, said: str | None) -> None:
    if said is not None:
        hint = f"when nobody is at it any more: shipway resume {environment}, or: shipway abort {environment}"
        print_warning(make_console(sys.stderr), f"in {environment}, {said}", hint)


def _store_of(app: "App") -> "Store":
    from shipway.deploy.state import DirectoryStore

    return DirectoryStore(app.root / app.settings.state)


def weights_of(app: "App") -> dict[str, str]:
    """The digest of each local model's file. Raises: ModelFileError."""
    import hashlib

    from shipway.local.models import local_targets, model_file

    digests = {}
    for target, _, model in local_targets(app):
        with model_file(model, app.root).open("rb") as file:
            digests[target] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def who() -> str:
    """The person, machine and process, for those who find the environment held."""
    import getpass
    import os
    import platform

    try:
        person = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        person = f"user {os.getuid()}"
    return f"{person}@{platform.node() or 'localhost'} (process {os.getpid()})"


def progress() -> "Progress":
    """On standard error: a line for each step, and what is said meanwhile below it."""
    from shipway.deploy.site import Progress

    console = make_console(sys.stderr)

    def step(number: int, total: int, one: "Step") -> None:
        console.print(f"[{number}/{total}]", style="bold", end=" ")
        console.print(one.describe())

    def line(text: str) -> None:
        for part in text.splitlines():
            console.print(f"    {part}", style="dim")

    return Progress(step, line)


@contextmanager
def interruptible(environment: str) -> Iterator[None]:
    """SIGTERM and SIGHUP end the command by an exception, so that the lease is released; Ctrl-C does so by itself.

    Whoever interrupted is told how it goes on.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        print_hint(
            make_console(sys.stderr),
            f"interrupted; if something was begun: shipway resume {environment}, or: shipway abort {environment}",
        )
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_recovered(site: "Site", entry: "Entry | None", verb: str, *, done: str, as_json: bool) -> None:
    """Say what serves after *entry* was taken up by the command *verb*, in words that begin with *done*."""
    from shipway.deploy.releases import release_name

    current, environment = site.standing.current, site.environment
    name = release_name(current) if current else None
    if as_json:
        what = entry.describe() if entry else None
        print_json({"environment": environment, "release": name, f"{verb.removesuffix('e')}ed": what})
        return
    serves = f"{name} serves in {environment}" if name else f"nothing is deployed to {environment}"
    typer.echo(f"{done}{serves}" if entry else f"nothing to {verb}: {serves}")


def proposal_fields(proposal: "Proposal") -> dict[str, Any]:
    """*proposal* for a program."""
    import msgspec

    return {
        "action": proposal.kind,
        "environment": proposal.release.environment,
        "release": proposal.release.name,
        "current": proposal.current.name if proposal.current else None,
        "changed": not proposal.is_nothing,
        "changes": [msgspec.to_builtins(change) for change in proposal.changes],
        "lost": [".".join(keys) for keys in proposal.losses],
        "steps": [msgspec.to_builtins(step) | {"text": step.describe()} for step in proposal.steps],
    }


def print_done(proposal: "Proposal", *, as_json: bool) -> None:
    """What is true now that *proposal* was carried out."""
    if as_json:
        print_json(proposal_fields(proposal))
        return
    name, environment = proposal.release.name, proposal.release.environment
    if proposal.is_nothing:
        make_console().print(f"nothing to change: {name} serves in {environment}")
        return
    before = f", in place of {proposal.current.name}" if _replaces(proposal) and proposal.current else ""
    make_console().print(f"{name} serves in {environment}{before}", style="bold")


def _replaces(proposal: "Proposal") -> bool:
    return proposal.current is not None and proposal.current.number != proposal.release.number
