"""`locks`: every lock with its state and verdict; `locks show LOCK`: one with its holders and its queue."""

from __future__ import annotations

import sys

from reconciler.cli.context import ALL, namespace_of, now_s, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.errors import UsageError
from reconciler.views.doing import read_boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser

SHOWN = 200


def configure(parser: Parser) -> None:
    """Adds the options of `locks`."""
    parser.positional("ACTION", "?", "`show` for one lock with holders and queue", ("show", "list"))
    parser.positional("LOCK", "?", "its key, such as default/Mutex/build-lock, or the end of it, such as build-lock")
    parser.output()
    parser.everywhere()
    parser.option("--limit", metavar="N", text=f"at most so many; 0 = all; default {SHOWN} for a table, else all")
    parser.note(
        "STATE is free, held, contended (others wait) or stuck. A lock that holds for a failure is cleared by\n"
        "`lineclear terminate-stuck-holder LOCK`, which first shows what it will do."
    )


def run(args: Args) -> int:
    """Prints the locks; 0."""
    if args.text("ACTION") == "show":
        if not args.given("LOCK"):
            raise UsageError("could not show a lock: none was named; `lineclear locks` lists them")
        return _show(args)
    if args.given("LOCK"):
        raise UsageError(f"could not list locks: {args.text('LOCK')!r} is one word too many; `locks show LOCK` shows one")
    return _list(args)


def _list(args: Args) -> int:
    from reconciler.views import locks

    shape, now, boot_id = format_of(args), now_s(), read_boot_id()
    is_table = shape in ("table", "wide")
    with reader_of(args) as reader:
        every = locks.LockList(reader, scope_of(args), boot_id)
        shown = every.lines(args.count("limit", SHOWN if is_table else ALL))
        if not is_table:
            objects = [locks.lock_object(reader, line, now, boot_id) for line, _, _ in shown]
            print_list(shape, objects, [f"lock/{line.row['key']}" for line, _, _ in shown])
            return 0
        rows = [locks.table_row(line, state, verdict, now) for line, state, verdict in shown]
    if rows:
        from reconciler.views.table import table

        sys.stdout.write(table(locks.HEADER, rows, show_header=not args.flag("no-headers")))
    else:
        say("No locks found." if args.flag("all-namespaces") else f"No locks found in namespace {namespace_of(args)}.")
    if len(shown) < len(every):
        say(f"{len(shown)} of {len(every)} locks are shown; --limit 0 shows all")
    return 0


def _show(args: Args) -> int:
    from reconciler.views import locks

    shape = format_of(args)
    with reader_of(args) as reader:
        row = locks.get_lock(reader, args.text("LOCK"), namespace_of(args))
        found = locks.lock_object(reader, locks.line_of(reader, row), now_s(), read_boot_id())
    if shape in ("table", "wide"):
        sys.stdout.write(lock_text(found))
    else:
        print_object(shape, found, f"lock/{found['key']}")
    return 0


def lock_text(found: dict[str, Any]) -> str:
    """One lock for people."""
    from reconciler.views.table import fields, table

    limit = "unknown" if found["limit"] is None else str(found["limit"])
    text = fields(
        [
            ("Lock", found["key"]),
            ("Kind", found["type"]),
            ("State", found["state"]),
            ("Verdict", found["verdict"]),
            ("Held", f"{found['held']} of {limit}" if found["type"] != "Policy" else str(found["held"])),
            ("Limit from", found["limitTrouble"] or found["limitSource"]),
            ("Held back", found["heldBack"]),
            ("Waiting", str(found["waiting"])),
        ]
    )
    if found["holders"]:
        rows = [
            (h["id"], _run(h, found), h["node"] or "-", h["phase"] or "-", h["since"] or "-", h["verdict"], h["doing"])
            for h in found["holders"]
        ]
        text += "\n" + table(("HOLDER", "RUN", "NODE", "PHASE", "SINCE", "VERDICT", "DOING"), rows)
    if found["queue"]:
        waiters = [
            (str(w["position"]), str(w["order"]), _run(w, found), w["node"] or "-", str(w["priority"]), w["since"], _needs(w))
            for w in found["queue"]
        ]
        text += "\n" + table(("POSITION", "ORDER", "RUN", "NODE", "PRIORITY", "SINCE", "ALSO-NEEDS"), waiters)
    return text


def _run(one: dict[str, Any], lock: dict[str, Any]) -> str:
    if one["run"] is None:
        return "(gone)"
    is_same = one["namespace"] == lock["metadata"]["namespace"]
    return str(one["run"]) if is_same else f"{one['namespace']}/{one['run']}"


def _needs(waiter: dict[str, Any]) -> str:
    return ", ".join(waiter["alsoNeeds"]) or "-"
