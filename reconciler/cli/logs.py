"""`logs`: what the steps of a run wrote."""

from __future__ import annotations

from reconciler.cli.context import get_run, home_of, namespace_of, reader_of, say
from reconciler.cli.follow import LogChoice, LogPrinter, follow_logs
from reconciler.errors import NotFound, UsageError
from reconciler.store import read_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Callable

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader

_SHOWN = 8


def configure(parser: Parser) -> None:
    """Adds the options of `logs`."""
    parser.positional("RUN", "1", "the run's name; @latest is the newest")
    parser.positional("NODE", "?", "only this step, by the name that `get` shows")
    parser.flag("-f", "--follow", text="go on until the run ends; steps that begin meanwhile are printed too")
    parser.option("--tail", metavar="N", text="only the last N lines of each step")
    parser.option("--grep", metavar="PATTERN", text="only lines in which this regular expression is found")
    parser.option("-c", "--container", metavar="NAME", text="accepted for Argo's sake; a step has one log")
    parser.note("Each line begins with its step's name. A terminal gets control characters as text, a pipe the raw bytes.")


def run(args: Args) -> int:
    """Prints the logs; 0, whatever became of the run."""
    tail = args.count("tail", 0) if args.given("tail") else None
    choice = LogChoice(args.text("NODE"), tail, _pattern(args))
    reader = reader_of(args)
    row = get_run(reader, namespace_of(args), args.text("RUN"))
    if choice.node and (row["finished_at"] is not None or not args.flag("follow")):
        _check_node(reader, row, choice.node)
    printer = LogPrinter(home_of(args), row["id"], choice)
    if args.flag("follow"):
        follow_logs(reader, printer, row["id"])
    else:
        printer.print_new(reader, whole=True)
    if not printer.has_read:
        say(f"{row['name']} ({row['phase']}): no step has written anything" + (f" as {choice.node}" if choice.node else ""))
    reader.close()
    return 0


def _check_node(reader: Reader, row: Row, word: str) -> None:
    """Raises NotFound if no node of the run has this name; not for one that is followed and may still get it."""
    nodes = read_runs.list_nodes(reader, row["id"])
    if not any(word in (node["display"], node["name"], node["name"].removeprefix(".")) for node in nodes):
        names = ", ".join(node["display"] or node["name"].removeprefix(".") for node in nodes[:_SHOWN])
        raise NotFound(f"there is no step {word!r} in {row['name']}; there are {names or 'none'}")


def _pattern(args: Args) -> Callable[[str], object] | None:
    if not args.given("grep"):
        return None
    import re

    try:
        return re.compile(args.text("grep")).search
    except re.error as error:
        raise UsageError(f"--grep wants a regular expression: {error} in {args.text('grep')!r}") from error
