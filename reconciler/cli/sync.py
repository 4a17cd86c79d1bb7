"""`sync`: what was applied from Git, and what is wrong with what was not; apply now; approve a held revision."""

from __future__ import annotations

import sys

from reconciler.cli.context import now_s, reader_of
from reconciler.cli.output import format_of, plural, print_list, print_object
from reconciler.errors import Refused, TimedOut, Transient, UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser

_ACTIONS = ("status", "now", "log", "approve")
_STATUS, _LOG = 3, 50
_EXIT = {"applied": 0, "held": Refused.exit_code, "waiting": TimedOut.exit_code, "failed": 1}


def configure(parser: Parser) -> None:
    """Adds the options of `sync`."""
    parser.positional("ACTION", "?", "status, now, log, approve SHA; default status", _ACTIONS)
    parser.positional("SHA", "?", "the held revision that `approve` lets through")
    parser.output()
    parser.option("--limit", metavar="N", text=f"how many revisions `log` prints; 0 = all; default {_LOG}")
    parser.note("Exit code of `now`: 0 the head is live; 1 it was not applied; 4 it is held; 5 it was not read; 6 it takes long.")
    parser.note("A revision that removes very much is held until somebody approves it; until then what was live stays live.")


def run(args: Args) -> int:
    """Shows or asks; 0. `now`: 4 if the head is held, 5 if it could not be read, 6 if it took too long, 1 if applying failed."""
    action = args.text("ACTION", "status")
    if args.given("SHA") != (action == "approve"):
        wanted = "wants the SHA of the held revision" if action == "approve" else "takes no SHA"
        raise UsageError(f"sync {action} {wanted}")
    if action in ("now", "approve"):
        return _ask(args, action)
    from reconciler.store import read_rest

    limit = args.most("limit", _LOG) if action == "log" else _STATUS
    with reader_of(args) as reader:
        revisions = read_rest.list_revisions(reader, limit)
        bad = read_rest.list_bad_files(reader)
        state, since = read_rest.source_state(reader)
        counts = read_rest.count_live(reader)
    shape = format_of(args)
    if shape not in ("table", "wide"):
        print_list(shape, [_object(row) for row in revisions], [row["sha"] for row in revisions])
        return 0
    if action == "status" and state:
        _print_state(state, since)
    if not revisions:
        print("Nothing was applied yet: push to the branch.")
        return 0
    _print_table(args, revisions)
    if action == "status":
        _print_outcome(revisions[0])
        _print_bad(bad)
        print("\n{} live in {}, {} skipped".format(*map(plural, counts, ("definition", "file", "foreign document"))))
    return 0


def _print_state(state: str, since: str) -> None:
    from reconciler.views.instants import age

    how_long = f" for {age(since, now_s())}" if since else ""
    print(clean(f"The branch's head is not live{how_long}: {state}"))
    print("What was applied last stays live.\n")


def _print_table(args: Args, revisions: list[Row]) -> None:
    from reconciler.views.instants import age
    from reconciler.views.revisions import outcome_text
    from reconciler.views.table import table

    now = now_s()
    rows = [
        (row["sha"][:10], row["state"], age(row["seen_at"], now), row["author"] or "-", row["subject"], outcome_text(row))
        for row in revisions
    ]
    header = ("REVISION", "STATE", "AGE", "AUTHOR", "SUBJECT", "OUTCOME")
    sys.stdout.write(table(header, rows, show_header=not args.flag("no-headers")))
    for row in revisions:
        if row["state"] == "held":
            print()
            print(clean(f"{row['sha'][:10]} is held: {row['message']}"))
            print(clean(f"Let it through: lineclear sync approve {row['sha']}"))


def _print_outcome(newest: Row) -> None:
    from reconciler.views.revisions import outcome_lines

    lines = outcome_lines(newest)
    if lines:
        print(f"\nWhat {newest['sha'][:10]} did:")
        print("".join(clean(f"  {line}") + "\n" for line in lines), end="")


def _print_bad(bad: list[Row]) -> None:
    import json

    for row in bad:
        for line, column, rule, severity, message in json.loads(row["findings_json"]):
            print(clean(f"{row['path']}:{line}:{column}: {severity} {rule}: {message}"))


def _object(row: Row) -> dict[str, Any]:
    import json

    keys = {"sha": "sha", "state": "state", "seenAt": "seen_at", "appliedAt": "applied_at", "author": "author"}
    found: dict[str, Any] = {key: row[column] for key, column in keys.items()}
    return found | {"subject": row["subject"], "message": row["message"], "outcome": json.loads(row["outcome_json"])}


def _ask(args: Args, action: str) -> int:
    from reconciler.cli import asking

    if action == "approve":
        answer = asking.ask(args, "sync_approve", sha=args.text("SHA"))
        print(clean(f"{answer.get('sha') or args.text('SHA')} is approved and will be applied"))
        return 0
    answer = asking.ask(args, "sync_now", wait=True)
    if format_of(args) not in ("table", "wide"):
        print_object(format_of(args), answer, "")
        return _EXIT.get(str(answer.get("state") or ""), Transient.exit_code)
    for line in answer.get("lines") or ():
        print(clean(str(line)))
    head, live, state = str(answer.get("head")), str(answer.get("applied") or ""), str(answer.get("state") or "")
    print(clean(f"head {head[:10]}, live {live[:10] or 'nothing'}: {state}"))
    return _EXIT.get(state, Transient.exit_code)
