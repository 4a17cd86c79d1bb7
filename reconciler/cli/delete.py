"""`delete`: runs that have ended, with their nodes and logs."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import reader_of
from reconciler.cli.picking import names_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `delete`."""
    parser.positional("RUN", "*", "the runs' names")
    parser.option("-l", "--selector", metavar="SELECTOR", text="all runs whose labels match, instead of names")
    parser.everywhere()
    parser.flag("--force", text="also runs that have not ended: they are terminated first")
    parser.flag("--dry-run", text="only say which runs would be deleted")
    parser.note("A run that is deleted lets its locks go. The journal keeps what it did.")


def run(args: Args) -> int:
    """Deletes the runs; 0, or the code of the first that could not be deleted."""
    with reader_of(args) as reader:
        names = names_of(reader, args, "RUN")
    if args.flag("dry-run"):
        return asking.for_each(names, lambda _, name: f"{name} would be deleted")

    def delete(namespace: str, name: str) -> str:
        answer = asking.ask(args, "delete", namespace=namespace, run=name, force=args.flag("force"))
        return f"{name}: {answer.get('message') or 'deleted'}"

    return asking.for_each(names, delete)
