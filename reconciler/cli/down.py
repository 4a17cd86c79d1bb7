"""`down`: ends the daemon. Steps go on unless they are to be ended too."""

from __future__ import annotations

import os
import signal
from contextlib import closing

from reconciler.cli.context import home_of, say
from reconciler.control import client
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.views.daemon import Holder, find_living_holder, hung, wait_until_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home

_GONE_S = 60.0
_KILLED_S = 10.0
_ASK_S = 0.5


def configure(parser: Parser) -> None:
    """Adds the options of `down`."""
    parser.flag("--drain", text="start nothing more, and end when the running steps have ended")
    parser.flag(
        "--kill-steps",
        text="end the running steps too: they fail; a retry or an exit handler that is left goes on with the next daemon",
    )
    parser.flag("--force", text="kill a daemon that hangs, and nothing but it: steps go on")


def run(args: Args) -> int:
    """Ends the daemon and waits until it is gone; 0."""
    modes = [mode for mode in ("drain", "kill-steps", "force") if args.flag(mode)]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} exclude each other")
    mode = modes[0] if modes else ""
    home = home_of(args)
    if mode == "force":
        return _force(home)
    try:
        answer = client.request(home.root, "down", {"mode": mode}, timeout_s=client.HUNG_AFTER_S)
    except client.NoDaemon:
        return _no_daemon(home, mode)
    except Unreachable as error:
        raise hung(home, str(error)) from error
    print(answer.get("message") or "the daemon ends", flush=True)
    holder = find_living_holder(home)
    if holder is not None:
        _await_end(home, holder, patient=mode != "")
    return _tell_unknown(home, mode)


def _tell_unknown(home: Home, mode: str) -> int:
    """Names the steps of which nothing proves whether they ended. Raises Refused if they were to be ended."""
    from reconciler.store import read_runs
    from reconciler.store.read import open_read

    with closing(open_read(home.database)) as reader, reader:
        unknown = read_runs.list_unknown(reader)
    for one in unknown:
        say(f"holder unknown since {one['since']}: {one['run']}/{one['step']}: {one['why']}; see lineclear why {one['run']}")
    if unknown and mode == "kill-steps":
        raise Refused(
            f"could not prove the end of {len(unknown)} step{'s' if len(unknown) > 1 else ''}: what could be found was killed;"
            " look for what is left; a person lets go of it with --release-unproven"
        )
    return 0


def _await_end(home: Home, holder: Holder, *, patient: bool) -> None:
    """Until the daemon is gone; while steps are waited for it is asked now and then whether it still works."""
    if not patient:
        if not wait_until_gone(holder, _GONE_S):
            raise hung(home, f"it was told to end and did not in {_GONE_S:g} s")
        return
    while not wait_until_gone(holder, _ASK_S):
        try:
            client.ping(home.root)
        except client.NoDaemon:
            continue
        except Unreachable as error:
            if holder.is_alive():
                raise hung(home, str(error)) from error


def _no_daemon(home: Home, mode: str) -> int:
    if find_living_holder(home) is not None:
        raise hung(home, "it has the home's lock and no socket")
    if mode == "kill-steps":
        raise Unreachable("could not end the steps: no daemon is running; `lineclear up`, then `lineclear down --kill-steps`")
    print("no daemon is running")
    return 0


def _force(home: Home) -> int:
    """Kills the process that the instance lock names, if it still is that very process."""
    holder = find_living_holder(home)
    if holder is None:
        print("no daemon is running")
        return 0
    os.kill(holder.pid, signal.SIGKILL)
    if not wait_until_gone(holder, _KILLED_S):
        raise Unreachable(f"pid {holder.pid} was killed and is still there after {_KILLED_S:g} s: the kernel holds it")
    print(f"the daemon, pid {holder.pid}, was killed; steps go on. Start another: lineclear up")
    return 0
