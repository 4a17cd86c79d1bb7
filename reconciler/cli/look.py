"""`get`: one object or a list of one kind. A word that is no kind is a run."""

from __future__ import annotations

import sys

from reconciler.cli.context import get_run, namespace_of, now_s, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.cli.picking import add_filters
from reconciler.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader

_KINDS = {
    "Workflow": ("workflow", "workflows", "wf"),
    "CronWorkflow": ("cronworkflow", "cronworkflows", "cron", "cwf", "cronwf"),
    "WorkflowTemplate": ("workflowtemplate", "workflowtemplates", "wftmpl"),
    "ClusterWorkflowTemplate": ("clusterworkflowtemplate", "clusterworkflowtemplates", "cwft", "cwftmpl"),
    "ConfigMap": ("configmap", "configmaps", "cm"),
    "LockPolicy": ("lockpolicy", "lockpolicies"),
    "InfrastructureDefinition": ("infrastructuredefinition", "infrastructuredefinitions"),
    "ResourceConstraint": ("resourceconstraint", "resourceconstraints"),
}
KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}


def configure(parser: Parser) -> None:
    """Adds the options of `get`."""
    kinds = "; ".join(f"{words[0]} ({', '.join(words[1:])})" for words in _KINDS.values())
    parser.positional("KIND", "?", f"{kinds}; a word that is no kind is a run's name")
    parser.positional("NAME", "?", "which one; @latest is the newest run; without it all of the kind are listed")
    parser.output()
    parser.everywhere()
    add_filters(parser)
    parser.flag("--no-utf8", text="draw the tree with ASCII characters")
    parser.note(
        "lineclear get workflows -l workflows.argoproj.io/sync-id     runs that wait for a lock\n"
        "lineclear get workflow NAME -o jsonpath='{.status.synchronization}'     what one holds and waits for"
    )


def run(args: Args) -> int:
    """Prints what was asked for; 0."""
    word, name = args.text("KIND"), args.text("NAME")
    prefix, slash, rest = word.partition("/")
    if slash and prefix.lower() in KIND_OF and not name:
        word, name = prefix, rest
    kind = KIND_OF.get(word.lower())
    if kind is None and word:
        if name:
            known = ", ".join(words[0] for words in _KINDS.values())
            raise UsageError(f"there is no kind {word!r}; the kinds are {known}")
        kind, name = "Workflow", word
    kind = kind or "Workflow"
    if kind == "Workflow" and not name:
        from reconciler.cli.list_runs import run as list_runs

        return list_runs(args)
    with reader_of(args) as reader:
        if kind == "Workflow":
            _show_run(reader, args, name)
        else:
            _show_definitions(reader, args, kind, name)
    return 0


def _show_run(reader: Reader, args: Args, name: str) -> None:
    row, shape = get_run(reader, namespace_of(args), name), format_of(args)
    if shape in ("table", "wide"):
        from reconciler.views.runs_table import run_text

        encoding = (sys.stdout.encoding or "ascii").lower()
        ascii_only = args.flag("no-utf8") or "utf" not in encoding
        sys.stdout.write(run_text(reader, row, now_s(), ascii_only=ascii_only))
        return
    from reconciler.views.run import run_object
    from reconciler.views.waiting import Room

    print_object(shape, run_object(reader, row, now_s(), Room(reader)), f"workflow/{row['name']}")


def _show_definitions(reader: Reader, args: Args, kind: str, name: str) -> None:
    rows = definition_rows(reader, kind, namespace_of(args) if name else scope_of(args), name)
    shape = format_of(args)
    if shape in ("table", "wide"):
        if name and kind == "CronWorkflow":
            from reconciler.views.definitions import cron_text

            sys.stdout.write(cron_text(reader, rows[0], now_s()))
        elif name:
            print_object("yaml", _object(reader, kind, rows[0]), "")
        else:
            print_definitions(args, kind, rows)
        return
    objects = [_object(reader, kind, row) for row in rows]
    names = [f"{kind.lower()}/{item['metadata'].get('name') or item['metadata'].get('generateName')}" for item in objects]
    if name:
        print_object(shape, objects[0], names[0])
    else:
        print_list(shape, objects, names)


def definition_rows(reader: Reader, kind: str, namespace: str | None, name: str) -> list[Row]:
    """The live definitions; raises NotFound for a name that has none."""
    from reconciler.store import read_rest

    if kind == "CronWorkflow":
        rows = read_rest.list_crons(reader, namespace, name or None)
    else:
        rows = read_rest.list_definitions(reader, kind, namespace, name or None)
    if name and not rows:
        known = [row["name"] for row in read_rest.list_definitions(reader, kind, namespace)][:5]
        hint = f"there are {', '.join(known)}" if known else "there is none; what is in Git and applied shows `lineclear sync`"
        raise NotFound(f"there is no {kind} {name!r} in namespace {namespace!r}; {hint}")
    return rows


def print_definitions(args: Args, kind: str, rows: list[Row]) -> None:
    """Definitions as a table."""
    from reconciler.views import definitions
    from reconciler.views.table import table

    if not rows:
        say(f"No {kind[:-1] + 'ies' if kind.endswith('y') else kind + 's'} found.")
        return
    now = now_s()
    is_cron = kind == "CronWorkflow"
    header: tuple[str, ...] = definitions.CRON_HEADER if is_cron else definitions.HEADER
    cells = [definitions.cron_row(row, now) if is_cron else definitions.definition_row(row, now) for row in rows]
    if args.flag("all-namespaces"):
        header = ("NAMESPACE", *header)
        cells = [(row["namespace"], *line) for row, line in zip(rows, cells, strict=True)]
    sys.stdout.write(table(header, cells, show_header=not args.flag("no-headers")))


def _object(reader: Reader, kind: str, row: Row) -> dict[str, Any]:
    from reconciler.views.definitions import cron_object, definition_object

    return cron_object(reader, row) if kind == "CronWorkflow" else definition_object(row)
