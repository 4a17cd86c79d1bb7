"""`up`: the daemon in the background."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from reconciler.cli.context import home_of, say
from reconciler.control import client
from reconciler.errors import LineclearError, Unreachable
from reconciler.views.daemon import Holder, find_living_holder, hung
from reconciler.views.whole import check_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home

_READY_S = 30.0
_FIRST_LOOK_S = 5.0
_POLL_S = 0.02
_SHOWN_LINES = 15


def configure(parser: Parser) -> None:
    """Adds the options of `up`."""
    parser.note("Its log is HOME/log/daemon.log. Under systemd use HOME/lineclear.service instead.")


def run(args: Args) -> int:
    """Starts a daemon unless one runs, and waits until it answers; 0."""
    home = home_of(args)
    check_home(home)
    running = find_living_holder(home)
    if running is not None and _answers(home, running):
        print(f"a daemon runs already, pid {running.pid}")
        return 0
    faults = _faults(home)
    child = _start(home)
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            state = client.ping(home.root)
        except Unreachable:
            _check_child(home, child)
            time.sleep(_POLL_S)
            continue
        _await_first_look(home)
        _check_child(home, child)
        print(f"the daemon runs, pid {state['pid']}, log {home.daemon_log}")
        _tell_mended(home, faults)
        child.returncode = 0  # it is not ours to wait for any more
        return 0
    raise Unreachable(f"the daemon (pid {child.pid}) does not answer after {_READY_S:g} s; see {home.daemon_log}")


def _faults(home: Home) -> list[str]:
    """What is wrong with the repository's hooks and settings: the daemon puts it right as it starts."""
    from reconciler.settings import load
    from reconciler.source.hosting import find_faults, hosting_of

    try:
        return find_faults(hosting_of(home, load(home)))
    except (LineclearError, OSError) as error:
        return [str(error)]


def _tell_mended(home: Home, faults: list[str]) -> None:
    left = _faults(home) if faults else []
    for fault in faults:
        if fault not in left:
            print(f"put right: {fault}")
    for fault in left:
        say(f"not put right, see {home.daemon_log}: {fault}")


def _check_child(home: Home, child: subprocess.Popen[bytes]) -> None:
    """Raises Unreachable if the daemon that was started has ended already."""
    if child.poll() is not None:
        raise Unreachable(f"the daemon ended at once with code {child.returncode}:\n{_log_end(home)}") from None


def _answers(home: Home, holder: Holder) -> bool:
    """True as soon as the daemon that has the lock answers, False if it ends; raises Unreachable for one that does not."""
    deadline = time.monotonic() + _READY_S
    while holder.is_alive():
        try:
            client.ping(home.root)
        except client.NoDaemon:
            if time.monotonic() > deadline:
                raise hung(home, "it has the home's lock and no socket") from None
            time.sleep(_POLL_S)
        except Unreachable as error:
            raise hung(home, f"no answer in {client.PING_TIMEOUT_S:g} s") from error
        else:
            return True
    return False


def _await_first_look(home: Home) -> None:
    """What the branch says is live when `up` returns, unless that takes long or there is no branch yet."""
    with contextlib.suppress(LineclearError):
        client.request(home.root, "sync_now", timeout_s=_FIRST_LOOK_S)


def _start(home: Home) -> subprocess.Popen[bytes]:
    """A daemon in a session of its own: it survives the shell, and nothing of the shell's environment decides what it imports."""
    import subprocess

    os.makedirs(os.path.dirname(home.daemon_log), mode=0o700, exist_ok=True)
    log = os.open(home.daemon_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "reconciler", "--home", home.root, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(log)


def _log_end(home: Home) -> str:
    with open(home.daemon_log, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-_SHOWN_LINES:]).rstrip()
