"""`hold`: keeps locks for maintenance for a time; the hold stands in their queues like anybody else."""

from __future__ import annotations

from reconciler.cli import asking
from reconciler.cli.context import namespace_of, reader_of
from reconciler.errors import NotFound, UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader

_PARTS = 3


def configure(parser: Parser) -> None:
    """Adds the options of `hold`."""
    parser.positional("LOCK", "+", "its key, such as default/Mutex/prod, or the end of it; several are held all or none")
    parser.option("--for", metavar="SPAN", text="how long it lasts once it is granted, such as 30m or 2h")
    parser.option("--until", metavar="INSTANT", text="when it is over, granted or not, such as 2026-03-01T14:00:00+01:00")
    parser.option("--reason", metavar="TEXT", text="why; everybody who waits behind it is told, and the journal")
    parser.flag("--now", text="before everybody who waits; never before who holds the lock")
    parser.option("--priority", metavar="N", text="its priority in the queue; default 0")
    parser.note(
        "Whoever holds the lock or waits for it goes first. A semaphore or constraint that is held is closed whole.\n"
        "`lineclear unhold LOCK` ends it early. A lock that nobody used yet is named in full."
    )
    parser.note("  lineclear hold production --for 2h --reason 'disk swap'")


def run(args: Args) -> int:
    """Asks for it and says whether it was granted; 0."""
    if not args.text("reason").strip():
        raise UsageError("hold wants --reason TEXT: everybody who waits behind it is told")
    if args.given("for") == args.given("until"):
        raise UsageError("hold wants --for SPAN or --until INSTANT: every hold ends by itself")
    values: dict[str, Any] = {"reason": args.text("reason"), "now": args.flag("now"), **_length(args)}
    if args.given("priority"):
        values["priority"] = args.number("priority", 0)
    with reader_of(args) as reader:
        keys = [_key(reader, word, namespace_of(args)) for word in args.many("LOCK")]
    made = asking.ask(args, "hold", locks=keys, **values)["runs"][0]
    told = made.get("message") or (f"holds {', '.join(keys)}" if made.get("phase") == "Running" else "waits for its turn")
    print(clean(f"{made['name']} {told}; `lineclear unhold {keys[0]} --reason TEXT` ends it early"))
    return 0


def _key(reader: Reader, word: str, namespace: str) -> str:
    """The key of a lock that is known, or of one that is named in full."""
    from reconciler.views.locks import get_lock

    try:
        return str(get_lock(reader, word, namespace)["key"])
    except NotFound as error:
        full = word.removeprefix("lock/")
        if full.count("/") >= _PARTS - 1:
            return full
        raise NotFound(f"{error}. One that nobody used yet is named in full, such as {namespace}/Mutex/{word}") from error


def _length(args: Args) -> dict[str, Any]:
    if args.given("for"):
        from reconciler.cli.picking import span_of

        return {"for_s": round(span_of(args, "for"))}
    from reconciler.views.instants import instant_of
    from reconciler.views.lock_history import parse_instant

    try:
        return {"until": instant_of(parse_instant(args.text("until")))}
    except ValueError as error:
        text = f"--until wants an instant with its offset such as 2026-03-01T14:00:00+01:00, not {args.text('until')!r}"
        raise UsageError(text) from error
