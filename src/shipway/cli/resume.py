"""`shipway resume`: finishes a rollout that stopped on its way."""

from pathlib import Path

from shipway.cli.options import AppOption, AsJson, Environment, TakeOver


def resume(
    environment: Environment, path: AppOption = Path("."), take_over: TakeOver = False, as_json: AsJson = False
) -> int:
    """Finish what a deploy, rollback, promotion or abort began before it was killed or failed.

    What its finished steps started is started again where it is gone. A canary goes on with the step
    that it was at, and with what was counted until then.

    Example: `shipway resume prod`
    """
    from shipway.cli.deploying import interruptible, open_site, print_recovered
    from shipway.deploy import operations

    with interruptible(environment):
        site = open_site(path, environment)
        entry = operations.resume(site, take_over=take_over)
    print_recovered(site, entry, "resume", done="", as_json=as_json)
    return 0
