"""`init`: a home: repository with examples and hooks, settings, secrets, a systemd unit."""

from __future__ import annotations

import os
import sys

from reconciler.cli.context import home_of
from reconciler.errors import Refused, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    parser.flag("--repair", text="put an existing home's hooks and unit right; nothing else is touched")
    parser.option("--branch", metavar="NAME", text="the branch that is applied; default main")
    parser.flag("--empty", text="leave the examples out of the repository")


def run(args: Args) -> int:
    """Makes or repairs a home; 0."""
    home = home_of(args)
    is_home = os.path.isdir(home.repository)
    if is_home and not args.flag("repair"):
        raise Refused(f"there is a home at {home.root} already, nothing was changed; --repair puts its hooks right")
    if args.flag("repair") and not is_home:
        raise Refused(f"could not repair: there is no home at {home.root}")
    if not is_home and os.path.isdir(home.root) and os.listdir(home.root):
        raise Refused(f"could not make a home: {home.root} is not empty; name another folder with --home")
    os.umask(0o077)
    if not is_home:
        _make_folders(home, args.text("branch"))
        _make_database(home)
    _make_repository(home, with_examples=not args.flag("empty"))
    _write(os.path.join(home.root, "lineclear.service"), _unit(home))
    if is_home:
        print(f"{home.root}: hooks and unit are as they should be")
        return 0
    _tell(args, home)
    return 0


def _make_folders(home: Home, branch: str) -> None:
    from reconciler.settings import commented_defaults, parse

    text = commented_defaults()
    if branch:
        text = text.replace('# branch = "main"', f'branch = "{branch}"')
        parse(text, "--branch")
    try:
        os.makedirs(home.root, mode=0o700, exist_ok=True)
        os.chmod(home.root, 0o700)
        os.makedirs(home.secrets, mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(home.daemon_log), mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"could not make {home.root}: {error.strerror}") from error
    _write(home.settings, text)


def _make_database(home: Home) -> None:
    """An empty database: making it costs imports that a daemon should not carry for life."""
    from reconciler.store.writer import open_writer

    open_writer(home.database).close()


def _make_repository(home: Home, *, with_examples: bool) -> None:
    from pathlib import Path

    from reconciler.settings import load
    from reconciler.source.hosting import create_hosted

    template = template_folder() if with_examples else None
    create_hosted(
        Path(home.repository),
        load(home).branch,
        None if template is None else Path(template),
        sys.executable,
        home=Path(home.root),
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
