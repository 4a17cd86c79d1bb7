"""`unhold`: ends a maintenance hold, or opens a lock again that was let go without proof of its holder's death."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import namespace_of, reader_of
from reconciler.errors import UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `unhold`."""
    parser.positional("LOCK", "1", "its key, or the end of it")
    parser.option("--hold", metavar="RUN", text="which hold, where several wait")
    parser.option("--reason", metavar="TEXT", text="why; goes to the journal")
    parser.note(
        "A hold that was granted is over, for all its locks, and the next in the queue goes on; one that waits is withdrawn.\n"
        "A lock that was let go without proof is opened first: say why its next holder is safe."
    )


def run(args: Args) -> int:
    """Asks for it; 0."""
    from reconciler.views.locks import get_lock

    if not args.text("reason").strip():
        raise UsageError("unhold wants --reason TEXT: why the lock's next holder is safe now")
    with reader_of(args) as reader:
        row = get_lock(reader, args.text("LOCK"), namespace_of(args))
    answer = asking.ask(args, "unhold", lock=row["key"], hold=args.text("hold"), reason=args.text("reason"))
    print(clean(answer.get("message") or f"{row['key']} is open again"))
    return 0
