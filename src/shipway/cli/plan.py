"""`shipway plan`: what a deploy would do."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shipway.cli.options import AppOption, AsJson, Environment
from shipway.cli.output import make_console, print_json

if TYPE_CHECKING:
    from shipway.deploy.proposals import Proposal

CHANGES = 3
"""Exit code of `--detailed-exitcode` when there is something to do."""


def plan(
    environment: Environment,
    path: AppOption = Path("."),
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help=f"Exit with {CHANGES} when there are changes, with 0 when not.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show what `shipway deploy` would change, and the steps. Builds and changes nothing.

    Settings that the target cannot honour are an error unless the environment's `accept_loss` names them.

    Example: `shipway plan prod --detailed-exitcode`
    """
    from shipway.cli.deploying import open_site, proposal_fields, unfinished_in, warn_of_unfinished
    from shipway.deploy.proposals import propose_deploy

    site = open_site(path, environment)
    unfinished = unfinished_in(path, environment)
    proposal = propose_deploy(site, site.archive.next_number(), build=False)
    if as_json:
        print_json(proposal_fields(proposal) | {"unfinished": unfinished})
    else:
        _print(proposal, f"{site.app.target}, {site.app.settings.rollout.strategy}")
        warn_of_unfinished(environment, unfinished)
    return CHANGES if detailed_exitcode and not proposal.is_nothing else 0


def _print(proposal: "Proposal", how: str) -> None:
    console = make_console()
    release, current = proposal.release, proposal.current
    if proposal.is_nothing:
        console.print(f"{release.environment}: nothing to change, {release.name} serves")
        return
    what = f"{release.name} would be deployed" if current is None else f"{release.name} would replace {current.name}"
    what = f"{release.name} would be repaired" if proposal.kind == "repair" else what
    console.print(f"{release.environment}: {what} ({how})", style="bold")
    colours = {"+": "green", "-": "red", "~": "yellow"}
    for change in proposal.changes:
        console.print(f"  {change}", style=colours[str(change)[0]])
    for keys in proposal.losses:
        console.print(f"  lost there, as the app file accepts: {'.'.join(keys)}", style="yellow")
    for number, step in enumerate(proposal.steps, start=1):
        console.print(f"  {number:2}. {step.describe()}")
