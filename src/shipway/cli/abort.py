"""`shipway abort`: takes back a rollout that stopped on its way."""

from pathlib import Path

import typer

from shipway.cli.options import AppOption, AsJson, Environment, TakeOver


def abort(
    environment: Environment, path: AppOption = Path("."), take_over: TakeOver = False, as_json: AsJson = False
) -> int:
    """Return to what was there before a deploy, rollback or promotion that was killed or failed began."""
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.output import print_json
    from shipway.deploy import operations
    from shipway.deploy.releases import release_name

    with interruptible(environment):
        site = open_site(path, environment)
        entry = operations.abort(site, take_over=take_over)
    current = site.standing.current
    serves = f"{release_name(current)} serves in {environment}" if current else f"nothing is deployed to {environment}"
    if as_json:
        name = release_name(current) if current else None
        print_json({"environment": environment, "release": name, "aborted": entry.describe() if entry else None})
    else:
        typer.echo(f"taken back: {serves}" if entry else f"nothing to abort: {serves}")
    return 0
