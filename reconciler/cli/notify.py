"""`notify`: what people were told of, and a test of the command that tells them."""

from __future__ import annotations

import sys

from reconciler.cli.context import home_of, now_s, reader_of
from reconciler.cli.output import format_of, print_list, print_object
from reconciler.errors import NotFound, UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.cli.options import Args, Parser

_SHOWN = 20
_ANSWER_S = 30.0
_UNTOLD = 1


def configure(parser: Parser) -> None:
    """Adds the options of `notify`."""
    parser.positional("ACTION", "?", "list, or test: tell the command of a test event; default list", ("list", "test"))
    parser.option("--limit", metavar="N", text=f"how many notices `list` prints; 0 = all; default {_SHOWN}")
    parser.output()
    parser.note(
        "Who is told, and of what, is in the settings under [notify]. `test` runs the command as the running daemon does, with\n"
        "the settings that it has read, or with no daemon as the next one will. Exit code 1: the command failed."
    )


def run(args: Args) -> int:
    """Lists, or tests; 0, or 1 if the command of a test failed."""
    if args.text("ACTION", "list") == "test":
        return _test(args)
    from reconciler.store.read_notices import list_notices

    with reader_of(args) as reader:
        rows = list_notices(reader, args.most("limit", _SHOWN))
    shape = format_of(args)
    if shape not in ("table", "wide"):
        print_list(shape, [_object(row) for row in rows], [f"notice/{row['id']}" for row in rows])
    elif not rows:
        print("Nobody was told of anything yet.")
    else:
        _print_table(args, rows)
    return 0


def _print_table(args: Args, rows: list[Row]) -> None:
    from reconciler.views.instants import age
    from reconciler.views.table import table

    now = now_s()
    cells = [
        (str(row["id"]), row["kind"], age(row["at"], now), row["state"], str(row["tries"]), row["problem"] or "-", _text(row))
        for row in rows
    ]
    header = ("ID", "KIND", "AGE", "STATE", "TRIES", "PROBLEM", "WHAT")
    sys.stdout.write(table(header, cells, show_header=not args.flag("no-headers")))


def _text(row: Row) -> str:
    import json

    return str(json.loads(row["detail_json"]).get("text") or row["key"])


def _object(row: Row) -> dict[str, Any]:
    import json

    names = {"id": "id", "kind": "kind", "key": "key", "at": "at", "state": "state", "tries": "tries", "problem": "problem"}
    found: dict[str, Any] = {name: row[column] for name, column in names.items()}
    return found | {"nextAt": row["next_at"], "doneAt": row["done_at"], "detail": json.loads(row["detail_json"])}


def _test(args: Args) -> int:
    found = _try_out(args)
    shape = format_of(args)
    if shape not in ("table", "wide"):
        print_object(shape, found, "notice/test")
    else:
        name = found["command"][0]
        print(clean(f"{found['problem'] or f'{name} took the test event'} ({found['tookSeconds']:g} s)"))
        for line in str(found["output"]).splitlines():
            print(clean(f"  {line}"))
    return _UNTOLD if found["problem"] else 0


def _try_out(args: Args) -> dict[str, Any]:
    """By the daemon if one runs, for its environment and settings are what counts; else here, in the same way."""
    import os

    from reconciler.control import client
    from reconciler.settings import load
    from reconciler.views.daemon import get_state

    home = home_of(args)
    if not os.path.isdir(home.root):
        raise NotFound(f"there is no home at {home.root}; make one: lineclear --home {home.root} init")
    settings = load(home)
    if get_state(home) is not None:
        return client.request(home.root, "notify_test", timeout_s=settings.notify_timeout_s + _ANSWER_S)
    if not settings.notify_command:
        raise UsageError(f"nobody is told of anything: set notify.command in {home.settings}; `lineclear settings` checks it")
    from reconciler.daemon import notify_command
    from reconciler.messenger import try_out

    return try_out(notify_command(home, settings), home.root)
