"""`fsck`: checks that the rows agree with each other, and with the steps. It never repairs."""

from __future__ import annotations

import sys

from reconciler.cli.context import home_of, reader_of
from reconciler.cli.output import format_of, print_object
from reconciler.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser

_PROBLEMS = 1


def configure(parser: Parser) -> None:
    """Adds the options of `fsck`."""
    parser.option("-o", "--output", metavar="FORMAT", text="table | json | yaml | jsonpath=TEMPLATE")
    parser.note(
        "Checked are the limits of locks, the copies of claims, holders and waiters that have ended, lost wake-ups, epochs,\n"
        "processes without a running step or without a record, the journal's chain, the hooks and settings of the repository,\n"
        "and the file itself. Nothing is changed, and a daemon may be at work meanwhile. Exit code 0: clean; 1: problems were\n"
        "found, with the numbers of their rows and what to do."
    )


def run(args: Args) -> int:
    """Prints what is wrong; 0 if nothing is, else 1."""
    from reconciler.views.clean import clean_lines
    from reconciler.views.integrity import check_all, integrity_object, integrity_text

    shape = format_of(args)
    if shape == "name":
        raise UsageError("what fsck finds has no name; use -o table, json, yaml or jsonpath=TEMPLATE")
    reader, home = reader_of(args), home_of(args)
    problems, notes = check_all(reader, home, is_served=_is_served(home.root))
    reader.close()
    if shape in ("table", "wide"):
        sys.stdout.write(clean_lines(integrity_text(problems, notes)))
    else:
        print_object(shape, integrity_object(problems, notes), "")
    return _PROBLEMS if problems else 0


def _is_served(root: str) -> bool:
    """True if a daemon is there, even one that does not answer."""
    from reconciler.control import client
    from reconciler.errors import Unreachable

    try:
        client.ping(root)
    except client.NoDaemon:
        return False
    except Unreachable:
        return True
    return True
