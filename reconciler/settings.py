"""HOME/lineclear.toml as a value: every setting with its origin. Owner only; what is unknown or wrong is refused with its line.

Nothing here is taken from the repository: who may push must not choose what runs where.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import UsageError
from reconciler.home import Home
from reconciler.model.images import Image

DEFAULT = "default"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNTIMES = ("host", "sandbox")
_HOST = "host"  # the image that always means this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a home is set to. `origins` maps each key as it is written in the file to `default` or `lineclear.toml:LINE`."""

    parallelism: int = 4 * (os.cpu_count() or 1)
    branch: str = "main"
    include: str = ""
    poll_interval_s: float = 2.0
    path_env: str = _PATH
    lang: str = "C.UTF-8"
    tz: str = ""
    grace_s: float = 10.0
    images: Mapping[str, Image] = field(default_factory=lambda: {_HOST: Image()})
    image_policy: str = "host"
    compatibility: str = ""
    receive: str = "refuse"
    journal_days: int = 365
    journal_rows: int = 1_000_000
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting: its name in the file, the field it fills, what it means, and what its values must be."""

    name: str
    attribute: str
    meaning: str
    check: Callable[[Any], str]  # what is wrong with a value; '' if nothing

    @property
    def parts(self) -> tuple[str, str]:
        """The table ('' at the top) and the key in it."""
        table, _, key = self.name.rpartition(".")
        return table, key


def _text(value: object) -> str:
    return "" if isinstance(value, str) else "it must be text in quotes"


def _one_of(*choices: str) -> Callable[[Any], str]:
    return lambda value: "" if value in choices else f"it must be one of {', '.join(map(repr, choices))}"


def _number(lowest: float, *, whole: bool = False) -> Callable[[Any], str]:
    def check(value: object) -> str:
        is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        kind = "a whole number" if whole else "a number"
        return "" if is_number and value >= lowest else f"it must be {kind}, {lowest:g} or more"  # type: ignore[operator]

    return check


def _branch(value: object) -> str:
    is_name = isinstance(value, str) and bool(value) and not value.startswith("-") and not set(value) & set(" ~^:?*[\\")
    return "" if is_name else "it must be a branch's name"


def _inside(value: object) -> str:
    if not isinstance(value, str) or value.startswith("/") or ".." in value.split("/"):
        return "it must be a folder inside the repository, or empty for the whole of it"
    return ""


def _table(value: object) -> str:
    return "" if isinstance(value, dict) else "it must be a table of image = runtime"


KEYS = (
    Key(
        name="parallelism",
        attribute="parallelism",
        meaning="how many steps may run at once; a step takes its slot last, when it has all its locks",
        check=_number(1, whole=True),
    ),
    Key(name="branch", attribute="branch", meaning="the branch that is applied", check=_branch),
    Key(
        name="path",
        attribute="include",
        meaning="the folder of the repository that holds the manifests; empty: the whole tree",
        check=_inside,
    ),
    Key(
        name="poll_interval_s",
        attribute="poll_interval_s",
        meaning="how often the branch is looked at, besides the hints that a push and the file system give",
        check=_number(0.1),
    ),
    Key(
        name="image_policy",
        attribute="image_policy",
        meaning='"host": a step whose image is not mapped runs on this machine, with a warning; "mapped-only": it is refused',
        check=_one_of("host", "mapped-only"),
    ),
    Key(
        name="compatibility",
        attribute="compatibility",
        meaning='"argo": a failed run lets its locks go at its end, as upstream does; empty: it keeps them until terminated',
        check=_one_of("", "argo"),
    ),
    Key(
        name="receive",
        attribute="receive",
        meaning='"refuse": a push that brings errors is refused; "warn": it is taken, and what was live stays live',
        check=_one_of("refuse", "warn"),
    ),
    Key(name="steps.path", attribute="path_env", meaning="PATH of the steps", check=_text),
    Key(name="steps.lang", attribute="lang", meaning="LANG of the steps", check=_text),
    Key(name="steps.tz", attribute="tz", meaning="TZ of the steps; empty: not set", check=_text),
    Key(
        name="steps.grace_s",
        attribute="grace_s",
        meaning="seconds between the signal that asks a step to end and the one that makes it",
        check=_number(0),
    ),
    Key(
        name="journal.keep_days",
        attribute="journal_days",
        meaning="how long the journal is kept, in days; longer while what it tells of is still held or waited for",
        check=_number(1, whole=True),
    ),
    Key(
        name="journal.keep_rows",
        attribute="journal_rows",
        meaning="how many rows of the journal are kept at most, whatever their age; a million are half a gigabyte",
        check=_number(0, whole=True),
    ),
    Key(
        name="images",
        attribute="images",
        meaning="which runtime runs which image, `host` or `sandbox`: as text, or as a table of runtime, command and path",
        check=_table,
    ),
)


def load(home: Home) -> Settings:
    """The settings of a home; all defaults where it has no file.

    Raises UsageError, naming the line, for a key that is unknown or a value that is wrong, and for a file others may change.
    """
    path = home.settings
    try:
        with open(path, "rb") as file:
            _refuse_foreign(path, os.fstat(file.fileno()))
            text = file.read().decode("utf-8")
    except FileNotFoundError:
        return Settings(origins={key.name: DEFAULT for key in KEYS})
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"could not read the settings {path}: {error}") from error
    return parse(text, os.path.basename(path))


def _refuse_foreign(path: str, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"could not use the settings {path}: they belong to user {status.st_uid}; they must be the home owner's")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        raise UsageError(f"could not use the settings {path}: others may write them (mode {mode:04o}); run: chmod 600 {path}")


def parse(text: str, shown: str) -> Settings:
    """The settings that a file's text says; `shown` is the file's name in messages and origins."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"could not read the settings {shown}: {error}") from error
    values: dict[str, Any] = {}
    origins = {key.name: DEFAULT for key in KEYS}
    known = {key.name: key for key in KEYS}
    for name, value in _flat(given).items():
        place = f"{shown}:{_line_of(text, tuple(name.split('.')))}"
        key = known.get(name)
        if key is None:
            raise UsageError(f"{place}: there is no setting {name!r}; the settings are {', '.join(known)}")
        wrong = key.check(value)
        if wrong:
            raise UsageError(f"{place}: the setting {name} is {value!r}: {wrong}")
        values[key.attribute] = float(value) if key.attribute.endswith("_s") else value
        origins[name] = place
    if "images" in values:
        values["images"] = {_HOST: Image(), **_parse_images(values["images"], text, shown)}
    return Settings(**values, origins=origins)


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names for what is in a table; the image map is one value."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, dict) and name != "images":
            found |= {f"{name}.{key}": inner for key, inner in value.items()} or {name: value}
        else:
            found[name] = value
    return {name: value for name, value in found.items() if not (name in ("steps", "journal", "images") and value == {})}


