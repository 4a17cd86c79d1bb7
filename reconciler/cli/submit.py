"""`submit`: manifests from files, or a run of a template or cron."""

from __future__ import annotations

import sys

from reconciler.cli import asking
from reconciler.cli.output import format_of, print_object
from reconciler.errors import UsageError
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args, Parser

_DONE = {"retry": "retried", "cron": "triggered"}


def configure(parser: Parser) -> None:
    """Adds the options of `submit`."""
    parser.positional("FILE", "*", "manifests; `-` reads standard input")
    parser.option("--from", metavar="KIND/NAME", text="workflowtemplate/NAME, cronworkflow/NAME or workflow/NAME of Git")
    asking.add_new_run_options(parser)
    parser.option("--name", metavar="NAME", text="the run's name, exactly; refused if a run has it already")
    parser.option("--generate-name", metavar="PREFIX", text="the beginning of the run's name")
    parser.option("--entrypoint", metavar="TEMPLATE", text="another template to begin with")
    parser.option("--priority", metavar="N", text="higher is served first; default as the manifest says, else 0")
    parser.flag("--override-freeze", text="let the run in although a LockPolicy's freeze window is open; wants --reason")
    parser.option("-l", "--labels", metavar="A=B[,...]", text="labels of the run", many=True)
    parser.option("-o", "--output", metavar="FORMAT", text="table | json | yaml | name")
    add_following(parser)


def add_following(parser: Parser) -> None:
    """--wait, --watch, --log."""
    parser.flag("-w", "--wait", text="wait for the end; the exit code tells how")
    parser.flag("--watch", text="as --wait, and print every change of phase")
    parser.flag("--log", text="as --wait, and print what the steps write")


def run(args: Args) -> int:
    """Submits; 0, or with --wait the exit code that the runs' ends make."""
    values: dict[str, Any] = {**_source(args), **asking.take_over(args)}
    if args.flag("override-freeze"):
        if not args.text("reason").strip():
            raise UsageError("--override-freeze wants --reason TEXT: the journal says who passed a freeze, and why")
        values |= {"override_freeze": True, "reason": args.text("reason")}
    parameters = asking.pairs(args, "parameter")
    if parameters:
        values["parameters"] = parameters
    if args.given("priority"):
        values["priority"] = args.number("priority", 0)
    for option, name in (("name", "name"), ("generate-name", "generate_name"), ("entrypoint", "entrypoint")):
        if args.given(option):
            values[name] = args.text(option)
    labels = _labels(args)
    if labels:
        values["labels"] = labels
    return report(args, asking.ask(args, "submit", **values))


def _source(args: Args) -> dict[str, Any]:
    files = args.many("FILE")
    if args.given("from") == bool(files):
        raise UsageError("could not submit: name manifests, or a definition with --from KIND/NAME; one of the two")
    if args.given("from"):
        kind, slash, name = args.text("from").partition("/")
        if not slash or not kind or not name:
            raise UsageError(f"--from wants KIND/NAME such as workflowtemplate/deploy, not {args.text('from')!r}")
        return {"from": args.text("from")}
    return {"files": [{"path": path, "text": _read(path)} for path in files]}


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror}; name a manifest, or `-` for standard input") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"could not read {path}: it is not UTF-8: {error.reason} at byte {error.start}") from error


def _labels(args: Args) -> dict[str, str]:
    found: dict[str, str] = {}
    for given in args.many("labels"):
        for one in given.split(","):
            key, equals, value = one.partition("=")
            if not equals or not key:
                raise UsageError(f"--labels wants NAME=VALUE, not {one!r}")
            found[key] = value
    return found


def report(args: Args, answer: dict[str, Any]) -> int:
    """Prints the runs that were made, then follows them if that was asked for."""
    shape = format_of(args)
    if shape in ("table", "wide"):
        print("".join(clean(_line(args, made)) + "\n" for made in answer["runs"]), end="", flush=True)
    elif shape == "name":
        print("".join(clean(f"workflow/{made['name']}") + "\n" for made in answer["runs"]), end="", flush=True)
    else:
        print_object(shape, answer, "")
    if not (args.flag("wait") or args.flag("watch") or args.flag("log")):
        return 7 if any(made.get("refused") == "queue-full" for made in answer["runs"]) else 0
    return _follow(args, [(made.get("namespace", "default"), made["name"]) for made in answer["runs"]])


def _line(args: Args, made: dict[str, Any]) -> str:
    done = _DONE.get(args.command, "submitted")
    told = made.get("message")
    message = f": {told}" if told and told != done else ""
    return f"{made['name']} {done}, {made.get('phase') or 'Pending'}{message}"


def _follow(args: Args, names: list[tuple[str, str]]) -> int:
    from reconciler.cli.context import get_run, home_of, reader_of
    from reconciler.cli.follow import LogChoice, LogPrinter, follow_logs, tell_end, wait_for_end

    reader = reader_of(args)
    rows = [get_run(reader, namespace, name) for namespace, name in names]
    if args.flag("log"):
        code = max(follow_logs(reader, LogPrinter(home_of(args), row["id"], LogChoice()), row["id"]) for row in rows)
    else:
        seen: dict[int, str] = {}

        def tell(looked: list[Any]) -> None:
            for row in looked:
                if seen.get(row["id"]) != row["phase"] and (args.flag("watch") or row["finished_at"]):
                    print(clean(tell_end(row) if row["finished_at"] else f"{row['name']} {row['phase']}"), flush=True)
                seen[row["id"]] = row["phase"]

        code = wait_for_end(reader, [row["id"] for row in rows], None, tell)
    reader.close()
    return code
