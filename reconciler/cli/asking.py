"""Requests to the daemon as commands make them: values from options, answers as lines."""

from __future__ import annotations

from reconciler.cli.context import home_of, namespace_of, run_name
from reconciler.control import client
from reconciler.errors import LineclearError, UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home


def add_new_run_options(parser: Parser) -> None:
    """The options of commands that make a run."""
    parser.option("-p", "--parameter", metavar="NAME=VALUE", text="a parameter of the run; may be repeated", many=True)
    parser.option("--take-over", metavar="RUN", text="take the locks of this failed run over, ahead of the queue; wants --reason")
    parser.option("--reason", metavar="TEXT", text="why; goes to the journal")


def pairs(args: Args, name: str) -> dict[str, str]:
    """NAME=VALUE options as a mapping; raises UsageError."""
    found: dict[str, str] = {}
    for given in args.many(name):
        key, equals, value = given.partition("=")
        if not equals or not key:
            raise UsageError(f"--{name} wants NAME=VALUE, not {given!r}")
        found[key] = value
    return found


def take_over(args: Args) -> dict[str, str]:
    """The arguments that --take-over and --reason make; raises UsageError for one without the other."""
    if not args.given("take-over"):
        if args.given("reason") and not args.given("override-freeze"):
            raise UsageError("--reason belongs to --take-over, or to --override-freeze of `submit`")
        return {}
    if not args.text("reason").strip():
        raise UsageError("--take-over wants --reason TEXT: the journal says who took a lock over, and why")
    return {"take_over": run_name(args, args.text("take-over")), "reason": args.text("reason")}


def ask(args: Args, verb: str, **values: Any) -> dict[str, Any]:
    """The daemon's answer in the command's namespace. Raises Unreachable, naming pid and age, for a daemon that hangs."""
    return _request(home_of(args), verb, {"namespace": namespace_of(args), **values})


def _request(home: Home, verb: str, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return client.request(home.root, verb, values)
    except client.Hung as error:
        from reconciler.views.daemon import hung

        raise hung(home, str(error)) from error


def act(args: Args, verb: str, values: dict[str, Any]) -> dict[str, Any]:
    """As `ask`, for what must be possible with the daemon down: then this process takes the home's lock and does it itself.

    Raises Unreachable, naming pid and age, for a daemon that hangs.
    """
    from reconciler.cli.context import say
    from reconciler.views.daemon import get_state

    home = home_of(args)
    if get_state(home) is not None:
        return _request(home, verb, values)
    say("No daemon is running: this command takes the home's lock and does it itself; nothing is started.")
    from reconciler.daemon import act_offline

    return act_offline(home.root, verb, values, client.actor())


def for_each(names: list[tuple[str, str]], act: Any) -> int:
    """Calls `act(namespace, name)` for each and prints its line; goes on after an error. The first error's code, or 0."""
    code = 0
    for namespace, name in names:
        try:
            print(clean(act(namespace, name)), flush=True)
        except LineclearError as error:
            if len(names) == 1:
                raise
            from reconciler.cli.context import say

            say(f"lineclear: {error}")
            code = code or error.exit_code
    return code
