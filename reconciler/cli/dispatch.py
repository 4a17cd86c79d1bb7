"""Finds the command among the words, imports its module alone, runs it, and turns errors into exit codes."""

from __future__ import annotations

import sys

from reconciler.cli import stdout
from reconciler.cli.options import HelpWanted, Parser, did_you_mean, sentence
from reconciler.cli.table import COMMANDS, GROUPS
from reconciler.errors import LineclearError, Unreachable, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_VALUED = ("--home", "-n", "--namespace", "-o", "--output")
_ENDLESS = ("logs", "journal")  # they print only, maybe for ever: a reader that leaves ends them
_INTERRUPTED = 130


def run_command(words: list[str]) -> int:
    """Runs one command; the result is the exit code. Nothing is raised but what is a bug."""
    try:
        stdout.open_streams()
        code = _run(words)
        sys.stdout.flush()
    except LineclearError as error:
        return _report(error)
    except stdout.ReaderLeft:
        stdout.discard()
        return 0
    except BrokenPipeError as error:
        return _report(Unreachable(f"a connection broke while the command was at work ({error}); try again"))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if not _is_of_store(error):
            raise
        from reconciler.store.read import unreadable

        return _report(unreadable("the home's state.db", error))
    return code


def _is_of_store(error: Exception) -> bool:
    """True for what SQLite raised, and for what cannot be made of what it read: the rows are not what they were."""
    if type(error).__module__ == "sqlite3":
        return True
    trace = error.__traceback__
    while trace is not None:
        if "/store/read" in trace.tb_frame.f_code.co_filename and isinstance(error, ValueError):
            return True
        trace = trace.tb_next
    return False


def _report(error: LineclearError) -> int:
    from reconciler.views.clean import clean_lines

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        stdout.discard()
    except LineclearError as unwritten:
        error = unwritten if error.exit_code == unwritten.exit_code else error
    print(f"lineclear: {clean_lines(str(error))}", file=sys.stderr)
    return error.exit_code


def _run(words: list[str]) -> int:
    if words[:1] == ["__complete"]:
        stdout.outlive_reader(is_endless=True)
        from reconciler.cli.candidates import candidates

        print("\n".join(candidates(words[1:])))
        return 0
    before, command, after = split_words(words)
    stdout.outlive_reader(is_endless=command in _ENDLESS)
    if not command or command == "help":
        wanted = after[0] if command and after else ""
        if wanted and wanted in COMMANDS:
            print(parser_of(wanted)[0].help(), end="")
            return 0
        if not command and before and before[-1] in _VALUED:
            text = f"could not read the command: {before[-1]} wants a value, and no command is named; see `lineclear --help`"
            raise UsageError(text)
        if not command and before and before[-1] not in ("-h", "--help"):
            raise UsageError("could not read the command: it names none; see `lineclear --help`")
        print(overview(), end="")
        return 0 if command or before else UsageError.exit_code
    if command not in COMMANDS:
        hint = did_you_mean(command, list(COMMANDS))
        raise UsageError(f"there is no command {command!r}{hint}; see `lineclear --help`")
    parser, module = parser_of(command)
    try:
        args = parser.parse(before + after)
    except HelpWanted:
        print(parser.help(), end="")
        return 0
    code: int = module.run(args)
    return code


def split_words(words: list[str]) -> tuple[list[str], str, list[str]]:
    """The options before the command, the command ('' if there is none), and what follows it."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        index += 2 if words[index] in _VALUED else 1
    if index >= len(words):
        return words, "", []
    return words[:index], words[index], words[index + 1 :]


def parser_of(command: str) -> tuple[Parser, ModuleType]:
    """The configured parser of a command, and its module."""
    name, summary = COMMANDS[command]
    full = f"reconciler.cli.{name}"
    __import__(full)
    module = sys.modules[full]
    parser = Parser(command, summary)
    module.configure(parser)
    return parser, module


def overview() -> str:
    """All commands by group."""
    text = "usage: lineclear [--home DIR] [-n NAMESPACE] COMMAND [options]\n"
    for title, group in GROUPS:
        text += f"\n{title}\n" + "".join(f"  {name:<24}{sentence(summary)}\n" for name, (_, summary) in group.items())
    return text + "\n`lineclear COMMAND --help` tells more; exit codes are in docs/reference/commands.md.\n"
