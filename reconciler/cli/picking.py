"""Which runs a command is about: the options of `list`, and runs by label."""

from __future__ import annotations

from reconciler.cli.context import ALL, now_s, say, scope_of
from reconciler.cli.output import is_table
from reconciler.errors import UsageError
from reconciler.store import read_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Iterator

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader
    from reconciler.views.selectors import Requirement

SHOWN = 200
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Error")
_SEEN = 40


def add_filters(parser: Parser) -> None:
    """The options that `pick_runs` reads."""
    parser.option("-l", "--selector", metavar="SELECTOR", text="only runs whose labels match: a=b, a!=b, a in (x,y), a, !a")
    parser.option("--status", metavar="PHASE[,...]", text=f"only runs in these phases: {', '.join(_PHASES)}", many=True)
    parser.flag("--running", text="only runs that have not ended")
    parser.flag("--completed", text="only runs that have ended")
    parser.option("--prefix", metavar="TEXT", text="only runs whose name begins so")
    parser.option("--since", metavar="SPAN", text="only runs made within it, such as 30m, 2h, 7d")
    parser.option("--older", metavar="SPAN", text="only runs made before it")
    parser.option("--limit", metavar="N", text=f"at most so many; 0 = all; default {SHOWN} for a table, else all")


def limit_of(args: Args) -> int:
    """How many are wanted; ALL for no limit."""
    return args.count("limit", SHOWN if is_table(args) else ALL)


def pick_runs(reader: Reader, args: Args) -> tuple[list[Row], bool]:
    """The runs that the options name, in the order of `iterate_runs`, and whether there are more than the limit."""
    limit = limit_of(args)
    requirements = _requirements(args)
    found = _matching(reader, _filter(args, limit, requirements), requirements)
    picked: list[Row] = []
    for row in found:
        if limit != ALL and len(picked) == limit:
            return picked, True
        picked.append(row)
    return picked, False


def _requirements(args: Args) -> tuple[Requirement, ...]:
    if not args.given("selector"):
        return ()
    from reconciler.views.selectors import parse_selector

    return parse_selector(args.text("selector"))


def _filter(args: Args, limit: int, requirements: tuple[Requirement, ...]) -> read_runs.RunFilter:
    wanted = read_runs.RunFilter(scope_of(args), limit=-1 if requirements or limit == ALL else limit)
    wanted.phases = _phases(args)
    wanted.prefix = args.text("prefix") or None
    if args.given("since") or args.given("older"):
        wanted.since = _instant(args, "since")
        wanted.older = _instant(args, "older")
    if requirements:
        from reconciler.views.names import SYNC_ID

        wanted.waiting = any(r.key == SYNC_ID and not r.negated for r in requirements)
    return wanted


def _phases(args: Args) -> str | None:
    wanted = [phase.strip() for given in args.many("status") for phase in given.split(",")]
    for phase in wanted:
        if phase not in _PHASES:
            raise UsageError(f"--status is one of {', '.join(_PHASES)}, not {phase!r}")
    if args.flag("running") and args.flag("completed"):
        raise UsageError("--running and --completed exclude each other")
    if args.flag("running"):
        wanted = [phase for phase in wanted or _PHASES if phase in _PHASES[:2]]
    if args.flag("completed"):
        wanted = [phase for phase in wanted or _PHASES if phase in _PHASES[2:]]
    is_any = not (args.given("status") or args.flag("running") or args.flag("completed"))
    return None if is_any else "," + ",".join(wanted) + ","


def _instant(args: Args, name: str) -> str | None:
    if not args.given(name):
        return None
    from reconciler.views.instants import instant_of

    return instant_of(now_s() - span_of(args, name))


def span_of(args: Args, name: str) -> float:
    """An option's span in seconds; raises UsageError."""
    from reconciler.views.instants import parse_span

    try:
        return parse_span(args.text(name))
    except ValueError as error:
        given = args.text(name)
        seen = repr(given) if len(given) <= _SEEN else f"{given[:_SEEN]!r}... ({len(given)} characters)"
        raise UsageError(f"--{name} wants a span such as 45s, 10m, 2h or 7d, a century at most, not {seen}") from error


def _matching(reader: Reader, wanted: read_runs.RunFilter, requirements: tuple[Requirement, ...]) -> Iterator[Row]:
    rows = read_runs.iterate_runs(reader, wanted)
    if not requirements:
        return rows
    return _labelled(reader, rows, requirements)


def _labelled(reader: Reader, rows: Iterator[Row], requirements: tuple[Requirement, ...]) -> Iterator[Row]:
    from reconciler.views.run import labels_of
    from reconciler.views.selectors import matches
    from reconciler.views.waiting import Room, waited_by_run

    room, page = Room(reader), read_runs.PAGE
    while True:
        some = [row for _, row in zip(range(page), rows, strict=False)]
        waits = waited_by_run(reader, [row["id"] for row in some if row["finished_at"] is None])
        for row in some:
            if matches(requirements, labels_of(row, waits.get(row["id"], []), room)):
                yield row
        if len(some) < page:
            return


def names_of(reader: Reader, args: Args, position: str) -> list[tuple[str, str]]:
    """(namespace, name) of the runs that a command acts on: those named, or those that -l selects; raises UsageError."""
    from reconciler.cli.context import get_run, namespace_of

    given = args.many(position)
    if bool(given) == args.given("selector"):
        raise UsageError("name the runs, or select them with -l; one of the two")
    if given:
        rows = [get_run(reader, namespace_of(args), word) for word in given]
    else:
        rows = list(_matching(reader, read_runs.RunFilter(scope_of(args)), _requirements(args)))
        if not rows:
            say(f"no runs match {args.text('selector')}; nothing is done")
    return [(row["namespace"], row["name"]) for row in rows]
