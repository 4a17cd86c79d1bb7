"""`journal`: what happened, who did it, when and why."""

from __future__ import annotations

import sys
import time

from reconciler.cli.context import ALL, get_run, namespace_of, reader_of, run_word
from reconciler.cli.output import format_of, print_object
from reconciler.errors import NotFound, UsageError
from reconciler.store import read_rest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader

SHOWN = 200
_PAGE = 1000
_POLL_S = 0.05


def configure(parser: Parser) -> None:
    """Adds the options of `journal`."""
    parser.option("--run", metavar="RUN", text="only what concerns this run; one that was deleted too")
    parser.option("--lock", metavar="LOCK", text="only what concerns this lock")
    parser.flag("-f", "--follow", text="go on printing until interrupted")
    parser.option("--limit", metavar="N", text=f"only the last N; 0 = all; default {SHOWN} for a table, else all")
    parser.output()
    parser.note("With --follow and -o json there is one object on each line.")


def run(args: Args) -> int:
    """Prints the record; 0."""
    shape = format_of(args)
    if shape == "name":
        raise UsageError("the rows of the journal have no names; use -o table, json, yaml or jsonpath=TEMPLATE")
    reader = reader_of(args)
    with reader:
        wanted = _wanted(reader, args)
        limit = args.count("limit", SHOWN if shape in ("table", "wide") else ALL)
        after = 0 if limit == ALL else read_rest.find_journal_tail(reader, wanted, limit)
    if args.flag("follow"):
        _follow(reader, wanted, after, shape)
        return 0
    rows = _read(reader, wanted, after)
    reader.close()
    if shape in ("table", "wide"):
        if not args.flag("no-headers"):
            print(_HEADER)
        _print_lines(rows)
    else:
        print_object(shape, {"apiVersion": "v1", "kind": "List", "items": [_object(row) for row in rows]}, "")
    return 0


def _wanted(reader: Reader, args: Args) -> read_rest.JournalFilter:
    run_name, lock = args.text("run") or None, args.text("lock") or None
    if run_name is not None:
        run_name = run_word(run_name)
        only = read_rest.JournalFilter(namespace_of(args), run_name)
        if run_name == "@latest" or not read_rest.list_journal(reader, only, 0, 1):
            run_name = get_run(reader, namespace_of(args), run_name)["name"]
    if lock is not None:
        from reconciler.views.locks import get_lock

        try:
            lock = get_lock(reader, lock, namespace_of(args))["key"]
        except NotFound:
            if lock.count("/") < 2:
                raise
    return read_rest.JournalFilter(namespace_of(args), run_name, lock)


def _read(reader: Reader, wanted: read_rest.JournalFilter, after: int) -> list[Row]:
    found: list[Row] = []
    while page := read_rest.list_journal(reader, wanted, after, _PAGE):
        found += page
        after = page[-1]["seq"]
    return found


_HEADER = f"{'AT':<22}{'KIND':<26}{'ACTOR':<14}{'ABOUT':<40}DETAIL"


def _print_lines(rows: list[Row]) -> None:
    from reconciler.views.clean import clean
    from reconciler.views.journal import detail_of, detail_text

    lines = []
    for row in rows:
        about = " ".join(part for part in (row["run"], row["subject"]) if part)
        detail = detail_text(detail_of(row["detail_json"]))
        line = f"{row['at'][:19] + 'Z':<22}{row['kind']:<25} {row['actor'] or '-':<13} {about:<39} {detail}"
        lines.append(clean(line.rstrip()) + "\n")
    sys.stdout.write("".join(lines))


def _object(row: Row) -> dict[str, Any]:
    import json

    found: dict[str, Any] = {name: row[name] for name in ("seq", "at", "kind", "actor", "namespace", "run", "subject")}
    return found | {"detail": json.loads(row["detail_json"])}


def _follow(reader: Reader, wanted: read_rest.JournalFilter, after: int, shape: str) -> None:
    import json

    while True:
        rows = _read(reader, wanted, after)
        if rows:
            after = rows[-1]["seq"]
            if shape in ("table", "wide"):
                _print_lines(rows)
            else:
                print("".join(json.dumps(_object(row)) + "\n" for row in rows), end="")
            sys.stdout.flush()
        seen = reader.data_version()
        while reader.data_version() == seen:
            time.sleep(_POLL_S)
