"""`suspend` and `resume`: hold runs where they stand, and let them, or their suspend nodes, go on."""

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
    if parser.command == "suspend":
        parser.note("Running steps go on; nothing more begins until `lineclear resume`. The run keeps its locks and places.")
        return
    parser.option(
        "--node-field-selector", metavar="FIELD=VALUE,...", text="only the suspend nodes that this fits, e.g. displayName=approve"
    )
    parser.note(
        "Without a selector a suspended run goes on and every suspend node that waits in it ends well.\n"
        "A node that waits for a value refuses until `lineclear node set` has supplied it."
    )


def run(args: Args) -> int:
    """Asks for each run; 0, or the code of the first that refused."""
    with reader_of(args) as reader:
        names = names_of(reader, args, "RUN")

    def act(namespace: str, name: str) -> str:
        values = {"namespace": namespace, "run": name}
        if args.command == "resume":
            values["selector"] = args.text("node-field-selector")
        answer = asking.ask(args, args.command, **values)
        return f"{name}: {answer.get('message') or args.command}"

    return asking.for_each(names, act)
