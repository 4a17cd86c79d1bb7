"""`retry`: the failed steps of a run again, in the same run. `resubmit`: the same manifest again, as a new run."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import run_name
from reconciler.cli.submit import add_following, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of either."""
    parser.positional("RUN", "1", "the run's name; @latest is the newest")
    if parser.command == "resubmit":
        asking.add_new_run_options(parser)
    else:
        parser.note("The run goes on with the locks that it still holds. Only a run that ended Failed or Error can be retried.")
    parser.option("-o", "--output", metavar="FORMAT", text="table | json | yaml | name")
    add_following(parser)


def run(args: Args) -> int:
    """Asks for it; 0, or with --wait the exit code that the run's end makes."""
    name = run_name(args, args.text("RUN"))
    if args.command == "resubmit":
        values = {"parameters": asking.pairs(args, "parameter"), **asking.take_over(args)}
        return report(args, asking.ask(args, "resubmit", run=name, **values))
    answer = asking.ask(args, "retry", run=name)
    made = {"name": answer.get("run", name), "namespace": args.text("namespace", "default"), "phase": answer.get("phase")}
    return report(args, {"runs": [made | {"message": answer.get("message", "")}]})
