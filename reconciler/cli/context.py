"""What every command needs from its words and the environment: the home, the namespace, a reader, the time."""

from __future__ import annotations

import os
import sys
import time

from reconciler.errors import NotFound, UsageError
from reconciler.home import Home, default_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.options import Args
    from reconciler.store.read import Reader

ALL = 0  # a limit that is none


def home_of(args: Args) -> Home:
    """The home that was named, or the default one; it need not exist."""
    if args.given("home") and not args.text("home"):
        raise UsageError("--home wants a folder, '' was given")
    return Home(args.text("home") or default_root(os.environ))


def namespace_of(args: Args) -> str:
    """The namespace that was named, or `default`."""
    return args.text("namespace", "default")


def scope_of(args: Args) -> str | None:
    """As `namespace_of`, None for every namespace."""
    return None if args.flag("all-namespaces") else namespace_of(args)


def reader_of(args: Args) -> Reader:
    """The home's database, read-only; what is printed while a transaction of it is open goes out when that has ended."""
    from reconciler.cli.snapshot import Snapshot
    from reconciler.store.read import open_read

    return open_read(home_of(args).database, kind=Snapshot)


def now_s() -> float:
    """The wall clock in seconds since 1970."""
    return time.time()


def run_word(word: str) -> str:
    """A run's name; `workflow/NAME`, as -o name prints it, is the same as NAME."""
    kind, slash, name = word.partition("/")
    return name if slash and kind.lower() in ("workflow", "workflows", "wf") else word


def run_name(args: Args, word: str) -> str:
    """The name of the run that `word` means; `@latest` is looked up, anything else is left for the daemon to find."""
    if run_word(word) != "@latest":
        return run_word(word)
    with reader_of(args) as reader:
        return str(get_run(reader, namespace_of(args), word)["name"])


def get_run(reader: Reader, namespace: str, word: str) -> Row:
    """The run that `word` names, `@latest` the newest; raises NotFound with some that exist."""
    from reconciler.store import read_runs

    word = run_word(word)
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