def _parse_images(given: Mapping[str, Any], text: str, shown: str) -> dict[str, Image]:
    found = {}
    for image, value in given.items():
        said = value if isinstance(value, dict) else {"runtime": value}
        for key, wrong in _wrong_in_image(image, said):
            raise UsageError(f"{shown}:{_line_of(text, ('images', image, key))}: image {image!r} {wrong}")
        lists = {key: tuple(said[key]) for key in ("command", "path") if key in said}
        found[image] = Image(runtime=said.get("runtime", _HOST), **lists)
    return found


def _wrong_in_image(image: str, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key that is wrong, and what is."""
    for key, value in said.items():
        if key not in ("runtime", "command", "path"):
            yield key, f"has the key {key!r}; there is runtime, command, path"
        elif key == "runtime":
            if value not in _RUNTIMES:
                yield key, f"has the runtime {value!r}; there is {', '.join(_RUNTIMES)}"
            elif image == _HOST and value != _HOST:
                yield key, f"has the runtime {value!r}: it always means this machine; map another name"
        elif not isinstance(value, list) or not all(isinstance(part, str) and part and "\0" not in part for part in value):
            yield key, f"has the {key} {value!r}: it must be a list of texts"
        elif key == "path" and not all(part.startswith("/") and ":" not in part for part in value):
            yield key, f"has the path {value!r}: it must be a list of folders, each from / and without a colon"


def _line_of(text: str, path: tuple[str, ...]) -> int:
    """The line on which a key is written, or the nearest table around it; 1 if it cannot be told."""
    table: tuple[str, ...] = ()
    lines: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        is_table = line.lstrip().startswith("[")
        written = _keys_in(line if is_table else line.partition("=")[0] + "= 0")
        if is_table and written:
            table = written
        where = written if is_table else (*table, *written)
        for length in range(len(where) if written else 0):
            lines.setdefault(where[: length + 1], number)
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 1)


def _keys_in(line: str) -> tuple[str, ...]:
    """The dotted key that a line of the file opens or sets; empty if it does neither by itself."""
    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(found, dict) and found:
        key, found = next(iter(found.items()))
        keys.append(key)
    return tuple(keys)


def commented_defaults() -> str:
    """A settings file in which every default is a comment."""
    defaults = Settings()
    lines = ["# Settings of this home, read when the daemon starts. Every line that is commented out shows the default;"]
    lines.append("# `lineclear settings` prints what counts.")
    table = ""
    for key in KEYS:
        inside, name = key.parts
        if key.name == "images":
            lines += ["", "[images]", f"# {key.meaning}", '# host = "host"']
            continue
        if inside != table:
            lines += ["", f"[{inside}]"]
            table = inside
        lines += ["", f"# {key.meaning}", f"# {name} = {shown_value(getattr(defaults, key.attribute))}"]
    return "\n".join(lines) + "\n"


def shown_value(value: object) -> str:
    """A value as it is written in the file."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_shown_key(key)} = {shown_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, Image):
        plain = plain_value(value)
        return shown_value(value.runtime if len(plain) == 1 else plain)
    if isinstance(value, list):
        return "[" + ", ".join(map(shown_value, value)) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


def plain_value(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Image):
        lists = {"command": list(value.command), "path": list(value.path)}
        return {"runtime": value.runtime} | {key: parts for key, parts in lists.items() if parts}
    return value


def _shown_key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if is_bare else shown_value(key)
