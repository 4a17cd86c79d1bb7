"""`limit`: set, show and forget the limits of database semaphores."""

from __future__ import annotations

import sys

from reconciler.cli import asking
from reconciler.cli.context import namespace_of, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list
from reconciler.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser

_ACTIONS = ("list", "get", "set", "delete")


def configure(parser: Parser) -> None:
    """Adds the options of `limit`."""
    parser.positional("ACTION", "?", "what to do; default list; all others want a KEY", _ACTIONS)
    parser.positional("KEY", "?", "the semaphore's key, as manifests write it under database")
    parser.positional("N", "?", "the limit: how many may hold it at once; 0 closes the gate")
    parser.output()
    parser.everywhere()
    parser.note(
        "Raised, waiters start at once; lowered, nobody is put out. Limits of other semaphores are in their ConfigMap: push it.\n"
        "A key without a limit admits nobody until one is set; a deleted one stays in force where it is in use."
    )


def run(args: Args) -> int:
    """Shows or asks; 0."""
    action, key = args.text("ACTION", "list"), args.text("KEY")
    if action != "list" and not key:
        raise UsageError(f"limit {action} wants a KEY; `lineclear limit list` shows those that are set")
    if args.given("N") is not (action == "set"):
        raise UsageError("limit set wants KEY and N" if action == "set" else f"limit {action} takes no {args.text('N')!r}")
    if action == "set":
        say(str(asking.ask(args, "limit_set", key=key, limit=args.number("N", 0))["message"]))
    elif action == "delete":
        say(str(asking.ask(args, "limit_delete", key=key)["message"]))
    else:
        _show(args, key)
    return 0


def _show(args: Args, key: str) -> None:
    from reconciler.store.read_limits import list_limits
    from reconciler.views.table import table

    shape = format_of(args)
    with reader_of(args) as reader:
        rows = list_limits(reader, namespace_of(args) if key else scope_of(args), key or None)
    if key and not rows:
        where = f"{key!r} in namespace {namespace_of(args)}"
        raise NotFound(f"no limit is set for {where}; set one with `lineclear limit set {key} N`")
    if shape not in ("table", "wide"):
        objects = [
            {"namespace": r["namespace"], "key": r["key"], "limit": r["capacity"], "held": r["held"], "waiting": r["waiting"],
             "source": r["source"]}
            for r in rows
        ]  # fmt: skip
        print_list(shape, objects, [f"limit/{row['key']}" for row in rows])
        return
    cells = [[r["key"], str(r["capacity"]), str(r["held"]), str(r["waiting"]), r["source"]] for r in rows]
    head = ["KEY", "LIMIT", "HELD", "WAITING", "SET"]
    if args.flag("all-namespaces"):
        head, cells = ["NAMESPACE", *head], [[r["namespace"], *line] for r, line in zip(rows, cells, strict=True)]
    sys.stdout.write(table(head, cells, show_header=not args.flag("no-headers")))
