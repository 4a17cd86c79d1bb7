"""`why`: the explanation of one run's waiting."""

from __future__ import annotations

import sys

from reconciler.cli.context import get_run, home_of, namespace_of, now_s, reader_of, say
from reconciler.cli.output import format_of, print_object

LOCKS_SHOWN = 20

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `why`."""
    parser.positional("RUN", "1", "the run's name; @latest is the newest")
    parser.flag("--all", text=f"explain every lock that it waits for, not only the first {LOCKS_SHOWN}")
    parser.output()


def run(args: Args) -> int:
    """Prints why the run does not go on; 0, also if it is not waiting."""
    from reconciler.views.doing import read_boot_id
    from reconciler.views.why import blame_daemon, explain
    from reconciler.views.why_text import why_text

    shape = format_of(args)
    with reader_of(args) as reader:
        row = get_run(reader, namespace_of(args), args.text("RUN"))
        found = explain(reader, row, now_s(), read_boot_id(), -1 if args.flag("all") else LOCKS_SHOWN)
    told, is_running = ("", True) if row["finished_at"] is not None else _look_at_daemon(home_of(args).root)
    if found["state"] == "waiting-for-slot":
        from reconciler.settings import load

        found = blame_daemon(found, load(home_of(args)).parallelism, is_running=is_running)
    if shape in ("table", "wide"):
        sys.stdout.write(why_text(found))
    else:
        print_object(shape, found, f"workflow/{row['name']}")
    if told:
        say(told)
    return 0


def _look_at_daemon(root: str) -> tuple[str, bool]:
    """What is to be said of the daemon, '' if it is well; and whether one is there to start or end anything."""
    from reconciler.control import client
    from reconciler.errors import Unreachable

    try:
        state = client.ping(root)
    except client.NoDaemon:
        text = "No daemon is running, so nothing starts and no lock is handed on; steps that run go on. Start it: lineclear up"
        return text, False
    except Unreachable as error:
        return str(error), True
    if float(state.get("ticked_s_ago") or 0) > client.HUNG_AFTER_S:
        return f"The daemon (pid {state.get('pid')}) has not worked for {state['ticked_s_ago']:.0f} s.", True
    return "", True
