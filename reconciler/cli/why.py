"""`why`: the explanation of one run's waiting."""

from __future__ import annotations

import sys

from reconciler.cli.context import get_run, home_of, namespace_of, now_s, reader_of, say
from reconciler.cli.output import format_of, print_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `why`."""
    parser.positional("RUN", "1", "the run's name; @latest is the newest")
    parser.output()


def run(args: Args) -> int:
    """Prints why the run does not go on; 0, also if it is not waiting."""
    from reconciler.views.doing import read_boot_id
    from reconciler.views.why import explain, why_text

    shape = format_of(args)
    with reader_of(args) as reader:
        row = get_run(reader, namespace_of(args), args.text("RUN"))
        found = explain(reader, row, now_s(), read_boot_id())
    if shape in ("table", "wide"):
        sys.stdout.write(why_text(found))
    else:
        print_object(shape, found, f"workflow/{row['name']}")
    if row["finished_at"] is None:
        _warn_without_daemon(home_of(args).root)
    return 0


def _warn_without_daemon(root: str) -> None:
    """Says so if nobody is there to start or end anything."""
    from reconciler.control import client
    from reconciler.errors import Unreachable

    try:
        state = client.ping(root)
    except client.NoDaemon:
        say("No daemon is running, so nothing starts and no lock is handed on; steps that run go on. Start it: lineclear up")
    except Unreachable as error:
        say(str(error))
    else:
        if float(state.get("ticked_s_ago") or 0) > client.HUNG_AFTER_S:
            say(f"The daemon (pid {state.get('pid')}) has not worked for {state['ticked_s_ago']:.0f} s.")
