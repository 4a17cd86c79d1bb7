"""`node set`: supply what a suspend node waits for, change its message, or end it."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import run_name, say
from reconciler.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `node`."""
    parser.positional("ACTION", "1", "what to do", ("set",))
    parser.positional("RUN", "1", "the run's name; @latest is the newest")
    parser.option(
        "--node-field-selector", metavar="FIELD=VALUE,...", text="only the suspend nodes that this fits; else all that wait"
    )
    parser.option("-p", "--output-parameter", metavar="NAME=VALUE", text="an output that the node waits for", many=True)
    parser.option("--message", metavar="TEXT", text="what the node is to say")
    parser.option("--phase", metavar="PHASE", text="end the node: Succeeded or Failed")
    parser.note("A node whose outputs are supplied still waits: `lineclear resume`, or --phase Succeeded, lets it go on.")


def run(args: Args) -> int:
    """Asks for it; 0."""
    outputs = asking.pairs(args, "output-parameter")
    if not outputs and not args.text("message") and not args.text("phase"):
        raise UsageError("nothing to set: give --output-parameter NAME=VALUE, --message TEXT or --phase PHASE")
    answer = asking.ask(
        args,
        "node_set",
        run=run_name(args, args.text("RUN")),
        selector=args.text("node-field-selector"),
        outputs=outputs,
        message=args.text("message"),
        phase=args.text("phase"),
    )
    say(str(answer.get("message") or "set"))
    return 0
