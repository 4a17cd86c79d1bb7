"""`serve`: the daemon in the foreground."""

from __future__ import annotations

import os

from reconciler.cli.context import home_of
from reconciler.views.whole import check_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `serve`."""
    parser.note("Ends on SIGTERM or SIGINT; steps that run go on, and the next daemon finds them.")


def run(args: Args) -> int:
    """Serves until it is told to end."""
    home = home_of(args)
    check_home(home)
    os.umask(0o077)
    from reconciler.daemon import serve

    return serve(home.root)
