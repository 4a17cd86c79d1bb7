"""Reads a command's words: options, their values, positionals. A table and a loop: argparse would cost 8 ms (ADR 0005).

Options may stand before or after the command and among the positionals; `--name=value`, `--name value`, `-nvalue`, `-n value`
and bundled flags are understood; `--` ends the options.
"""

from __future__ import annotations

from reconciler.errors import UsageError

_DIGITS = 15  # what every number that is counted with here holds
_SEEN = 40
_PATHS = ("FILE", "DIR", "PATH")  # names of files are bytes
OUTPUTS = ("table", "wide", "json", "yaml", "name", "jsonpath=TEMPLATE")


class HelpWanted(Exception):
    """`--help` was asked for."""


class Option:
    """One option. `metavar` '' makes it a flag; `many` collects every value."""

    __slots__ = ("choices", "help", "many", "metavar", "names")

    def __init__(self, names: tuple[str, ...], metavar: str, text: str, choices: tuple[str, ...], *, many: bool) -> None:
        self.names = names
        self.metavar = metavar
        self.help = text
        self.choices = choices
        self.many = many

    @property
    def key(self) -> str:
        """The long name without dashes."""
        return max(self.names, key=len).lstrip("-")


class Positional:
    """One positional. `count` is '1', '?' (may be absent), '+' or '*' (several)."""

    __slots__ = ("choices", "count", "help", "name")

    def __init__(self, name: str, count: str, text: str, choices: tuple[str, ...]) -> None:
        self.name = name
        self.count = count
        self.help = text
        self.choices = choices


class Args:
    """What was given, by an option's long name or a positional's name."""

    __slots__ = ("_values", "command")

    def __init__(self, command: str, values: dict[str, list[str]]) -> None:
        self.command = command
        self._values = values

    def given(self, name: str) -> bool:
        """True if it was given."""
        return name in self._values

    flag = given

    def text(self, name: str, default: str = "") -> str:
        """Its last value."""
        return self._values[name][-1] if name in self._values else default

    def many(self, name: str) -> list[str]:
        """All its values, in order."""
        return list(self._values.get(name, ()))

    def number(self, name: str, default: int) -> int:
        """Its value as a whole number; raises UsageError if it is none."""
        if name not in self._values:
            return default
        given = self._values[name][-1]
        try:
            found = int(given) if len(given) <= _DIGITS else None
        except ValueError:
            found = None
        if found is None:
            seen = repr(given) if len(given) <= _SEEN else f"{given[:_SEEN]!r}... ({len(given)} characters)"
            raise UsageError(f"--{name} wants a whole number of at most {_DIGITS} digits, not {seen}")
        return found

    def count(self, name: str, default: int) -> int:
        """Its value as a number of things; raises UsageError if it is none."""
        found = self.number(name, default)
        if found < 0:
            raise UsageError(f"--{name} wants 0 or more, not {found}")
        return found

    def most(self, name: str, default: int) -> int:
        """As `count`, for a statement's LIMIT: -1 for 0, which means all."""
        return self.count(name, default) or -1


