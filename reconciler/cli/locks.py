"""`locks`: every lock with its state and verdict; one with holders and queue; who waits for whom; who held it, now and then."""

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
_DRAWN = 20
_VERBS = {"show": "show", "history": "tell the history of"}


def configure(parser: Parser) -> None:
    """Adds the options of `locks`."""
    actions = ("show", "list", "graph", "history", "at")
    parser.positional("ACTION", "?", "`show` or `history` of one lock, `graph` of who waits, `at` an instant", actions)
    parser.positional("LOCK", "?", "its key, such as default/Mutex/build-lock, or the end of it, such as build-lock; `at`: when")
    parser.positional("OF", "?", "with `at`: only this lock")
    parser.output()
    parser.everywhere()
    limits = f"at most so many; 0 = all; default {SHOWN} for a table, else all; `graph`: waiters of a lock, default {_DRAWN}"
    parser.option("--limit", metavar="N", text=limits)
    parser.option("--since", metavar="SPAN", text="`history`: only what was held or asked for within it, such as 7d")
    parser.flag("--dot", text="`graph`: in Graphviz' language")
    parser.note(
        "STATE is free, held, contended (others wait) or stuck. A lock that holds for a failure is cleared by\n"
        "`lineclear terminate-stuck-holder LOCK`, which first shows what it will do."
    )
    parser.note(
        "  lineclear locks graph --dot | dot -Tsvg > locks.svg\n"
        "  lineclear locks history build-lock --since 7d\n"
        "  lineclear locks at 2026-03-01T22:10:00+01:00 build-lock\n"
        "  lineclear locks at 2h"
    )


def run(args: Args) -> int:
    """Prints what was asked for; 0."""
    action = args.text("ACTION", "list")
    _check(args, action)
    actions = {"show": _show, "list": _list, "graph": _graph, "history": _history, "at": _at}
    return actions[action](args)


def _check(args: Args, action: str) -> None:
    """Raises UsageError for words and options that the action does not take."""
    if action in ("show", "history") and not args.given("LOCK"):
        raise UsageError(f"could not {_VERBS[action]} a lock: none was named; `lineclear locks` lists them")
    if action == "at" and not args.given("LOCK"):
        raise UsageError("could not tell who held what: no instant was given; say `at 2h` or `at 2026-03-01T12:00:00Z`")
    if action in ("list", "graph") and args.given("LOCK"):
        raise UsageError(f"could not list locks: {args.text('LOCK')!r} is one word too many; `locks show LOCK` shows one")
    if action != "at" and args.given("OF"):
        raise UsageError(f"could not {_VERBS[action]} a lock: {args.text('OF')!r} is one word too many")
    for option, owner in (("since", "history"), ("dot", "graph")):
        if args.given(option) and action != owner:
            raise UsageError(f"--{option} is of `locks {owner}`; `locks {action}` does not take it")


def _list(args: Args) -> int:
    from reconciler.views import locks

    shape, now, boot_id = format_of(args), now_s(), read_boot_id()
    is_table = shape in ("table", "wide")
    with reader_of(args) as reader:
        every = locks.LockList(reader, scope_of(args), boot_id)
        shown = every.lines(args.count("limit", SHOWN if is_table else ALL), now)
        if not is_table:
            pace = locks.Pace(reader, [holder for line, _, _ in shown for holder in line.holders], now)
            objects = [locks.lock_object(reader, line, now, boot_id, pace) for line, _, _ in shown]
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
    from reconciler.views.lock_state import line_of

    shape, now = format_of(args), now_s()
    with reader_of(args) as reader:
        line = line_of(reader, locks.get_lock(reader, args.text("LOCK"), namespace_of(args)))
        found = locks.lock_object(reader, line, now, read_boot_id(), locks.Pace(reader, line.holders, now))
    if shape in ("table", "wide"):
        sys.stdout.write(lock_text(found))
    else:
        print_object(shape, found, f"lock/{found['key']}")
    return 0


def _graph(args: Args) -> int:
    from reconciler.views.graph import Graph
    from reconciler.views.graph_drawing import Drawing

    shape = format_of(args)
    if args.flag("dot") and shape != "table":
        raise UsageError("could not draw: --dot and -o exclude each other")
    with reader_of(args) as reader:
        graph = Graph(reader)
    drawing = Drawing(graph, scope_of(args), now_s())
    if args.flag("dot"):
        sys.stdout.write(drawing.dot())
    elif shape in ("table", "wide"):
        sys.stdout.write(drawing.text(args.count("limit", _DRAWN)))
    else:
        print_object(shape, drawing.graph_object(), "lockgraph")
    return 0


