"""`journal`: what happened, who did it, when and why; and whether the record is the one that was written."""

from __future__ import annotations

import sys
import time

from reconciler.cli.context import ALL, get_run, home_of, namespace_of, reader_of, run_word
from reconciler.cli.output import format_of, print_object
from reconciler.errors import NotFound, UsageError
from reconciler.store import read_rest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader
    from reconciler.views.chain import Witness

SHOWN = 200
_UNSOUND = 1
_PAGE = 1000
_POLL_S = 0.05


def configure(parser: Parser) -> None:
    """Adds the options of `journal`."""
    parser.positional("ACTION", "?", "`verify`: check that no row was changed, removed or inserted", ("verify",))
    parser.option("--run", metavar="RUN", text="only what concerns this run; one that was deleted too")
    parser.option("--lock", metavar="LOCK", text="only what concerns this lock")
    parser.flag("-f", "--follow", text="go on printing until interrupted")
    parser.option("--limit", metavar="N", text=f"only the last N; 0 = all; default {SHOWN} for a table, else all")
    parser.option("--head", metavar="SEQ:HASH", text="`verify`: a head, kept elsewhere, that must be in the chain", many=True)
    parser.output()
    parser.note("With --follow and -o json there is one object on each line.")
    parser.note(
        "`journal verify` checks every row by the hash that it has of itself and of all rows before it, and by the heads in the\n"
        "Git notes. It prints the head: keep it elsewhere, and --head finds out later whether the record up to it was written\n"
        "anew. Exit code 0: the record is sound; 1: it is not, and the first row that does not fit is named."
    )


def run(args: Args) -> int:
    """Prints the record; 0."""
    if args.given("ACTION"):
        return _verify(args)
    if args.given("head"):
        raise UsageError("--head is of `journal verify`; printing does not take it")
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


def _verify(args: Args) -> int:
    from reconciler.views.chain import check_chain, noted_heads, verdict_object, verdict_text
    from reconciler.views.clean import clean_lines

    shape = format_of(args)
    refused = [name for name in ("run", "lock", "follow", "limit") if args.given(name)]
    if refused or shape == "name":
        given = f"--{refused[0]}" if refused else "-o name"
        raise UsageError(f"`journal verify` does not take {given}: it checks the whole record")
    witnesses = _given_heads(args)
    reader = reader_of(args)
    noted, why = noted_heads(home_of(args))
    notes = [f"the Git notes could not be compared: {why}"] if why else []
    if not why and not noted:
        notes = ["no Git note names a head: a record that was written anew as a whole would not be noticed"]
    with reader:
        verdict = check_chain(reader, [*witnesses, *noted])
    reader.close()
    if shape in ("table", "wide"):
        sys.stdout.write(clean_lines(verdict_text(verdict, notes)))
    else:
        print_object(shape, verdict_object(verdict, notes), "")
    return _UNSOUND if verdict.wrong else 0


def _given_heads(args: Args) -> list[Witness]:
    from reconciler.store.chain import parse_head
    from reconciler.views.chain import Witness

    found = []
    for text in args.many("head"):
        head = parse_head(text)
        if head is None:
            raise UsageError(f"--head wants NUMBER:HASH as `journal verify` prints it, not {text!r}")
        found.append(Witness(head, "--head"))
    return found


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
    return found | {"detail": json.loads(row["detail_json"]), "hash": row["hash"].hex()}


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
