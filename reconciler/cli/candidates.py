"""What may follow the words typed so far: commands, options, choices, and the names that the home has.

A shell asks while somebody types, so it is quick and never says what is wrong: what cannot be known is left out.
"""

from __future__ import annotations

import os

from reconciler.cli.table import COMMANDS
from reconciler.errors import LineclearError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.cli.options import Option, Parser, Positional
    from reconciler.store.read import Reader

FILES = ":files"
_FILE_WORDS = ("FILE", "PATH", "DIR")



def candidates(words: list[str]) -> list[str]:
    """Lines of `VALUE<tab>WHAT IT IS`, or the one line `:files`. `words` are those after `lineclear`, the last one unfinished."""
    from reconciler.cli.dispatch import split_words

    typed = words[-1] if words else ""
    _, command, after = split_words(words[:-1])
    if not command:
        return _starting(((name, summary) for name, (_, summary) in COMMANDS.items()), typed)
    if command not in COMMANDS:
        return []
    return _of_command(command, words[:-1], after, typed)


def _of_command(command: str, before: list[str], after: list[str], typed: str) -> list[str]:
    from reconciler.cli.dispatch import parser_of

    parser, _ = parser_of(command)
    wanting = _option(parser, after[-1]) if after else None
    if wanting is not None and wanting.metavar:
        return _of_value(wanting.metavar, wanting.choices, before, typed)
    if typed.startswith("-"):
        return _starting(((name, option.help) for option in parser.options for name in option.names), typed)
    positional = _positional(parser, after)
    return [] if positional is None else _of_value(positional.name, positional.choices, before, typed, command)


def _option(parser: Parser, word: str) -> Option | None:
    return next((option for option in parser.options if word in option.names), None)


def _positional(parser: Parser, after: list[str]) -> Positional | None:
    """The positional that the next word fills."""
    free, skip = 0, False
    for word in after:
        if skip:
            skip = False
        elif word.startswith("-"):
            option = _option(parser, word)
            skip = option is not None and bool(option.metavar)
        else:
            free += 1
    for positional in parser.positionals:
        if positional.count in "+*" or free == 0:
            return positional
        free -= 1
    return None


def _of_value(metavar: str, choices: tuple[str, ...], before: list[str], typed: str, command: str = "") -> list[str]:
    if choices:
        return _starting(((choice, "") for choice in choices), typed)
    if metavar in _FILE_WORDS or metavar.startswith("FILE"):
        return [FILES]
    if metavar == "KIND":
        from reconciler.cli.look import KIND_OF

        kinds = ((word, kind) for word, kind in KIND_OF.items() if word == kind.lower())
        return _starting(kinds, typed) + _names(before, typed, "run")
    if metavar in ("RUN", "LOCK"):
        return _names(before, typed, metavar.lower())
    return _names(before, typed, "cron") if command == "cron" and metavar == "NAME" else []


def _names(before: list[str], typed: str, what: str) -> list[str]:
    from reconciler.store import read_names

    namespace = _given(before, "-n", "--namespace") or "default"
    try:
        with _reader(_given(before, "--home")) as reader:
            if what == "lock":
                found = read_names.list_lock_keys(reader, typed)
            elif what == "run":
                found = read_names.list_run_names(reader, namespace, typed)
            else:
                found = read_names.list_definition_names(reader, "CronWorkflow", namespace, typed)
    except (LineclearError, OSError):
        return []
    return [f"{name}\t{text}" for name, text in found]


def _reader(home: str) -> Reader:
    from reconciler.home import Home, default_root
    from reconciler.store.read import open_read

    return open_read(Home(home or default_root(os.environ)).database)


def _given(words: list[str], *names: str) -> str:
    found = ""
    for index, word in enumerate(words[:-1]):
        if word in names:
            found = words[index + 1]
    return found


def _starting(pairs: Iterator[tuple[str, str]], typed: str) -> list[str]:
    return [f"{name}\t{text}" for name, text in pairs if name.startswith(typed)]