def _history(args: Args) -> int:
    from reconciler.views import lock_history
    from reconciler.views.locks import get_lock

    shape, now, since = format_of(args), now_s(), ""
    is_table = shape in ("table", "wide")
    if args.given("since"):
        from reconciler.cli.picking import span_of
        from reconciler.views.instants import instant_of

        since = instant_of(now - span_of(args, "since"))
    limit = args.count("limit", SHOWN if is_table else ALL)
    with reader_of(args) as reader:
        key = get_lock(reader, args.text("LOCK"), namespace_of(args))["key"]
        holds = lock_history.list_holds(reader, key, since)
        found = lock_history.history_object(reader, key, holds, limit, since)
    if not is_table:
        print_object(shape, found, f"lock/{key}")
        return 0
    from reconciler.views.table import table

    rows = [lock_history.history_row(hold, now) for hold in found["holds"]]
    sys.stdout.write(table(lock_history.HEADER, rows, show_header=not args.flag("no-headers")) if rows else "")
    sys.stdout.write(("\n" if rows else "") + lock_history.summary_text(found))
    if len(rows) < len(holds):
        say(f"{len(rows)} of {len(holds)} are shown; --limit 0 shows all")
    return 0


def _at(args: Args) -> int:
    from reconciler.views import lock_history
    from reconciler.views.locks import get_lock

    shape = format_of(args)
    at = lock_history.past_instant(args.text("LOCK"), now_s())
    with reader_of(args) as reader:
        key = get_lock(reader, args.text("OF"), namespace_of(args))["key"] if args.given("OF") else ""
        found = lock_history.state_at(reader, at, key)
    if not key and not args.flag("all-namespaces"):
        found["locks"] = [one for one in found["locks"] if one["key"].startswith(f"{namespace_of(args)}/")]
    if shape not in ("table", "wide"):
        print_object(shape, found, "locks")
        return 0
    from reconciler.views.table import table

    rows = lock_history.then_rows(found)
    if rows:
        sys.stdout.write(table(lock_history.AT_HEADER, rows, show_header=not args.flag("no-headers")))
    say(f"as of {found['at']}" if rows else f"At {found['at']} nobody held or wanted {key or 'a lock'}.")
    if not found["isWhole"]:
        say(f"Earlier rows of the record were removed: who asked before {found['recordBegins']} may be missing.")
    return 0


def lock_text(found: dict[str, Any]) -> str:
    """One lock for people."""
    from reconciler.views.table import fields, table

    limit = "unknown" if found["limit"] is None else str(found["limit"])
    text = fields(
        [
            ("Lock", found["key"]),
            ("Kind", found["type"]),
            ("Concurrency policy", "; ".join(found.get("concurrencyPolicies", ()))),
            ("State", found["state"]),
            ("Verdict", found["verdict"]),
            ("Held", f"{found['held']} of {limit}" if found["type"] != "Policy" else str(found["held"])),
            ("Limit from", found["limitTrouble"] or found["limitSource"]),
            ("Held back", found["heldBack"]),
            ("Frozen", f"until {found['frozenUntil']} by {found['frozenBy']}" if found["frozenUntil"] else ""),
            ("Policy", _policy(found["policy"])),
            ("Waiting", str(found["waiting"])),
            ("Expected starts", found["expectedBy"]),
        ]
    )
    if found["holders"]:
        rows = [
            (h["id"], _run(h, found), h["node"] or "-", h["phase"] or "-", h["since"] or "-", h["verdict"], h["doing"])
            for h in found["holders"]
        ]
        text += "\n" + table(("HOLDER", "RUN", "NODE", "PHASE", "SINCE", "VERDICT", "DOING"), rows)
        for holder in found["holders"]:
            text += "".join(f"  {line}\n" for line in _advice(holder, found))
    if found["queue"]:
        text += "\n" + _queue(found)
    return text


def _policy(said: dict[str, Any]) -> str:
    """What the lock's policy says, in one line; '' if nothing."""
    rules = ", ".join(f"{name} {value}" for name, value in said.items() if name != "from")
    return f"{said['from']}: {rules}" if "from" in said else rules


def _queue(found: dict[str, Any]) -> str:
    """The waiters as a table; with their expected starts where one can be told."""
    from reconciler.views.table import table

    is_told = any(waiter["expectedStart"] for waiter in found["queue"])
    rows = []
    for waiter in found["queue"]:
        place = (str(waiter["position"]), str(waiter["order"]), _run(waiter, found), waiter["node"] or "-")
        expected = (waiter["expectedStart"] or "-",) if is_told else ()
        rows.append((*place, str(waiter["priority"]), waiter["since"], *expected, _needs(waiter)))
    header = ("POSITION", "ORDER", "RUN", "NODE", "PRIORITY", "SINCE", *(("EXPECTED",) if is_told else ()), "ALSO-NEEDS")
    return table(header, rows)


def _advice(holder: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    """The evidence for a verdict that is not healthy, and what a person can do, gentle ways first."""
    from reconciler.views.clean import clean

    if not holder["next"]:
        return []
    lines = [f"{_run(holder, lock)} is {holder['verdict']}: {holder['evidence']}", *(f"  {word}" for word in holder["next"])]
    return [clean(line) for line in lines]


def _run(one: dict[str, Any], lock: dict[str, Any]) -> str:
    if one["run"] is None:
        return "(gone)"
    is_same = one["namespace"] == lock["metadata"]["namespace"]
    return str(one["run"]) if is_same else f"{one['namespace']}/{one['run']}"


def _needs(waiter: dict[str, Any]) -> str:
    return ", ".join(waiter["alsoNeeds"]) or "-"
