"""`terminate-stuck-holder`: shows what it will do, asks, and has the daemon do it to exactly the holder that was shown."""

from __future__ import annotations

import sys

from reconciler.cli.context import namespace_of, now_s, reader_of, run_name, say
from reconciler.cli.output import format_of, print_object
from reconciler.errors import NotFound, Refused, UsageError
from reconciler.views.clean import clean
from reconciler.views.doing import HEALTHY, WINDING_UP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser


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
    plan = _plan(args)
    shape = format_of(args)
    if shape not in ("table", "wide"):
        print_object(shape, plan, "")
    else:
        sys.stdout.write(plan_text(plan))
    if args.flag("dry-run"):
        return 0
    _check(args, plan)
    reason = args.text("reason").strip()
    if not args.flag("yes"):
        reason = _confirm(args, plan)
    return _act(args, plan, reason)


def _plan(args: Args) -> dict[str, Any]:
    """What would be done, to whom, and what follows; all of one instant."""
    from reconciler.store import read_locks
    from reconciler.views import locks
    from reconciler.views.doing import read_boot_id

    if args.given("epoch"):
        args.number("epoch", 0)
    with reader_of(args) as reader:
        row = locks.get_lock(reader, args.text("LOCK"), namespace_of(args))
        found = locks.lock_object(reader, locks.line_of(reader, row), now_s(), read_boot_id())
        holder = _choose(args, found)
        rows = read_locks.list_holders(reader, row["id"])
        claim = next(one for one in rows if one["claim_id"] == holder["claim"])
        held = read_locks.list_held_by(reader, claim["run_id"])
        live = read_locks.list_live_attempts(reader, claim["run_id"])
    also = sorted({one["key"] for one in held if one["key"] != row["key"] and not one["nested"]})
    queue = found["queue"]
    return {
        "lock": found["key"],
        "state": found["state"],
        "verdict": found["verdict"],
        "holder": holder,
        "steps": [{"node": step["node"].removeprefix(".") or step["display"], "pid": step["pid"]} for step in live],
        "alsoReleased": [] if args.flag("node-only") else also,
        "next": queue[0] if queue else None,
        "following": max(0, len(queue) - 1),
        "refused": _refusal(args, holder, live),
    }


def _refusal(args: Args, holder: dict[str, Any], live: list[Row]) -> str:
    """Why the daemon will not do it as things are; '' if it will, or cannot tell before it has looked at the processes."""
    if args.flag("not-stuck") or args.flag("release-unproven") or not live or holder["verdict"] not in (HEALTHY, WINDING_UP):
        return ""
    return f"unless --not-stuck is given: {holder['run']} is not stuck, its steps are alive as far as is known"


def _choose(args: Args, lock: dict[str, Any]) -> dict[str, Any]:
    """The holder that is meant; raises Refused if it no longer is one, UsageError if that cannot be told."""
    holders: list[dict[str, Any]] = lock["holders"]
    if not holders:
        raise Refused(f"could not end the holder of {lock['key']}: nobody holds it now; its state is {lock['state']}")
    wanted = args.text("holder")
    if wanted:
        if all(one["run"] != "workflow" for one in holders):
            wanted = wanted.removeprefix("workflow/")
        run, _, node = wanted.partition("/")
        run = run_name(args, run)
        holders = [one for one in holders if one["run"] == run and (not node or one["node"] == node)]
        if not holders:
            names = ", ".join(_who(one) for one in lock["holders"])
            raise NotFound(f"{wanted!r} does not hold {lock['key']}; it is held by {names}")
    if args.given("epoch"):
        epoch = args.number("epoch", 0)
        matching = [one for one in holders if one["epoch"] == epoch]
        if not matching:
            now = ", ".join(f"{_who(one)} with {one['id']} since {one['since']} ({one['verdict']})" for one in lock["holders"])
            raise Refused(f"the state changed: {lock['key']}#{epoch} is over; it is held by {now}")
        return matching[0]
    if len(holders) > 1:
        names = ", ".join(f"{_who(one)} ({one['id']})" for one in holders)
        raise UsageError(f"{lock['key']} has {len(holders)} holders: say which with --holder RUN[/NODE]: {names}")
    return holders[0]


def _who(holder: dict[str, Any]) -> str:
    return f"{holder['run']}/{holder['node']}" if holder["node"] else str(holder["run"])


def plan_text(plan: dict[str, Any]) -> str:
    """The plan for people."""
    holder = plan["holder"]
    rows = [
        ("Lock", plan["lock"]),
        ("State", f"{plan['state']}: {plan['verdict']}" if plan["verdict"] else plan["state"]),
        ("Holder", f"{_who(holder)} ({holder['namespace']}), {holder['id']}, since {holder['since']}"),
        ("", f"it {holder['doing']}"),
        ("Evidence", f"{holder['verdict']}: {holder['evidence']}"),
        ("Will do", _what(plan)),
    ]
    if plan["refused"]:
        rows.append(("Refused", plan["refused"]))
    if plan["alsoReleased"]:
        rows.append(("Also released", ", ".join(plan["alsoReleased"])))
    following = f", then {plan['following']} more" if plan["following"] else ""
    after = plan["next"]
    rows.append(("Next", f"{_who(after)}, waiting since {after['since']}{following}" if after else "nobody waits"))
    return "".join(clean(f"{name:<15}{value}".rstrip()) + "\n" for name, value in rows)


def _what(plan: dict[str, Any]) -> str:
    holder = plan["holder"]
    if holder["verdict"] == "holding for a failure":
        return f"release; {holder['run']} has ended and stays {holder['phase']}"
    steps = ", ".join(f"{step['node']} (pid {step['pid']})" if step["pid"] else step["node"] for step in plan["steps"])
    if steps:
        return f"end {steps}: ask, wait the grace time, kill, prove; then release"
    return f"end {holder['run']}, then release"


def _check(args: Args, plan: dict[str, Any]) -> None:
    if args.flag("node-only") and not plan["holder"]["node"]:
        raise UsageError(f"--node-only: {plan['lock']} is held by the whole run {plan['holder']['run']}, not by one of its steps")


def _confirm(args: Args, plan: dict[str, Any]) -> str:
    """Asks for LOCK#EPOCH and a reason; raises UsageError without a terminal, Refused if something else is typed."""
    if not sys.stdin.isatty():
        epoch = plan["holder"]["epoch"]
        raise UsageError(f"could not ask: standard input is no terminal; in a script say --epoch {epoch} --reason TEXT --yes")
    wanted = plan["holder"]["id"]
    say(f"\nType {wanted} to go on, anything else to leave all as it is.")
    if input("> ").strip() not in (wanted, f"{args.text('LOCK')}#{plan['holder']['epoch']}"):
        raise Refused(f"nothing was done: {wanted} was not typed")
    reason = args.text("reason").strip()
    while not reason:
        reason = input("Reason: ").strip()
    return reason


def _act(args: Args, plan: dict[str, Any], reason: str) -> int:
    from reconciler.cli import asking

    values = {
        "lock": plan["lock"],
        "holder_claim": plan["holder"]["claim"],
        "epoch": plan["holder"]["epoch"],
        "reason": reason,
        "node_only": args.flag("node-only"),
        "not_stuck": args.flag("not-stuck"),
        "release_unproven": args.flag("release-unproven"),
    }
    answer = asking.act(args, "terminate_stuck_holder", values)
    after = f"; next: {answer['next']}" if answer.get("next") else ""
    print(clean(f"{answer.get('message', 'done')}{after}"))
    return 0