class Parser:
    """The options and positionals of one command."""

    __slots__ = ("command", "notes", "options", "positionals", "summary")

    def __init__(self, command: str, summary: str) -> None:
        self.command = command
        self.summary = summary
        self.options: list[Option] = []
        self.positionals: list[Positional] = []
        self.notes: list[str] = []
        self.option("--home", metavar="DIR", text="the home; default LINECLEAR_HOME, else ~/.local/state/lineclear")
        self.option("-n", "--namespace", metavar="NAME", text="the namespace; default `default`")
        self.flag("-h", "--help", text="this text")

    def option(
        self, *names: str, metavar: str, text: str, choices: tuple[str, ...] = (), many: bool = False
    ) -> None:
        """An option with a value."""
        self.options.append(Option(names, metavar, text, choices, many=many))

    def flag(self, *names: str, text: str) -> None:
        """An option without a value."""
        self.options.append(Option(names, "", text, (), many=False))

    def positional(self, name: str, count: str, text: str, choices: tuple[str, ...] = ()) -> None:
        """A word that is told by its place."""
        self.positionals.append(Positional(name, count, text, choices))

    def output(self) -> None:
        """-o and --no-headers, for commands that show objects."""
        self.option("-o", "--output", metavar="FORMAT", text=" | ".join(OUTPUTS))
        self.flag("--no-headers", text="leave the heading of a table out")

    def everywhere(self) -> None:
        """-A, for commands that list."""
        self.flag("-A", "--all-namespaces", text="every namespace")

    def note(self, text: str) -> None:
        """A paragraph or an example below the options in the help."""
        self.notes.append(text)

    def parse(self, words: list[str]) -> Args:
        """What the words say; raises UsageError, or HelpWanted."""
        values: dict[str, list[str]] = {}
        free = self._options(words, values)
        if "help" in values:
            raise HelpWanted
        self._place(free, values)
        return Args(self.command, values)

    def _options(self, words: list[str], values: dict[str, list[str]]) -> list[str]:
        free: list[str] = []
        left = list(reversed(words))
        while left:
            word = left.pop()
            if word == "--":
                free += reversed(left)
                break
            if word.startswith("--"):
                self._long(word, left, values)
            elif word.startswith("-") and len(word) > 1:
                self._short(word, left, values)
            else:
                free.append(word)
        return free

    def _long(self, word: str, left: list[str], values: dict[str, list[str]]) -> None:
        name, equals, value = word.partition("=")
        option = self._find(name)
        if not option.metavar:
            if equals:
                raise self._error(f"{name} takes no value, {value!r} was given")
            values[option.key] = [""]
            return
        self._store(option, name, value if equals else self._next(name, left), values)

    def _short(self, word: str, left: list[str], values: dict[str, list[str]]) -> None:
        rest = word[1:]
        while rest:
            name, rest = f"-{rest[0]}", rest[1:]
            option = self._find(name, word)
            if option.metavar:
                self._store(option, name, rest.removeprefix("=") if rest else self._next(name, left), values)
                return
            values[option.key] = [""]

    def _find(self, name: str, word: str = "") -> Option:
        for option in self.options:
            if name in option.names:
                return option
        known = [known for option in self.options for known in option.names]
        seen = name if word in ("", name) else f"{name} (in {word})"
        raise self._error(f"there is no option {seen}{did_you_mean(name, known)}")

    def _next(self, name: str, left: list[str]) -> str:
        if not left:
            raise self._error(f"{name} wants a value")
        return left.pop()

    def _store(self, option: Option, name: str, value: str, values: dict[str, list[str]]) -> None:
        if option.choices and value not in option.choices:
            raise self._error(f"{name} is one of {', '.join(option.choices)}, not {value!r}")
        self._check_text(name, option.metavar, value)
        if option.many:
            values.setdefault(option.key, []).append(value)
        else:
            values[option.key] = [value]

    def _place(self, free: list[str], values: dict[str, list[str]]) -> None:
        left = list(free)
        for positional in self.positionals:
            if not left:
                if positional.count in "1+":
                    raise self._error(f"{positional.name} is missing")
                continue
            taken = left if positional.count in "+*" else left[:1]
            left = left[len(taken) :]
            for word in taken:
                self._check_text(positional.name, positional.name, word)
                if positional.choices and word not in positional.choices:
                    hint = did_you_mean(word, list(positional.choices))
                    raise self._error(f"{positional.name} is one of {', '.join(positional.choices)}, not {word!r}{hint}")
            values[positional.name] = list(taken)
        if left:
            raise self._error(f"{left[0]!r} is one word too many")

    def _check_text(self, name: str, kind: str, value: str) -> None:
        """Raises UsageError for what no store takes, where a path is not what is wanted."""
        if not value.isascii() and not kind.startswith(_PATHS) and any("\ud800" <= one <= "\udfff" for one in value):
            raise self._error(f"{name} has bytes that are not UTF-8: {ascii(value)[1:-1][:_SEEN]}")

    def _error(self, text: str) -> UsageError:
        return UsageError(f"could not read the command: {text}; see `lineclear {self.command} --help`")

    def help(self) -> str:
        """The command's help as text."""
        shapes = {"1": "{}", "?": "[{}]", "+": "{}...", "*": "[{}...]"}
        words = " ".join(shapes[p.count].format("|".join(p.choices) or p.name) for p in self.positionals)
        rows = [(p.name, p.help) for p in self.positionals]
        text = f"usage: lineclear {self.command} {words}{' ' if words else ''}[options]\n\n{sentence(self.summary)}\n"
        if rows:
            text += "\n" + _columns(rows)
        text += "\noptions:\n" + _columns([(_spelled(option), option.help) for option in self.options])
        return text + "".join(f"\n{note}\n" for note in self.notes)


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[:1].upper() + text[1:] + "."


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean X?`, or ''. Only errors pay for it."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _spelled(option: Option) -> str:
    names = ", ".join(sorted(option.names, key=len))
    return f"{names} {option.metavar}" if option.metavar else names


def _columns(rows: list[tuple[str, str]]) -> str:
    width = min(28, max(len(left) for left, _ in rows))
    return "".join(f"  {left:<{width}}  {right}\n" for left, right in rows)
