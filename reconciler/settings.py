"""HOME/lineclear.toml as a value: every setting with its origin. Owner only; what is unknown or wrong is refused with its line.

Nothing here is taken from the repository: who may push must not choose what runs where.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler import setting_values as checks
from reconciler.errors import UsageError
from reconciler.files import read_regular
from reconciler.home import Home
from reconciler.model.attempt import StepLimits
from reconciler.model.images import Image
from reconciler.model.notice import ALL_KINDS, Telling
from reconciler.setting_keys import CPUS, KEYS, MEMORY_MB, PIDS

DEFAULT = "default"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNTIMES = ("host", "sandbox")
_LISTS = ("command", "path")
_LIMITS = {"memory_mb": MEMORY_MB, "pids": PIDS, "cpus": CPUS}
_HOST = "host"  # the image that always means this machine
_MB = 1_000_000
_MOST_BYTES = 1_000_000
_SEEN = 200


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
    groups: str = "auto"
    step_memory_mb: int = 0
    step_pids: int = 0
    step_cpus: float = 0.0
    images: Mapping[str, Image] = field(default_factory=lambda: {_HOST: Image()})
    image_policy: str = "host"
    compatibility: str = ""
    receive: str = "refuse"
    journal_days: int = 365
    journal_rows: int = 1_000_000
    notify_command: tuple[str, ...] = ()
    notify_events: tuple[str, ...] = ALL_KINDS
    notify_timeout_s: float = 30.0
    notify_give_up_s: float = 86_400.0
    notify_overdue_s: float = 60.0
    notify_disk_low_mb: int = 1000
    metrics_listen: str = ""
    limit_nodes: int = 25_000
    limit_loop_items: int = 20_000
    limit_depth: int = 100
    limit_locks: int = 100
    limit_frame_mb: int = 16
    limit_connections: int = 64
    limit_documents: int = 20_000
    limit_check_s: float = 25.0
    limit_reserve_mb: int = 8
    limit_tick_s: float = 5.0
    limit_log_mb: int = 1000
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def limits(self) -> StepLimits:
        """What one step may use whose image says nothing else."""
        return StepLimits(memory_mb=self.step_memory_mb, pids=self.step_pids, cpus=self.step_cpus)

    @property
    def controllers(self) -> frozenset[str]:
        """What the kernel has to count for these limits."""
        said = [self.limits, *(image.limits(self.limits) for image in self.images.values())]
        names = {"memory": "memory_mb", "pids": "pids", "cpu": "cpus"}
        return frozenset(name for name, attribute in names.items() if any(getattr(one, attribute) for one in said))

    @property
    def telling(self) -> Telling:
        """What is told: nothing without a command. The disk is watched either way, for the journal."""
        return Telling(
            kinds=frozenset(self.notify_events if self.notify_command else ()),
            overdue_after_s=self.notify_overdue_s,
            give_up_s=self.notify_give_up_s,
            disk_low_bytes=self.notify_disk_low_mb * _MB,
        )


def load(home: Home) -> Settings:
    """The settings of a home; all defaults where it has no file.

    Raises UsageError, naming the line, for a key that is unknown or a value that is wrong, and for a file others may change.
    """
    path = home.settings
    try:
        data, status = read_regular(path, _MOST_BYTES)
        _refuse_foreign(path, status)
        text = data.decode("utf-8")
    except FileNotFoundError:
        return Settings(origins={key.name: DEFAULT for key in KEYS})
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"could not read the settings {path}: {reason}") from error
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
        return _parse(tomllib.loads(text), text, shown)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"could not read the settings {shown}: {error}") from error
    except (RecursionError, ValueError) as error:
        deep = isinstance(error, RecursionError)
        reason = "its values are nested too deep; no setting is" if deep else f"a number in it has too many digits ({error})"
        raise UsageError(f"could not read the settings {shown}: {reason}") from error


def _parse(given: Mapping[str, Any], text: str, shown: str) -> Settings:
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
            raise UsageError(f"{place}: the setting {name} is {_seen(value)}: {wrong}")
        given_as = tuple if isinstance(value, list) else float if key.attribute.endswith("_s") else type(value)
        values[key.attribute] = given_as(value)
        origins[name] = place
    if "images" in values:
        values["images"] = {_HOST: Image(), **_parse_images(values["images"], text, shown)}
    return Settings(**values, origins=origins)


def _seen(value: object) -> str:
    """A value as it is told in a message, which stays a line."""
    text = repr(value)
    return text if len(text) <= _SEEN else f"{text[:_SEEN]}... ({len(text)} characters)"


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names for what is in a table; the image map is one value."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, dict) and name != "images":
            found |= {f"{name}.{key}": inner for key, inner in value.items()} or {name: value}
        else:
            found[name] = value
    tables = {key.parts[0] for key in KEYS} | {"images"}
    return {name: value for name, value in found.items() if not (name in tables and value == {})}


def _parse_images(given: Mapping[str, Any], text: str, shown: str) -> dict[str, Image]:
    found = {}
    for image, value in given.items():
        said = value if isinstance(value, dict) else {"runtime": value}
        for key, wrong in _wrong_in_image(image, said):
            raise UsageError(f"{shown}:{_line_of(text, ('images', image, key))}: image {image!r} {wrong}")
        given_as: dict[str, Any] = {key: tuple(said[key]) for key in _LISTS if key in said}
        given_as |= {key: said[key] for key in _LIMITS if key in said}
        found[image] = Image(runtime=said.get("runtime", _HOST), **given_as)
    return found


def _wrong_in_image(image: str, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key that is wrong, and what is."""
    for key, value in said.items():
        if key not in ("runtime", *_LISTS, *_LIMITS):
            yield key, f"has the key {key!r}; there is {', '.join(('runtime', *_LISTS, *_LIMITS))}"
        elif key == "runtime":
            if value not in _RUNTIMES:
                yield key, f"has the runtime {value!r}; there is {', '.join(_RUNTIMES)}"
            elif image == _HOST and value != _HOST:
                yield key, f"has the runtime {value!r}: it always means this machine; map another name"
        elif key in _LIMITS:
            if wrong := _LIMITS[key](value):
                yield key, f"has the {key} {_seen(value)}: {wrong}"
        elif not checks.texts(value):
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
    if isinstance(value, list | tuple):
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
        lists = {key: list(getattr(value, key)) for key in _LISTS if getattr(value, key)}
        limits = {key: getattr(value, key) for key in _LIMITS if getattr(value, key) is not None}
        return {"runtime": value.runtime, **lists, **limits}
    return list(value) if isinstance(value, tuple) else value


def _shown_key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if is_bare else shown_value(key)
