"""`wait`: until runs end; the exit code tells how."""

from __future__ import annotations

from reconciler.cli.context import get_run, namespace_of, reader_of
from reconciler.cli.follow import tell_end, wait_for_end
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.options import Args, Parser


def configure(parser: Parser) -> None:
    """Adds the options of `wait`."""
    parser.positional("RUN", "+", "the runs' names; @latest is the newest")
    parser.option("--timeout", metavar="SPAN", text="give up after it, such as 60, 10m or 2h; exit code 6")
    parser.note("Exit code 0 if every run Succeeded, 1 if one did not, 6 if the time passed.")


def run(args: Args) -> int:
    """0 if every run Succeeded, 1 otherwise; raises TimedOut."""
    from reconciler.cli.picking import span_of

    timeout_s = span_of(args, "timeout") if args.given("timeout") else None
    reader = reader_of(args)
    with reader:
        ids = [get_run(reader, namespace_of(args), word)["id"] for word in args.many("RUN")]
    told: set[int] = set()

    def tell(rows: list[Row]) -> None:
        for row in rows:
            if row["finished_at"] is not None and row["id"] not in told:
                told.add(row["id"])
                print(clean(tell_end(row)), flush=True)

    code = wait_for_end(reader, ids, timeout_s, tell)
    reader.close()
    return code
