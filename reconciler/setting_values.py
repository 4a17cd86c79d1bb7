"""What the value of a setting must be: each check says what is wrong with a value, '' if nothing is. Nothing is read here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from reconciler.model.notice import ALL_KINDS


def text(value: object) -> str:
    """Any text."""
    return "" if isinstance(value, str) else "it must be text in quotes"


def one_of(*choices: str) -> Callable[[Any], str]:
    """One of these texts."""
    return lambda value: "" if value in choices else f"it must be one of {', '.join(map(repr, choices))}"


def number(lowest: float, highest: float = math.inf, *, whole: bool = False, least: float = 0) -> Callable[[Any], str]:
    """A number from the lowest to the highest; `least`: the smallest but for the lowest itself."""
    def check(value: Any) -> str:
        is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        kind = "a whole number" if whole else "a number"
        limits = f"{_plain(lowest)} or more" if highest == math.inf else f"from {_plain(lowest)} to {_plain(highest)}"
        if least:
            limits = f"{_plain(lowest)} or from {_plain(least)} to {_plain(highest)}"
        return "" if is_number and lowest <= value <= highest and not lowest < value < least else f"it must be {kind}, {limits}"

    return check


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def texts(value: object) -> bool:
    """True for a list of texts that a program can be given."""
    return isinstance(value, list) and all(isinstance(part, str) and part and "\0" not in part for part in value)


def command(value: object) -> str:
    """A program with its arguments, or nothing."""
    return "" if texts(value) else 'it must be a list of texts, the program and its arguments: ["/usr/local/bin/page", "ops"]'


def events(value: Any) -> str:
    """Kinds of notices."""
    wrong = [part for part in value if part not in ALL_KINDS] if texts(value) else [value]
    return f"it must be a list of these: {', '.join(ALL_KINDS)}" if wrong else ""


def loopback(listen: str) -> tuple[str, int] | None:
    """The address and port that `ADDRESS:PORT` names, if it is one that only this machine reaches; else None."""
    from ipaddress import ip_address

    host, colon, port = listen.rpartition(":")
    address = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (colon and port.isascii() and port.isdigit() and int(port) < 65536) or (":" in address and address == host):
        return None
    try:
        return (address, int(port)) if ip_address(address).is_loopback else None
    except ValueError:
        return None


def listen(value: object) -> str:
    """An address that only this machine reaches, or nothing."""
    if isinstance(value, str) and (not value or loopback(value) is not None):
        return ""
    return (
        'it must be a loopback address and a port, "127.0.0.1:9090" or "[::1]:9090", or empty for none: the names of locks are'
        " not for everybody; to read them from another machine put a proxy before it that asks who wants to know"
    )


def branch(value: object) -> str:
    """A branch's name."""
    is_name = isinstance(value, str) and bool(value) and not value.startswith("-") and not set(value) & set(" ~^:?*[\\")
    return "" if is_name else "it must be a branch's name"


def inside(value: object) -> str:
    """A folder inside the repository."""
    if not isinstance(value, str) or value.startswith("/") or ".." in value.split("/"):
        return "it must be a folder inside the repository, or empty for the whole of it"
    return ""


def table(value: object) -> str:
    """A table of images."""
    return "" if isinstance(value, dict) else "it must be a table of image = runtime"
