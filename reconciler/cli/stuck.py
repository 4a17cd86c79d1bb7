"""`terminate-stuck-holder`: shows what it will do, asks, and has the daemon do it to exactly the holder that was shown."""

from __future__ import annotations

import sys

from reconciler.cli.context import namespace_of, now_s, reader_of, run_name, say
from reconciler.cli.output import format_of, print_object
from reconciler.errors import Refused, UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser
    from reconciler.store.read import Reader
    from reconciler.views.clearing import Choice


def configure(parser: Parser) -> None:
    """Adds the options of `terminate-stuck-holder`."""
    parser.positional("LOCK", "1", "its key, such as default/Mutex/build-lock, or the end of it, such as build-lock")
    parser.flag("--dry-run", text="only show what would be done")
    parser.option("--holder", metavar="RUN[/NODE]", text="which holder, where there are several")
    parser.flag("--node-only", text="end the one step that holds the lock, not the whole run")
    parser.flag("--not-stuck", text="end the holder even though it is alive")
    parser.flag("--release-unproven", text="let go although death cannot be proved; the lock admits nobody until `unhold`")
    parser.option("--epoch", metavar="N", text="the holder's epoch as it was shown: the number after the lock's #")
    parser.option("--reason", metavar="TEXT", text="why; goes to the journal")
    parser.flag("--yes", text="do not ask; wants --epoch and --reason")
    parser.option("-o", "--output", metavar="FORMAT", text="table | json | yaml, of what --dry-run shows")
    parser.note(
        "The holder's processes are asked to end, made to end after a grace time, proved gone; then the lock goes to the next\n"
        "in its queue. A failed run that keeps the lock has no processes: it lets go at once, its phase stays.\n"
        "Exit code 4: the holder is another by now, or it is alive and --not-stuck was not given."
    )


def run(args: Args) -> int:
    """Shows the plan, and carries it out unless --dry-run; 0."""
    if args.flag("yes") and not (args.given("epoch") and args.given("reason")):
        raise UsageError("--yes wants --epoch N and --reason TEXT: the holder that was looked at, and why")
    from reconciler.views.clearing import check_choice, plan_text

    choice = _choice(args)
    plan = _plan(args, choice)
    shape = format_of(args)
    if shape not in ("table", "wide"):
        print_object(shape, plan, "")
    else:
        sys.stdout.write(plan_text(plan))
    if args.flag("dry-run"):
        return 0
    check_choice(plan, choice)
    reason = args.text("reason").strip()
    if not args.flag("yes"):
        reason = _confirm(args, plan)
    return _act(args, plan, choice, reason)


def _plan(args: Args, choice: Choice) -> dict[str, Any]:
    """What would be done, to whom, and what follows; all of one instant."""
    from reconciler.views.clearing import plan_clearing
    from reconciler.views.doing import read_boot_id
    from reconciler.views.locks import get_lock

    with reader_of(args) as reader:
        row = get_lock(reader, args.text("LOCK"), namespace_of(args))
        if args.given("holder"):
            choice.holder = _holder_word(args, reader, row["id"])
        return plan_clearing(reader, row, choice, now_s(), read_boot_id())


def _choice(args: Args) -> Choice:
    from reconciler.views.clearing import Choice

    choice = Choice(epoch=args.number("epoch", 0) if args.given("epoch") else None)
    choice.is_node_only = args.flag("node-only")
    choice.is_not_stuck = args.flag("not-stuck")
    choice.is_unproven = args.flag("release-unproven")
    return choice


def _holder_word(args: Args, reader: Reader, lock_id: int) -> str:
    """RUN or RUN/NODE; `workflow/RUN`, as -o name prints it, is the same as RUN unless a run of that name holds the lock."""
    from reconciler.store import read_locks

    wanted = args.text("holder")
    if all(one["run"] != "workflow" for one in read_locks.list_holders(reader, lock_id)):
        wanted = wanted.removeprefix("workflow/")
    run, slash, node = wanted.partition("/")
    return run_name(args, run) + slash + node


def _confirm(args: Args, plan: dict[str, Any]) -> str:
    """Asks for LOCK#EPOCH and a reason; raises UsageError without a terminal, Refused if something else is typed."""
    if not sys.stdin.isatty():
        epoch = plan["holder"]["epoch"]
        raise UsageError(f"could not ask: standard input is no terminal; in a script say --epoch {epoch} --reason TEXT --yes")
    from reconciler.views.clearing import is_confirmed

    wanted = plan["holder"]["id"]
    say(f"\nType {wanted} to go on, anything else to leave all as it is.")
    if not is_confirmed(plan, input("> "), args.text("LOCK")):
        raise Refused(f"nothing was done: {wanted} was not typed")
    reason = args.text("reason").strip()
    while not reason:
        reason = input("Reason: ").strip()
    return reason


def _act(args: Args, plan: dict[str, Any], choice: Choice, reason: str) -> int:
    from reconciler.cli import asking
    from reconciler.views.clearing import VERB, request_values

    answer = asking.act(args, VERB, request_values(plan, choice, reason))
    after = f"; next: {answer['next']}" if answer.get("next") else ""
    print(clean(f"{answer.get('message', 'done')}{after}"))
    return 0
