"""`infra`: where deployments went, who deploys there now, and who waits."""

from __future__ import annotations

import sys

from reconciler.cli.context import namespace_of, now_s, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader


def configure(parser: Parser) -> None:
    """Adds the options of `infra`."""
    parser.positional("ACTION", "?", "what to show; default list; `show` wants a NAME", ("list", "show"))
    parser.positional("NAME", "?", "an InfrastructureDefinition")
    parser.output()
    parser.everywhere()
    parser.note(
        "A place is a service with the resolved fields of an infrastructure; each has a queue of its own. ORDER counts the\n"
        "run that deploys as 1. The lock of a place is shown by `lineclear locks show LOCK` like any other."
    )


def run(args: Args) -> int:
    """Prints the places; 0."""
    name = args.text("NAME")
    if (args.text("ACTION", "list") == "show") is not bool(name):
        raise UsageError("infra show wants the NAME of an InfrastructureDefinition" if not name else "infra list takes no NAME")
    with reader_of(args) as reader:
        if name:
            _show(reader, args, name)
        else:
            _list(reader, args)
    return 0


def _list(reader: Reader, args: Args) -> None:
    from reconciler.store.read_infra import list_mappings
    from reconciler.store.read_rest import list_definitions
    from reconciler.views import infra
    from reconciler.views.table import table

    shape, now = format_of(args), now_s()
    rows = list_mappings(reader, scope_of(args))
    live = list_definitions(reader, "InfrastructureDefinition", scope_of(args))
    if shape not in ("table", "wide"):
        names = dict.fromkeys([(row["namespace"], row["name"]) for row in live])
        names |= dict.fromkeys([(row["namespace"], row["definition"]) for row in rows])
        by_name = {(row["namespace"], row["name"]): row for row in live}
        found = [infra.infrastructure_object(reader, by_name.get(key), key[1], key[0]) for key in sorted(names)]
        print_list(shape, found, [f"infrastructuredefinition/{name}" for _, name in sorted(names)])
        return
    unused = [row for row in live if not any((m["namespace"], m["definition"]) == (row["namespace"], row["name"]) for m in rows)]
    cells = [infra.list_row(reader, row, now) for row in rows]
    cells += [(row["name"], "-", "never deployed to", "-", "0", "0", "-") for row in unused]
    if not cells:
        say("No InfrastructureDefinition is live, and nothing was deployed to one.")
        return
    head: tuple[str, ...] = infra.HEADER
    if args.flag("all-namespaces"):
        head = ("NAMESPACE", *head)
        cells = [(row["namespace"], *line) for row, line in zip([*rows, *unused], cells, strict=True)]
    sys.stdout.write(table(head, cells, show_header=not args.flag("no-headers")))


def _show(reader: Reader, args: Args, name: str) -> None:
    from reconciler.store.read_rest import list_definitions
    from reconciler.views import infra

    shape, namespace = format_of(args), namespace_of(args)
    rows = list_definitions(reader, "InfrastructureDefinition", namespace, name)
    found = infra.infrastructure_object(reader, rows[0] if rows else None, name, namespace)
    if not rows and not found["mappings"]:
        known = [row["name"] for row in list_definitions(reader, "InfrastructureDefinition", namespace)][:5]
        hint = f"there are {', '.join(known)}" if known else "there is none"
        raise NotFound(f"there is no InfrastructureDefinition {name!r} in namespace {namespace!r}; {hint}")
    if shape in ("table", "wide"):
        sys.stdout.write(_text(found))
    else:
        print_object(shape, found, f"infrastructuredefinition/{name}")


def _text(found: dict[str, Any]) -> str:
    from reconciler.views import infra
    from reconciler.views.table import fields, table

    now = now_s()
    text = fields([("Infrastructure", found["metadata"]["name"]), ("Written in", found["place"] or "it is not in Git any more")])
    text += "".join(fields([(f"  {name}", str(value))]) for name, value in (found["spec"].get("fields") or {}).items())
    for one in found["mappings"]:
        rows = [("Service", one["service"]), ("Place", infra.place_text(one["fields"])), ("Lock", one["lock"])]
        if one["queueLimit"] is not None:
            rows.append(("Entries", f"{len(one['queue'])} of {one['queueLimit']}"))
        text += "\n" + fields(rows)
        if one["queue"]:
            text += "\n" + table(infra.QUEUE_HEADER, [infra.queue_row(entry, now) for entry in one["queue"]])
        if one["deployments"]:
            text += "\n" + table(infra.DEPLOYMENT_HEADER, [infra.deployment_row(each, now) for each in one["deployments"]])
    return text if found["mappings"] else text + "\nNothing was deployed to it yet.\n"
