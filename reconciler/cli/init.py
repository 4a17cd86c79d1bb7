"""`init`: a home: repository with examples and hooks, settings, secrets, a systemd unit."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager, suppress

from reconciler.cli.context import home_of
from reconciler.errors import LineclearError, Refused, Unreachable, UsageError
from reconciler.views.whole import half_made, has_been_home, lost_repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from reconciler.cli.options import Args, Parser
    from reconciler.home import Home

_UNIT = """\
# Copy to ~/.config/systemd/user/, then: systemctl --user enable --now lineclear
[Unit]
Description=Lineclear ({home})

[Service]
ExecStart={command} --home {home} serve
Restart=always
RestartSec=2
# Steps are to survive the daemon.
KillMode=process
# Each step has a control group of its own below the unit's; the daemon keeps out of the way in one too.
Delegate=yes
DelegateSubgroup=lineclear-daemon

[Install]
WantedBy=default.target
"""


def configure(parser: Parser) -> None:
    """Adds the options of `init`."""
    parser.flag("--repair", text="put an existing home's hooks and unit right, and make its repository anew if it is gone")
    parser.option("--branch", metavar="NAME", text="the branch that is applied; default main")
    parser.flag("--empty", text="leave the examples out of the repository")
    parser.note("An init that was cut off goes on when it is called again. Until then nothing serves the home.")


def run(args: Args) -> int:
    """Makes or repairs a home; 0."""
    home = home_of(args)
    os.umask(0o077)
    if not args.flag("repair"):
        _make(args, home)
        _tell(args, home)
        return 0
    for line in _repair(home):
        print(line)
    return 0


def _make(args: Args, home: Home) -> None:
    text = _settings_text(args.text("branch"))
    with _failures_told(home), Making(home):
        _make_folders(home)
        _make_settings(home, text, args.text("branch"))
        _make_database(home)
        _make_repository(home, with_examples=not args.flag("empty"))
        _write(os.path.join(home.root, "lineclear.service"), _unit(home))


def _repair(home: Home) -> list[str]:
    if os.path.lexists(home.making):
        raise Refused(f"could not repair: {half_made(home)}")
    if not has_been_home(home):
        raise Refused(f"could not repair: there is no home at {home.root}")
    with _failures_told(home):
        _make_folders(home)
        is_new = _make_repository(home, with_examples=False)
        _write(os.path.join(home.root, "lineclear.service"), _unit(home))
    told = [f"{home.root}: hooks and unit are as they should be"]
    if is_new:
        told.append(f"its repository was gone and is empty now; push a clone to it: git push {home.repository} BRANCH")
    return told


@contextmanager
def _failures_told(home: Home) -> Iterator[None]:
    """What keeps a home from being made, with the way on: what is there of it by then is taken up by the next try."""
    try:
        yield
    except (Refused, UsageError):
        raise
    except (OSError, LineclearError) as error:
        reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else error
        raise Unreachable(f"could not make the home {home.root}: {reason}; mend that and run init again: it goes on") from error


class Making:
    """The making of a home, by one process at a time, from its folder to its end. What is cut off in between goes on next time.

    Raises Refused if there is a home, something else, or somebody who makes it.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file = -1

    def __enter__(self) -> Self:
        home = self._home
        is_own_folder = not os.path.isdir(home.root)
        if is_own_folder:
            os.makedirs(home.root, mode=0o700, exist_ok=True)
        else:
            self._check_place()
        try:
            is_first = self._open()
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Refused(f"could not make a home: another init is making {home.root}; wait for its end") from None
        except OSError:
            if is_own_folder:
                with suppress(OSError):
                    os.rmdir(home.root)
            raise
        is_over = os.fstat(self._file).st_nlink == 0
        if is_over or (is_first and len(os.listdir(home.root)) > 1):  # another has begun or ended since the folder was looked at
            if not is_over:
                os.unlink(home.making)
            os.close(self._file)
            raise Refused(_there_is(home))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            os.unlink(self._home.making)
        os.close(self._file)

    def _open(self) -> bool:
        """True if the file was not there before."""
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(self._home.making, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            self._file = os.open(self._home.making, flags)
            return False
        return True

    def _check_place(self) -> None:
        home = self._home
        there = os.listdir(home.root)
        if not there or os.path.basename(home.making) in there:
            return
        if os.path.lexists(home.repository):
            raise Refused(_there_is(home))
        if has_been_home(home):
            raise Refused(f"could not make a home: {lost_repository(home)}")
        raise Refused(f"could not make a home: {home.root} is not empty; name another folder with --home")


def _there_is(home: Home) -> str:
    return f"there is a home at {home.root} already, nothing was changed; --repair puts its hooks right"


def _settings_text(branch: str) -> str:
    from reconciler.settings import commented_defaults, parse

    text = commented_defaults()
    if branch:
        text = text.replace('# branch = "main"', f'branch = "{branch}"')
        parse(text, "--branch")
    return text


def _make_folders(home: Home) -> None:
    os.chmod(home.root, 0o700)
    os.makedirs(home.secrets, mode=0o700, exist_ok=True)
    os.makedirs(os.path.dirname(home.daemon_log), mode=0o700, exist_ok=True)


def _make_settings(home: Home, text: str, branch: str) -> None:
    """What an earlier try wrote stays, unless it is for another branch and there is no repository of that yet."""
    from reconciler.settings import load

    if os.path.exists(home.settings):
        begun = load(home).branch
        if branch in ("", begun):
            return
        if os.path.exists(home.repository):
            reason = f"the init of {home.root} that was cut off was for branch {begun!r}"
            raise Refused(f"could not make a home: {reason}; go on without --branch {branch}, or remove the folder first")
    _write(home.settings, text)


def _make_database(home: Home) -> None:
    """An empty database: making it costs imports that a daemon should not carry for life."""
    import sqlite3

    from reconciler.store.writer import open_writer

    try:
        open_writer(home.database).close()
    except sqlite3.Error as error:
        raise Unreachable(f"{home.database}: {error}") from error


def _make_repository(home: Home, *, with_examples: bool) -> bool:
    from pathlib import Path

    from reconciler.settings import load
    from reconciler.source.hosting import create_hosted

    template = template_folder() if with_examples else None
    settings = load(home)
    return create_hosted(
        Path(home.repository),
        settings.branch,
        None if template is None else Path(template),
        sys.executable,
        home=Path(home.root),
        include=settings.include,
    )


def template_folder() -> str | None:
    """Where the examples are: inside the installed package, or beside it in a checkout; None if they are in neither place."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (os.path.join(package, "repo_template"), os.path.join(os.path.dirname(package), "repo-template")):
        if os.path.isdir(folder):
            return folder
    return None


def _write(path: str, text: str) -> None:
    made = f"{path}.new"
    with open(made, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(made, path)


def _unit(home: Home) -> str:
    command = os.path.join(os.path.dirname(sys.executable), "lineclear")
    program = quoted(command) if os.access(command, os.X_OK) else f"{quoted(sys.executable)} -P -m reconciler"
    return _UNIT.format(command=program, home=quoted(home.root))


def quoted(word: str) -> str:
    """A word as systemd reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t\"';") else escaped


def _tell(args: Args, home: Home) -> None:
    where = f" --home {home.root}" if args.given("home") else ""
    print(f"A home was made in {home.root}. Next:")
    print(f"  lineclear{where} up")
    print(f"  git clone {home.repository}")
    print(f"  lineclear{where} get workflows")
