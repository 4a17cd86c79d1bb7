"""What every command needs from its words and the environment: the home, the namespace, a reader, the time."""

from __future__ import annotations

import os
import sys
import time

from reconciler.errors import NotFound
from reconciler.home import Home, default_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.options import Args
    from reconciler.store.read import Reader

ALL = 0  # a limit that is none


def home_of(args: Args) -> Home:
    """The home that was named, or the default one; it need not exist."""
    return Home(args.text("home") or default_root(os.environ))


def namespace_of(args: Args) -> str:
    """The namespace that was named, or `default`."""
    return args.text("namespace", "default")


def scope_of(args: Args) -> str | None:
    """As `namespace_of`, None for every namespace."""
    return None if args.flag("all-namespaces") else namespace_of(args)


def reader_of(args: Args) -> Reader:
    """The home's database, read-only."""
    from reconciler.store.read import open_read

    return open_read(home_of(args).database)


def now_s() -> float:
    """The wall clock in seconds since 1970."""
    return time.time()


def get_run(reader: Reader, namespace: str, word: str) -> Row:
    """The run that `word` names, `@latest` the newest; raises NotFound with some that exist."""
    from reconciler.store import read_runs

    found = read_runs.find_latest_run(reader, namespace) if word == "@latest" else read_runs.find_run(reader, namespace, word)
    if found is not None:
        return found
    if word == "@latest":
        raise NotFound(f"there is no run in namespace {namespace!r}; -n NAME looks in another")
    wanted = read_runs.RunFilter(namespace, limit=5)
    names = [row["name"] for _, row in zip(range(5), read_runs.iterate_runs(reader, wanted), strict=False)]
    hint = f"there are {', '.join(names)}" if names else "it has none; -A lists every namespace"
    raise NotFound(f"there is no run {word!r} in namespace {namespace!r}; {hint}")


def say(text: str) -> None:
    """A line for the person beside the result: on stderr."""
    from reconciler.views.clean import clean_lines

    print(clean_lines(text), file=sys.stderr)
