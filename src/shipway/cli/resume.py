"""`shipway resume`: finishes a rollout that stopped on its way."""

from pathlib import Path

import typer

from shipway.cli.options import AppOption, AsJson, Environment, TakeOver


def resume(
    environment: Environment, path: AppOption = Path("."), take_over: TakeOver = False, as_json: AsJson = False
) -> int:
    """Finish what a deploy, rollback, promotion or abort began before it was killed or failed.

    What its finished steps started is started again where it is gone. A canary goes on with the step
    that it was at, and with what was counted until then.
    """
    from shipway.cli.deploying import interruptible, open_site
    from shipway.cli.output import print_json
    from shipway.deploy import operations
    from shipway.deploy.releases import release_name

    with interruptible(environment):
        site = open_site(path, environment)
        entry = operations.resume(site, take_over=take_over)
    current = site.standing.current
    serves = f"{release_name(current)} serves in {environment}" if current else f"nothing is deployed to {environment}"
    if as_json:
        name = release_name(current) if current else None
        print_json({"environment": environment, "release": name, "resumed": entry.describe() if entry else None})
    else:
        typer.echo(serves if entry else f"nothing to resume: {serves}")
    return 0
