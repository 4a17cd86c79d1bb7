"""`constraints`: resource constraints, the units in use, and who waits for some."""

from __future__ import annotations

import sys

from reconciler.cli.context import namespace_of, now_s, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `constraints`."""
    parser.positional("ACTION", "?", "what to show; default list; `show` wants a NAME", ("list", "show"))
    parser.positional("NAME", "?", "a ResourceConstraint")
    parser.output()
    parser.everywhere()
    parser.note("Each queue of a constraint (NAME/QUEUE) has all its units. The capacity is in Git: push the ResourceConstraint.")


def run(args: Args) -> int:
    """Prints the constraints; 0."""
    from reconciler.store.read_infra import list_constraints
    from reconciler.views import infra

    shape, name = format_of(args), args.text("NAME")
    if (args.text("ACTION", "list") == "show") is not bool(name):
        wanted = "constraints list takes no NAME" if name else "constraints show wants the NAME of a ResourceConstraint"
        raise UsageError(wanted)
    with reader_of(args) as reader:
        namespace = namespace_of(args) if name else scope_of(args)
        found = infra.constraint_objects(reader, list_constraints(reader, namespace, name or None))
        known = infra.constraint_objects(reader, list_constraints(reader, namespace)) if name and not found else []
    if name and not found:
        others = ", ".join(one["metadata"]["name"] for one in known[:5])
        hint = f"there are {others}" if others else "there is none"
        raise NotFound(f"there is no ResourceConstraint {name!r} in namespace {namespace!r}; {hint}")
    if shape not in ("table", "wide"):
        names = [f"resourceconstraint/{one['metadata']['name']}" for one in found]
        print_object(shape, found[0], names[0]) if name else print_list(shape, found, names)
    elif name:
        sys.stdout.write(_text(found[0]))
    else:
        _list(args, found)
    return 0


def _list(args: Args, found: list[dict[str, Any]]) -> None:
    from reconciler.views import infra
    from reconciler.views.table import table

    if not found:
        say("No ResourceConstraint is live.")
        return
    rows = [(one, cells) for one in found for cells in infra.constraint_rows(one)]
    head: tuple[str, ...] = infra.CONSTRAINT_HEADER
    lines = [cells for _, cells in rows]
    if args.flag("all-namespaces"):
        head, lines = ("NAMESPACE", *head), [(one["metadata"]["namespace"], *cells) for one, cells in rows]
    sys.stdout.write(table(head, lines, show_header=not args.flag("no-headers")))


def _text(one: dict[str, Any]) -> str:
    from reconciler.views import infra
    from reconciler.views.table import fields, table

    spec = one["spec"]
    text = fields(
        [
            ("Constraint", one["metadata"]["name"]),
            ("Written in", one["place"]),
            ("Capacity", str(spec["capacity"])),
            ("Strategy", spec["strategy"]),
        ]
    )
    for queue in one["queues"]:
        text += "\n" + fields([("Lock", queue["lock"]), ("Used", f"{queue['used']} of {spec['capacity']}")])
        if queue["queue"]:
            rows = [(*infra.queue_row(entry, now_s()), str(entry["units"])) for entry in queue["queue"]]
            text += "\n" + table((*infra.QUEUE_HEADER, "UNITS"), rows)
    return text if one["queues"] else text + "\nNobody has taken a unit of it yet.\n"
