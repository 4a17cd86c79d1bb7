"""`stop` and `terminate`: end runs, with or without their exit handlers."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import reader_of
from reconciler.cli.picking import names_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of both."""
    parser.positional("RUN", "*", "the runs' names")
    parser.option("-l", "--selector", metavar="SELECTOR", text="all runs whose labels match, instead of names")
    parser.everywhere()
    parser.option("--message", metavar="TEXT", text="why; shown with the run and in the journal")
    if parser.command == "stop":
        parser.option(
            "--node-field-selector", metavar="FIELD=VALUE,...", text="only end the suspend nodes that this fits, as Failed"
        )
    else:
        parser.flag(
            "--release-unproven",
            text="let go of steps whose end nothing proves; wants --message; their locks admit nobody until `unhold`",
        )
    parser.flag("--dry-run", text="only say which runs would be ended")
    if parser.command == "stop":
        parser.note("Running steps get the time to end; exit handlers run; then the run's locks go to the next in their queues.")
    else:
        parser.note(
            "Exit handlers do not run. A run that failed and keeps its locks lets them go; its phase stays.\n"
            "Works with no daemon too: the command then takes the home's lock and does it itself."
        )


def run(args: Args) -> int:
    """Ends the runs; 0, or the code of the first that could not be ended."""
    with reader_of(args) as reader:
        names = names_of(reader, args, "RUN")
    if args.flag("dry-run"):
        return asking.for_each(names, lambda _, name: f"{name} would be told to {args.command}")

    def end(namespace: str, name: str) -> str:
        values: dict[str, object] = {"namespace": namespace, "run": name, "message": args.text("message")}
        if args.command == "stop":
            values["selector"] = args.text("node-field-selector")
        is_terminate = args.command == "terminate"
        if is_terminate and args.flag("release-unproven"):
            values["release_unproven"] = True
        answer = asking.act(args, "terminate", values) if is_terminate else asking.ask(args, args.command, **values)
        return f"{name}: {answer.get('message') or args.command}"

    return asking.for_each(names, end)
