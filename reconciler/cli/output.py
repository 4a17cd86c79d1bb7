"""Prints objects in the format that -o names. Terminal output is safe: tables are cleaned, JSON and YAML are ASCII-escaped."""

from __future__ import annotations

import sys

from reconciler.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.cli.options import Args

_FORMATS = ("table", "wide", "json", "yaml", "name")


def format_of(args: Args) -> str:
    """`table`, `wide`, `json`, `yaml`, `name` or `jsonpath=TEMPLATE`; raises UsageError for anything else."""
    given = args.text("output", "table")
    if given in ("jsonpath", "jsonpath="):
        raise UsageError("-o jsonpath wants a template: -o jsonpath='{.status.phase}'")
    if given in _FORMATS or given.startswith("jsonpath="):
        return given
    raise UsageError(f"-o is one of {', '.join(_FORMATS)} or jsonpath=TEMPLATE, not {given!r}")


def is_table(args: Args) -> bool:
    """True for table and wide."""
    return format_of(args) in ("table", "wide")


def print_object(shape: str, value: Any, name: str) -> None:
    """One object as json, yaml, name or jsonpath."""
    if shape == "name":
        from reconciler.views.clean import clean

        print(clean(name))
    elif shape == "yaml":
        from reconciler.views.yaml_text import to_yaml

        print(to_yaml(value), end="")
    elif shape.startswith("jsonpath="):
        _print_jsonpath(shape.removeprefix("jsonpath="), value)
    else:
        import json

        print(json.dumps(value, indent=4))


def plural(count: int, noun: str) -> str:
    """`1 file`, `3 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def print_list(shape: str, items: list[Any], names: list[str]) -> None:
    """Several objects: a List, or one name a line."""
    if shape == "name":
        from reconciler.views.clean import clean

        print("".join(clean(name) + "\n" for name in names), end="")
        return
    print_object(shape, {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}, "")


def _print_jsonpath(template: str, value: Any) -> None:
    from reconciler.expr.jsonpath import evaluate

    text = evaluate(template, value)
    if sys.stdout.isatty():
        from reconciler.views.clean import clean_lines

        text = clean_lines(text)
    sys.stdout.write(text)
    if sys.stdout.isatty() and not text.endswith("\n"):
        sys.stdout.write("\n")
