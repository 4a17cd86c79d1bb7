"""Where things lie in a home. Standard library only and no pathlib: every command line start pays for this module.

A home is one folder, owner only: the hosted repository, settings, the SQLite file, runs with their logs, secrets. It must
never decide anything; it only names places.
"""

from __future__ import annotations

import os


class Home:
    """The paths of one home; `root` is absolute."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)

    def path(self, *parts: str) -> str:
        """A path below the home."""
        return os.path.join(self.root, *parts)

    @property
    def settings(self) -> str:
        """The settings file, TOML."""
        return self.path("lineclear.toml")

    @property
    def database(self) -> str:
        """The SQLite file."""
        return self.path("state.db")

    @property
    def socket(self) -> str:
        """The control socket; its path may be longer than a socket address allows: bind and reach it by directory."""
        return self.path("control.sock")

    @property
    def instance_lock(self) -> str:
        """The file whose lock makes one daemon a home; it holds the daemon's pid and boot id as text."""
        return self.path("daemon.lock")

    @property
    def repository(self) -> str:
        """The hosted bare repository."""
        return self.path("repo.git")

    @property
    def making(self) -> str:
        """The file that is there while `init` makes the home, held by the one that does; with nobody's hold it was cut off."""
        return self.path(".init")

    @property
    def daemon_log(self) -> str:
        """Where `up` sends the daemon's own log."""
        return self.path("log", "daemon.log")

    @property
    def secrets(self) -> str:
        """NAME/KEY files, 0600."""
        return self.path("secrets")

    def attempt(self, run_id: int, attempt_id: int) -> str:
        """The private directory of one attempt: record, log, work/, tmp/."""
        return self.path("runs", str(run_id), str(attempt_id))

    def run(self, run_id: int) -> str:
        """All attempts of one run."""
        return self.path("runs", str(run_id))

    def tree(self, commit: str) -> str:
        """The read-only tree of one commit."""
        return self.path("trees", commit)


def default_root(environ: dict[str, str] | os._Environ[str]) -> str:
    """LINECLEAR_HOME, else `lineclear` under the platform's state directory."""
    given = environ.get("LINECLEAR_HOME")
    if given:
        return given
    state = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "state")
    return os.path.join(state, "lineclear")
