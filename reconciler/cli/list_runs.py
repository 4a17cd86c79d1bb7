"""`list`: runs as a table, or as objects."""

from __future__ import annotations

import sys

from reconciler.cli.context import now_s, reader_of, say
from reconciler.cli.output import format_of, print_list
from reconciler.cli.picking import add_filters, pick_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader


def configure(parser: Parser) -> None:
    """Adds the options of `list`."""
    parser.output()
    parser.everywhere()
    add_filters(parser)
    parser.note("Unfinished runs come first, then failed runs that keep their locks, then the rest; each newest first.")


def run(args: Args) -> int:
    """Prints the runs; 0."""
    shape = format_of(args)
    with reader_of(args) as reader:
        rows, more = pick_runs(reader, args)
        print_runs(reader, args, rows, shape)
    if more:
        say(f"{len(rows)} runs are shown, there are more; --limit 0 shows all")
    elif not rows and shape in ("table", "wide"):
        say("No runs found.")
    return 0


def print_runs(reader: Reader, args: Args, rows: list[Row], shape: str) -> None:
    """Runs in the given format."""
    if shape not in ("table", "wide"):
        _print_objects(reader, rows, shape)
        return
    from reconciler.views.runs_table import HEADER, WIDE, run_rows
    from reconciler.views.table import table

    wide = shape == "wide"
    cells = run_rows(reader, rows, now_s(), wide=wide)
    header = WIDE if wide else HEADER
    if args.flag("all-namespaces"):
        header = ("NAMESPACE", *header)
        cells = [(row["namespace"], *line) for row, line in zip(rows, cells, strict=True)]
    if cells:
        sys.stdout.write(table(header, cells, show_header=not args.flag("no-headers")))


def _print_objects(reader: Reader, rows: list[Row], shape: str) -> None:
    names = [f"workflow/{row['name']}" for row in rows]
    if shape == "name":
        print_list(shape, [], names)
        return
    from reconciler.store import read_runs
    from reconciler.views.run import run_object
    from reconciler.views.waiting import Room

    room, now = Room(reader), now_s()
    whole = [read_runs.find_run_by_id(reader, row["id"]) for row in rows]
    print_list(shape, [run_object(reader, row, now, room) for row in whole if row is not None], names)
