"""`cron`: list and show CronWorkflows, what was decided about each tick; suspend, resume, trigger, reset."""

from __future__ import annotations

import sys

from reconciler.cli.context import namespace_of, now_s, reader_of, say, scope_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.errors import UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.options import Args, Parser

_ACTIONS = ("list", "get", "ticks", "suspend", "resume", "trigger", "reset")
_TICKS = 50


def configure(parser: Parser) -> None:
    """Adds the options of `cron`."""
    parser.positional("ACTION", "?", "what to do; default list; all others want a NAME", _ACTIONS)
    parser.positional("NAME", "?", "the CronWorkflow")
    parser.output()
    parser.everywhere()
    parser.option("--limit", metavar="N", text=f"how many ticks; 0 = all; default {_TICKS}")
    parser.note(
        "Every instant is decided once: ran, forbidden, replaced, suspended, missed, caught-up, when-false, stopped or error.\n"
        "suspend overrides the definition in Git until resume, or until a push changes the schedule.\n"
        "reset has it go on from now, whatever it has decided: for a cron that is silent after the clock was wrong."
    )


def run(args: Args) -> int:
    """Shows or asks; 0."""
    action, name = args.text("ACTION", "list"), args.text("NAME").removeprefix("cronworkflow/")
    if action != "list" and not name:
        raise UsageError(f"cron {action} wants a CronWorkflow's name; `lineclear cron list` shows them")
    if action in ("suspend", "resume", "trigger", "reset"):
        return _ask(args, action, name)
    if action == "ticks":
        return _ticks(args, name)
    return _show(args, name)


def _show(args: Args, name: str) -> int:
    from reconciler.cli.look import definition_rows, print_definitions
    from reconciler.views.definitions import cron_object, cron_text

    shape = format_of(args)
    with reader_of(args) as reader:
        rows = definition_rows(reader, "CronWorkflow", namespace_of(args) if name else scope_of(args), name)
        if shape in ("table", "wide"):
            if name:
                sys.stdout.write(cron_text(reader, rows[0], now_s()))
            else:
                print_definitions(args, "CronWorkflow", rows)
            return 0
        objects = [cron_object(reader, row) for row in rows]
    names = [f"cronworkflow/{one['metadata']['name']}" for one in objects]
    if name:
        print_object(shape, objects[0], names[0])
    else:
        print_list(shape, objects, names)
    return 0


def _ticks(args: Args, name: str) -> int:
    from reconciler.cli.look import definition_rows
    from reconciler.store import read_rest
    from reconciler.views.table import table

    shape, namespace = format_of(args), namespace_of(args)
    with reader_of(args) as reader:
        rows = read_rest.list_ticks(reader, namespace, name, args.most("limit", _TICKS))
        if not rows:
            definition_rows(reader, "CronWorkflow", namespace, name)
    if shape not in ("table", "wide"):
        keys = {"dueAt": "due_at", "decision": "decision", "reason": "reason", "run": "run_name", "count": "count"}
        objects = [{key: row[column] for key, column in keys.items()} | {"decidedAt": row["decided_at"]} for row in rows]
        print_list(shape, objects, [row["due_at"] for row in rows])
    elif not rows:
        say(f"No tick of {name} was due yet.")
    else:
        cells = [(row["due_at"][:19] + "Z", _decision(row), row["run_name"] or "-", row["reason"]) for row in rows]
        sys.stdout.write(table(("TICK", "DECISION", "RUN", "REASON"), cells, show_header=not args.flag("no-headers")))
    return 0


def _decision(row: Row) -> str:
    return f"{row['decision']} ({row['count']} instants up to here)" if row["count"] > 1 else str(row["decision"])


def _ask(args: Args, action: str, name: str) -> int:
    from reconciler.cli import asking

    answer = asking.ask(args, f"cron_{action}", name=name)
    if answer.get("runs"):
        from reconciler.cli.submit import report

        return report(args, answer)
    print(clean(answer.get("message") or f"{name}: {action}"))
    return 0
