"""`serve`: the daemon in the foreground."""

from __future__ import annotations

import os

from reconciler.cli.context import home_of
from reconciler.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home


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


def check_home(home: Home) -> None:
    """Raises NotFound if there is no home."""
    if not os.path.isdir(home.repository):
        raise NotFound(f"there is no home at {home.root}; make one: lineclear --home {home.root} init")
