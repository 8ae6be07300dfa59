"""What the commands do: each function holds the lease, finds out what is to be done, and does it."""

from collections.abc import Iterator
from contextlib import contextmanager

from shipway.deploy.archive import Standing
from shipway.deploy.journal import Entry
from shipway.deploy.proposals import Proposal, propose_deploy, propose_promotion, propose_rollback
from shipway.deploy.releases import Release, release_name
from shipway.deploy.runner import Runner, changing
from shipway.deploy.site import Site
from shipway.errors import UnfinishedError, UnknownReleaseError


def deploy(site: Site, *, at_once: bool = False) -> Proposal:
    """Make a release of the app file and have it serve; repair what is there when nothing has changed.

    Args:
        at_once: All traffic moves as soon as the release is healthy, whatever the strategy.

    Returns:
        What was done.

    Raises:
        LeaseHeldError, UnfinishedError: Somebody else is at it, or was.
        NotReadyError, RolledBackError: The release was found wanting; the environment is as it was before.
        ShipwayError: It could not be made or brought there; the message says what is to be done.
    """
    with changing(site) as runner:
        refuse_unfinished(site)
        proposal = propose_deploy(site, site.archive.next_number(), build=True, at_once=at_once)
        if proposal.is_new and (number := site.archive.claim_number()) != proposal.release.number:
            # Another environment took the number meanwhile.
            proposal = propose_deploy(site, number, build=True, at_once=at_once)
        return _done(site, runner, proposal)


def promote(site: Site, release: Release) -> Proposal:
    """Have *release*, which another environment has, serve here. Raises: as `deploy`."""
    with changing(site) as runner:
        refuse_unfinished(site)
        site.archive.take_number(release.number)
        return _done(site, runner, propose_promotion(site, release))


def rollback(site: Site, number: int | None, *, take_over: bool = False) -> Proposal:
    """Have a release serve that did before. An unfinished rollout is superseded: there may be no time for it.

    Raises:
        UnknownReleaseError: There is no such release, or it is not kept any more.
    """
    with changing(site, take_over=take_over) as runner:
        proposal = propose_rollback(site, number)
        return _done(site, runner, proposal, superseded=runner.journal.unfinished())


def resume(site: Site, *, take_over: bool = False) -> Entry | None:
    """Finish what was begun. Returns it, or None when there was nothing."""
    with changing(site, take_over=take_over) as runner:
        entry = runner.journal.unfinished()
        if entry is not None:
            runner.resume(entry)
        return entry


def abort(site: Site, *, take_over: bool = False) -> Entry | None:
    """Return to what was there before what was begun. Returns it, or None when there was nothing."""
    with changing(site, take_over=take_over) as runner:
        entry = runner.journal.unfinished()
        if entry is not None:
            runner.abort(entry)
        return entry


@contextmanager
def destroying(site: Site) -> Iterator[None]:
    """Hold the lease while everything is removed; then nothing is deployed any more. The records of releases stay."""
    with changing(site) as runner:
        # Read while everything is there: records that make no sense, or are of a later Shipway, are to end it before.
        entry = runner.journal.unfinished()
        site.archive.standing(site.environment)
        runner.audit.note("destroy")
        yield
        site.archive.stand(site.environment, Standing())
        if entry is not None:
            runner.journal.finish(entry)


def refuse_unfinished(site: Site) -> None:
    """Raises: UnfinishedError, when somebody began something here and did not finish it."""
    entry = site.unfinished()
    if entry is not None:
        name = site.environment
        raise UnfinishedError(f"in {name}, {entry.describe()}", f"shipway resume {name}, or: shipway abort {name}")


def retained_release(site: Site, number: int) -> Release:
    """A release that served in *site* and is kept: what may be promoted. Raises: UnknownReleaseError."""
    release = site.archive.get(number, site.environment)
    if number not in site.standing.retained:
        raise UnknownReleaseError(
            f"release {release_name(number)} never served in {site.environment}, or is not kept there any more",
            f"shipway releases {site.environment}",
        )
    return release


def _done(site: Site, runner: Runner, proposal: Proposal, superseded: Entry | None = None) -> Proposal:
    if proposal.is_new:
        site.archive.add(proposal.release)
    if superseded is not None or not proposal.is_nothing:
        runner.journal.read()
        runner.run(proposal.entry(site, runner.lease.token, superseded))
    return proposal
