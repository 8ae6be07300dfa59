"""`shipway abort`: takes back a rollout that stopped on its way."""

from pathlib import Path

from shipway.cli.options import AppOption, AsJson, Environment, TakeOver


def abort(
    environment: Environment, path: AppOption = Path("."), take_over: TakeOver = False, as_json: AsJson = False
) -> int:
    """Return to what was there before a deploy, rollback or promotion that was killed or failed began.

    Example: `shipway abort prod`
    """
    from shipway.cli.deploying import interruptible, open_site, print_recovered
    from shipway.deploy import operations

    with interruptible(environment):
        site = open_site(path, environment)
        entry = operations.abort(site, take_over=take_over)
    print_recovered(site, entry, "abort", done="taken back: ", as_json=as_json)
    return 0
